//! What happens to the pool: requests, answers, losses.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    protocol::{Request, Response},
    render_failure::RenderFailure,
};

/// A request under way.
#[derive(Debug)]
pub(super) struct Job {
    pub request: Request,
    pub reply: oneshot::Sender<Answer>,
    /// How often another request was taken first.
    pub passed_over: u32,
}

pub(super) type Answer = Result<(Response, Bytes), RenderFailure>;

/// What happens to the pool.
#[derive(Debug)]
pub(super) enum Event {
    /// A request came in.
    Asked(Job),
    /// A child has answered and waits.
    Idle(usize),
    /// A child cannot be replaced; its request goes back.
    Lost { slot: usize, job: Job, reason: String },
}
