//! An engine's server on this rank: brought up, watched, restarted when it dies, given up when it keeps dying.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::{
    sync::{oneshot, watch},
    task::{JoinHandle, JoinSet},
};

use crate::model::MachineFault;

use super::{
    desired_state::{DesiredState, DesiredStateSwitch},
    plan::ServicePlan,
    state::{LifeWatch, Ready, ServiceEvent, State},
    supervisor::Supervisor,
};

/// The handle of a service. Dropping it is as the death of this rank: the server lives on for the plan's linger time.
#[derive(Debug)]
pub struct Service {
    state: watch::Sender<State>,
    /// The start on which a page is tried alone; 0 for none.
    probed_start: Arc<AtomicU32>,
    duty: DesiredStateSwitch,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Service {
    /// Starts the service on the current runtime; `on_event` is called from its task and must not block.
    pub fn start(plan: ServicePlan, on_event: impl Fn(ServiceEvent) + Send + Sync + 'static) -> Service {
        let state = watch::Sender::new(match plan.duty {
            DesiredState::Serve => State::Starting,
            DesiredState::Rest => State::Resting,
        });
        let (stop, stopped) = oneshot::channel();
        let (duty, told) = watch::channel(plan.duty);
        let probed_start = Arc::new(AtomicU32::new(0));
        let supervisor = Supervisor {
            probed_start: Arc::clone(&probed_start),
            // Here and not in the task, so that the services of a rank are admitted in the order in which they are started.
            admitted: plan.admission.try_enter(),
            plan,
            on_event: Box::new(on_event),
            state: state.clone(),
            duty: told,
            server: None,
            ahead: JoinSet::new(),
        };
        let task = tokio::spawn(supervisor.run(stopped));
        Service { state, probed_start, duty: DesiredStateSwitch(duty), stop: Some(stop), task }
    }

    /// The server, once it is ready.
    ///
    /// # Errors
    /// The engine is given up on this rank, or it is another's turn.
    pub async fn ready(&self) -> Result<Ready, MachineFault> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Starting)).await;
        match settled.as_deref() {
            Ok(State::Ready(ready)) => Ok(ready.clone()),
            Ok(State::Starting | State::Resting | State::Lost) | Err(_) => Err(MachineFault::ConnectionLost),
        }
    }

    /// How the server stands, whoever owns this handle.
    pub fn life(&self) -> LifeWatch {
        LifeWatch(self.state.subscribe())
    }

    /// Tells it when it is its engine's turn, whoever owns this handle.
    pub fn duty(&self) -> DesiredStateSwitch {
        self.duty.clone()
    }

    /// Says that a start's engine is dead, though its process may linger. Nobody is given this start any more; that of
    /// an earlier start changes nothing.
    pub fn report_death(&self, start: u32) {
        self.state.send_if_modified(|state| {
            let dead = state.is_start(start);
            if dead {
                *state = State::Starting;
            }
            dead
        });
    }

    /// Says that a page suspected of killing its engine is tried alone on this start: its death is the page's doing, and
    /// costs no start of the budget.
    pub fn begin_trial(&self, start: u32) {
        self.probed_start.store(start, Ordering::SeqCst);
    }

    /// Says that the start has survived the probed_start.
    pub fn end_trial(&self) {
        self.probed_start.store(0, Ordering::SeqCst);
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
    }
}
