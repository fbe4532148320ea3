//! The permit to use the GPU of a rank, which one server holds at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Gives the servers of a rank its GPU, one at a time. A starting vLLM counts the memory that is free at that moment as
/// its own, so two servers that start together both count too much. Where engines share the GPU by role switches, a
/// server keeps the permit until it sleeps or has ended.
#[derive(Debug, Clone)]
pub struct GpuPermits {
    right: Arc<Semaphore>,
    pub(super) serves: watch::Sender<bool>,
}

impl Default for GpuPermits {
    fn default() -> Self {
        GpuPermits { right: Arc::new(Semaphore::new(1)), serves: watch::Sender::new(false) }
    }
}

impl GpuPermits {
    /// The permit, if it is free now.
    pub(super) fn try_enter(&self) -> Option<GpuPermit> {
        Arc::clone(&self.right).try_acquire_owned().ok().map(GpuPermit)
    }

    pub(super) async fn acquire(&self) -> Option<GpuPermit> {
        // The semaphore is never closed, so this is never `None`.
        Arc::clone(&self.right).acquire_owned().await.ok().map(GpuPermit)
    }

    /// Says that a server of the rank is ready, so that the node has time to copy other models.
    pub(super) fn serves(&self) {
        self.serves.send_replace(true);
    }
}

/// The permit; dropping it frees the GPU.
#[derive(Debug)]
pub(super) struct GpuPermit(#[allow(dead_code, reason = "held, not read")] OwnedSemaphorePermit);
