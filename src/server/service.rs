//! The service of an engine on this rank: brings its server up, watches it, restarts it, and gives it up in the end.

use std::sync::Arc;

use tokio::{
    sync::{Mutex, OwnedMutexGuard, oneshot, watch},
    task::{JoinHandle, JoinSet},
};

use crate::model::{MachineFault, Trial};

use super::{
    desired_state::{DesiredState, DesiredStateSwitch},
    plan::ServicePlan,
    requests::SharedRequests,
    state::{LifeWatch, Ready, ReportedDeath, ServiceEvent, State},
    supervisor::Supervisor,
};

/// The handle of a service. If it is dropped without [`Service::stop`], the server lives on for the orphan grace.
#[derive(Debug)]
pub struct Service {
    state: watch::Sender<State>,
    requests: SharedRequests,
    /// Held while the first page is alone.
    alone: Arc<Mutex<()>>,
    desired_state: DesiredStateSwitch,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Service {
    /// Starts the service on the current runtime; `on_event` is called from its task and must not block.
    pub fn start(plan: ServicePlan, on_event: impl Fn(ServiceEvent) + Send + Sync + 'static) -> Service {
        let state = watch::Sender::new(match plan.desired_state {
            DesiredState::Serve => State::Starting,
            DesiredState::Rest => State::Resting,
        });
        let (stop, stopped) = oneshot::channel();
        let (desired_state, duty_changes) = watch::channel(plan.desired_state);
        let requests = SharedRequests::default();
        let supervisor = Supervisor {
            requests: requests.clone(),
            // Done here and not in the task, so that the services of a rank get the GPU in the order in which they are
            // started.
            admitted: plan.gpu_permits.try_enter(),
            plan,
            on_event: Box::new(on_event),
            state: state.clone(),
            desired_state: duty_changes,
            server: None,
            ahead: JoinSet::new(),
        };
        let task = tokio::spawn(supervisor.run(stopped));
        Service {
            state,
            requests,
            alone: Arc::default(),
            desired_state: DesiredStateSwitch(desired_state),
            stop: Some(stop),
            task,
        }
    }

    /// Waits until the server is ready.
    ///
    /// # Errors
    /// The engine is given up on this rank, or its server rests.
    pub async fn ready(&self) -> Result<Ready, MachineFault> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Starting | State::Reported(_))).await;
        match settled.as_deref() {
            Ok(State::Ready(ready)) => Ok(ready.clone()),
            Ok(State::Starting | State::Reported(_) | State::Resting | State::Lost) | Err(_) => {
                Err(MachineFault::ConnectionLost)
            }
        }
    }

    /// Waits until a page may be sent. While the second value is kept, no other page is sent: after a start that died and
    /// had answered nothing, the first page is alone, so that the next death says which page or that the engine is at fault.
    ///
    /// # Errors
    /// The engine is given up on this rank, or its server rests.
    pub async fn ready_for_page(&self) -> Result<(Ready, Option<OwnedMutexGuard<()>>), MachineFault> {
        let ready = self.ready().await?;
        if !self.requests.lock().is_one_at_a_time() {
            return Ok((ready, None));
        }
        let alone = Arc::clone(&self.alone).lock_owned().await;
        // Another page may have been answered meanwhile, or the server may have died.
        let ready = self.ready().await?;
        let is_first = self.requests.lock().is_one_at_a_time();
        Ok((ready, is_first.then_some(alone)))
    }

    /// The state of the server, for parts of the program that do not own this handle.
    pub fn life(&self) -> LifeWatch {
        LifeWatch(self.state.subscribe())
    }

    /// The switch of the desired state, for parts of the program that do not own this handle.
    pub fn desired_state(&self) -> DesiredStateSwitch {
        self.desired_state.clone()
    }

    /// Reports that this start is dead or of no use, though its process may still run. From now on it is not given out, and
    /// the server is restarted. A report about an earlier start changes nothing.
    pub fn report_death(&self, start: u32, report: ReportedDeath) {
        self.state.send_if_modified(|state| {
            let dead = state.is_start(start);
            if dead {
                *state = State::Reported(report);
            }
            dead
        });
    }

    /// A page is sent to this start of the server.
    pub fn asks(&self, start: u32, trial: Option<Trial>) {
        self.requests.lock().asks(start, trial);
    }

    /// This start of the server has answered a page that was sent so.
    pub fn answered(&self, start: u32, trial: Option<Trial>) {
        self.requests.lock().answered(start, trial);
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
    }
}
