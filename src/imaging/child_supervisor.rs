//! The task of one child: sends it requests, classifies its loss, and replaces it.

use std::time::Duration;

use bytes::Bytes;
use tokio::{sync::mpsc, time::sleep};

use crate::{model::FailureClass, sys::seconds_text};

use super::{
    pool_event::{Answer, Event, Job},
    pool_settings::PoolSettings,
    protocol::{self, Refusal, Request, Response},
    remote::{Loss, RemoteChild, StartError},
    render_failure::RenderFailure,
};

/// The wait before each attempt to replace a child. After the last failed attempt, the pool does without this child.
const REPLACEMENTS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

/// The supervisor of one child of the pool.
pub(super) struct ChildSupervisor {
    pub settings: PoolSettings,
    /// `None` after the child was lost or has answered its number of requests.
    pub child: Option<RemoteChild>,
}

/// Serves `jobs` until the pool is dropped or no child can be started any more.
pub(super) async fn supervise(
    slot: usize,
    mut supervisor: ChildSupervisor,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    events: mpsc::UnboundedSender<Event>,
) {
    while let Some(job) = jobs.recv().await {
        let event = match supervisor.serve(&job.request).await {
            Ok(answer) => {
                // Fails if the lease of the page has ended: then no task waits for the answer.
                let _ = job.reply.send(answer);
                Event::Idle(slot)
            }
            Err(error) => Event::Lost { slot, job, reason: error.to_string() },
        };
        let lost = matches!(event, Event::Lost { .. });
        if events.send(event).is_err() || lost {
            return;
        }
    }
}

impl ChildSupervisor {
    /// Answers one request, with a new child if needed. A child may die because of an earlier page, be killed from
    /// outside, or wait for a slow disk. The request is therefore tried again with new children before its page fails.
    async fn serve(&mut self, request: &Request) -> Result<Answer, StartError> {
        let frame = match protocol::head(request, 0) {
            Ok(frame) => frame,
            Err(error) => return Ok(Err(refused(FailureClass::Unreadable, request, &error.to_string()))),
        };
        let mut tries = 0;
        loop {
            let child = match self.child.take() {
                Some(child) => child,
                None => self.replace().await?,
            };
            let fresh = child.answered == 0;
            match child.ask(&frame, self.settings.page_limit).await {
                Ok((child, response, image)) => {
                    self.make_available(child).await;
                    return Ok(answer(response, image));
                }
                Err(loss) if tries < loss.further_tries(fresh) => {
                    tracing::warn!("{}: {loss}; the request is tried again with a new renderer", request.subject());
                    sleep(REPLACEMENTS[tries]).await;
                    tries += 1;
                }
                Err(loss) => return Ok(Err(self.failure_of(request, &loss))),
            }
        }
    }

    async fn make_available(&mut self, child: RemoteChild) {
        if child.answered < self.settings.answers_per_child.get() {
            self.child = Some(child);
        } else {
            child.end().await;
        }
    }

    async fn replace(&self) -> Result<RemoteChild, StartError> {
        let mut result = Err(StartError::Silent("no attempt was made".into()));
        for wait in REPLACEMENTS {
            sleep(wait).await;
            result = RemoteChild::start(&self.settings).await;
            match &result {
                Ok(_) => break,
                Err(error) => tracing::warn!("{error}"),
            }
        }
        result
    }

    fn failure_of(&self, request: &Request, loss: &Loss) -> RenderFailure {
        let limit = self.settings.page_limit;
        let (class, why) = match loss {
            Loss::Late => (
                FailureClass::RenderTimeout,
                format!("not rendered within {}; raise imaging.page_limit", seconds_text(limit)),
            ),
            Loss::Died { out_of_memory: true, .. } => {
                (FailureClass::TooLarge, format!("{loss}; raise imaging.child_memory"))
            }
            Loss::Died { .. } | Loss::Garbled(_) => (FailureClass::RenderFailed, loss.to_string()),
        };
        refused(class, request, &why)
    }
}

impl Loss {
    /// How many times a request may be tried again after this loss, because the request may not be its cause. `fresh`:
    /// the child had answered no request before. A machine that is short of memory kills the largest processes for some
    /// seconds, so a kill from outside allows the most tries.
    fn further_tries(&self, fresh: bool) -> usize {
        match self {
            Loss::Died { killed: true, .. } => REPLACEMENTS.len(),
            Loss::Late => 1,
            Loss::Died { .. } | Loss::Garbled(_) => usize::from(!fresh),
        }
    }
}

fn refused(class: FailureClass, request: &Request, why: &str) -> RenderFailure {
    RenderFailure::Page { class, reason: format!("{}: {why}", request.subject()) }
}

fn answer(response: Response, image: Vec<u8>) -> Answer {
    match response {
        Response::Refused(Refusal { class, reason }) => Err(RenderFailure::Page { class, reason }),
        response => Ok((response, Bytes::from(image))),
    }
}
