//! The events of the pool: requests, answers, losses.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    protocol::{Request, Response},
    render_failure::RenderFailure,
};

/// A request that waits for an answer.
#[derive(Debug)]
pub(super) struct Job {
    pub request: Request,
    pub reply: oneshot::Sender<Answer>,
    /// How many times a later request was taken first.
    pub passed_over: u32,
}

pub(super) type Answer = Result<(Response, Bytes), RenderFailure>;

/// An event of the pool.
#[derive(Debug)]
pub(super) enum Event {
    /// A new request.
    Asked(Job),
    /// The child of this slot has answered and is idle.
    Idle(usize),
    /// The child of this slot cannot be replaced; its request returns to the queue.
    Lost { slot: usize, job: Job, reason: String },
}
