//! The task of a service: starts its server, watches it, and starts it again after its death.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    engine::Reader,
    model::{Role, ServedBy, error::chain},
    sys::seconds_text,
};

use super::{
    budget::StartBudget,
    control::ShutdownRequest,
    desired_state::{DesiredState, until},
    gpu_permit::GpuPermit,
    plan::ServicePlan,
    process::{Server, tail},
    requests::SharedRequests,
    start::StartError,
    state::{Ready, ServiceEvent, State},
    switch::ended,
    watch::death,
};

/// Keeps the server of one engine, until the service is stopped or the engine is given up.
pub(super) struct Supervisor {
    pub(super) requests: SharedRequests,
    pub(super) plan: ServicePlan,
    pub(super) on_event: Box<dyn Fn(ServiceEvent) + Send + Sync>,
    pub(super) state: watch::Sender<State>,
    pub(super) desired_state: watch::Receiver<DesiredState>,
    /// Held while the server may have memory of the GPU that another server must wait for.
    pub(super) admitted: Option<GpuPermit>,
    /// The process, from its launch until it is gone; it may sleep.
    pub(super) server: Option<Server>,
    /// The copying of the model while another engine serves; dropped with this.
    pub(super) ahead: JoinSet<()>,
}

/// How one life of a server ended.
enum End {
    /// The server was ready for this long, and died of this cause.
    Died(Duration, String),
    /// The server sleeps or was ended, because another engine is to serve. `served` says whether it was ready before.
    PutAside { served: bool },
}

impl Supervisor {
    pub(super) async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut budget = StartBudget::default();
        for start in 1.. {
            let ended = tokio::select! {
                ended = self.watch_until_end(start) => ended,
                requested = &mut stopped => return self.end_service(requested.is_ok()).await,
            };
            let ended = match ended {
                Ok(End::PutAside { served }) => {
                    if served {
                        budget = StartBudget::default();
                    }
                    continue;
                }
                Ok(End::Died(life, cause)) => Ok((life, cause)),
                Err(error) => Err(error),
            };
            let log = self.server.as_ref().and_then(Server::log).map(Path::to_owned);
            // The next start needs the memory of the GPU that this server still holds. A dead server gets no grace.
            self.end_server(if ended.is_ok() { ShutdownRequest::Kill } else { ShutdownRequest::Goodbye }).await;
            // A server that could not be put to rest may still be awake: the permit is kept until the next try.
            if !matches!(*self.state.borrow(), State::Resting) {
                self.admitted = None;
            }
            let (life, reason) = match ended {
                Ok((life, cause)) => (life, format!("the server died: {cause}")),
                Err(error) if error.is_permanent() => {
                    self.give_up(chain(&error));
                    break;
                }
                Err(error) => (Duration::ZERO, format!("the server did not start: {}", chain(&error))),
            };
            tracing::warn!(engine = %self.plan.engine, start, life = %seconds_text(life), "{reason}");
            let pause = match budget.after(life, self.requests.lock().end()) {
                Ok(pause) => pause,
                Err(spent) => {
                    let end = log.map(|log| format!("; the end of its log {}:\n{}", log.display(), tail(&log)));
                    self.give_up(format!("{spent}; the last: {reason}{}", end.unwrap_or_default()));
                    break;
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                requested = &mut stopped => return self.end_service(requested.is_ok()).await,
            }
        }
    }

    /// Ends the service: on request of its owner (`requested`), or because the owner is gone. In the second case the
    /// server is left to the orphan grace.
    async fn end_service(mut self, requested: bool) {
        if requested {
            self.end_server(ShutdownRequest::Goodbye).await;
        }
        self.state.send_replace(State::Lost);
    }

    /// One life of a server: from its launch, or from its waking up, to its death or to the switch to another engine.
    /// The process is left to [`Supervisor::end_server`], also when this future is dropped.
    async fn watch_until_end(&mut self, start: u32) -> Result<End, StartError> {
        let engine = self.plan.engine.clone();
        self.rest().await?;
        if let Some(preparation) = &self.plan.share.preparation {
            preparation.begin();
        }
        let mut desired_state = self.desired_state.clone();
        let reader = tokio::select! {
            reader = self.bring_up() => Arc::new(reader?),
            () = until(&mut desired_state, DesiredState::Rest) => {
                self.put_aside().await;
                return Ok(End::PutAside { served: false });
            }
        };
        if matches!(self.plan.memory_share.role, Role::Together(_)) {
            self.admitted = None;
        }
        let ServedBy { model, version, profile, .. } = reader.served_by();
        tracing::info!(%engine, start, model, version, profile, "the server is ready");
        self.plan.gpu_permits.serves();
        let since = Instant::now();
        self.state.send_replace(State::Ready(Ready { start, reader: Arc::clone(&reader) }));
        (self.on_event)(ServiceEvent::Ready(Box::new(reader.server().clone())));
        let cause = tokio::select! {
            cause = self.until_death(start, &reader) => cause,
            () = until(&mut desired_state, DesiredState::Rest) => {
                self.state.send_replace(State::Resting);
                self.put_aside().await;
                return Ok(End::PutAside { served: true });
            }
        };
        self.state.send_replace(State::Starting);
        Ok(End::Died(since.elapsed(), cause))
    }

    /// Waits until the process ends, it is reported as dead, or a health probe fails. Returns the cause.
    async fn until_death(&mut self, start: u32, reader: &Reader) -> String {
        let mut state = self.state.subscribe();
        let reported = state.wait_for(|state| !state.is_start(start));
        tokio::select! {
            () = ended(&mut self.server) => "its process ended".into(),
            reported = reported => match reported.as_deref() {
                Ok(State::Reported(report)) => report.to_string(),
                _ => "its state changed".into(),
            },
            death = death(reader.client(), &reader.server().model, self.plan.settings.hang_limit) => death.to_string(),
        }
    }

    pub(super) async fn end_server(&mut self, request: ShutdownRequest) {
        if let Some(server) = &mut self.server {
            if let Err(error) = server.end(request).await {
                tracing::error!(engine = %self.plan.engine, "{}", chain(&error));
            }
            // Only after the end: if the service is stopped meanwhile, it must wait for the same end.
            self.server = None;
        }
    }

    fn give_up(&self, reason: String) {
        let engine = self.plan.engine.clone();
        tracing::error!(%engine, "this rank gives the engine up and returns its pages: {reason}");
        self.state.send_replace(State::Lost);
        (self.on_event)(ServiceEvent::Lost(reason));
    }
}
