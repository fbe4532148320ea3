//! Whether a server is to serve now, or to leave the GPU to another engine's server.

use tokio::sync::watch;

/// What the server of an engine is to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesiredState {
    /// Answer requests.
    Serve,
    /// Leave the GPU's memory to the server of another engine: sleep, or end.
    Rest,
}

/// Sets the desired state of a service.
#[derive(Debug, Clone)]
pub struct DesiredStateSwitch(pub(super) watch::Sender<DesiredState>);

impl DesiredStateSwitch {
    /// Sets the state. Before one engine is set to [`DesiredState::Serve`], the caller sets the other to
    /// [`DesiredState::Rest`].
    pub fn set(&self, desired_state: DesiredState) {
        self.0.send_replace(desired_state);
    }
}

/// Waits until the desired state is `wanted`; for ever where its sender is gone.
pub(super) async fn until(desired_state: &mut watch::Receiver<DesiredState>, wanted: DesiredState) {
    if desired_state.wait_for(|desired_state| *desired_state == wanted).await.is_err() {
        std::future::pending().await
    }
}
