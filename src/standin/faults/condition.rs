//! The condition of the engine behind the server: one value for the whole process, watched by every request.

use tokio::sync::watch;

/// The state of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The engine serves.
    Healthy,
    /// No request progresses, but `/health` is 200: a real server does not notice that its engine process is stopped.
    Hung,
    /// The engine process is gone; the server ends soon after.
    Dead,
}

/// The condition, with notice of its changes.
#[derive(Debug)]
pub struct EngineCondition(watch::Sender<Condition>);

impl EngineCondition {
    /// A healthy engine.
    pub fn healthy() -> Self {
        EngineCondition(watch::Sender::new(Condition::Healthy))
    }

    /// The present condition.
    pub fn now(&self) -> Condition {
        *self.0.borrow()
    }

    /// Makes the engine hang, unless it is dead already.
    pub fn hang(&self) {
        self.0.send_if_modified(|condition| {
            let alive = *condition != Condition::Dead;
            if alive {
                *condition = Condition::Hung;
            }
            alive
        });
    }

    /// Makes the engine die.
    pub fn die(&self) {
        self.0.send_replace(Condition::Dead);
    }

    /// Waits for the engine's death.
    pub async fn death(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|condition| *condition == Condition::Dead).await;
    }

    /// Runs `work` on the engine: a hang stops it, and the death of the engine ends it with `None`.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut watch = self.0.subscribe();
        let trouble = async { drop(watch.wait_for(|condition| *condition != Condition::Healthy).await) };
        tokio::select! {
            biased;
            () = trouble => {}
            done = work => return Some(done),
        }
        self.death().await;
        None
    }
}
