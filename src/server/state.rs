//! How a server stands, and what its owner hears.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    engine::Reader,
    model::{Capabilities, Engine},
};

/// What the owner of a service hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceEvent {
    /// A server of this engine is ready, and can do this; said again after every restart.
    Ready(Engine, Box<Capabilities>),
    /// The engine is given up on this rank, for this reason. Said once, as the last.
    Lost(Engine, String),
}

/// One start of a server, ready to be asked.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Which start it is, from 1: a death is reported against it.
    pub start: u32,
    /// Asks it.
    pub reader: Arc<Reader>,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    Starting,
    Ready(Ready),
    /// It is another engine's turn.
    Resting,
    Lost,
}

impl State {
    pub(super) fn is_start(&self, start: u32) -> bool {
        matches!(self, State::Ready(ready) if ready.start == start)
    }
}

/// Tells how a server stands.
#[derive(Debug, Clone)]
pub struct LifeWatch(pub(super) watch::Receiver<State>);

impl LifeWatch {
    /// The server, if it is ready now.
    pub fn ready(&self) -> Option<Ready> {
        match &*self.0.borrow() {
            State::Ready(ready) => Some(ready.clone()),
            State::Starting | State::Resting | State::Lost => None,
        }
    }

    /// Whether it is another engine's turn.
    pub fn is_resting(&self) -> bool {
        matches!(&*self.0.borrow(), State::Resting)
    }
}
