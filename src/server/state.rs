//! The state of a server, and the events of its service.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{engine::Reader, model::Capabilities};

/// An event of a service, for its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceEvent {
    /// The server is ready, with these capabilities; sent again after every restart.
    Ready(Box<Capabilities>),
    /// The engine is given up on this rank, for this reason. The last event.
    Lost(String),
}

/// One start of a server that is ready for requests.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Number of the start, from 1; a death is reported against it.
    pub start: u32,
    /// Sends requests to the server.
    pub reader: Arc<Reader>,
}

/// Why a server that still answers is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportedDeath {
    /// The answer to a page said so.
    #[error("the answer to a page said that its engine is dead")]
    EngineDead,
    /// Rank 0 compared it with others.
    #[error("it failed pages that other servers read")]
    FailsPages,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    Starting,
    /// It is no longer used and will be restarted.
    Reported(ReportedDeath),
    Ready(Ready),
    /// The desired state is [`super::DesiredState::Rest`]: the server sleeps or has ended.
    Resting,
    Lost,
}

impl State {
    pub(super) fn is_start(&self, start: u32) -> bool {
        matches!(self, State::Ready(ready) if ready.start == start)
    }
}

/// The state of a server, as it changes.
#[derive(Debug, Clone)]
pub struct LifeWatch(pub(super) watch::Receiver<State>);

impl LifeWatch {
    /// The server, if it is ready now.
    pub fn ready(&self) -> Option<Ready> {
        match &*self.0.borrow() {
            State::Ready(ready) => Some(ready.clone()),
            State::Starting | State::Reported(_) | State::Resting | State::Lost => None,
        }
    }

    /// Whether the engine is given up on this rank.
    pub fn is_lost(&self) -> bool {
        matches!(&*self.0.borrow(), State::Lost)
    }

    /// Whether the server rests because another engine serves.
    pub fn is_resting(&self) -> bool {
        matches!(&*self.0.borrow(), State::Resting)
    }
}
