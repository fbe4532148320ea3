//! Whether a server is to serve now, or to leave the GPU to another.

use tokio::sync::watch;

/// What a server is there for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesiredState {
    /// To answer.
    Serve,
    /// To leave the GPU to the other.
    Rest,
}

/// Tells a service its duty.
#[derive(Debug, Clone)]
pub struct DesiredStateSwitch(pub(super) watch::Sender<DesiredState>);

impl DesiredStateSwitch {
    /// From now on. Whoever lets one serve lets the other rest first.
    pub fn set(&self, duty: DesiredState) {
        self.0.send_replace(duty);
    }
}

/// Waits until the duty is this one; for ever where nobody can say so any more.
pub(super) async fn until(duty: &mut watch::Receiver<DesiredState>, wanted: DesiredState) {
    if duty.wait_for(|duty| *duty == wanted).await.is_err() {
        std::future::pending().await
    }
}
