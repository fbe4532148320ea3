//! The permit to use the GPU of a rank, which one server has at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Lets the servers of a rank onto its GPU, one at a time: vLLM takes what is free when it starts for what it may have, so
/// two that started together would be wrong about it. Servers that take turns stay admitted until they sleep or are gone.
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
    /// At once, or not at all.
    pub(super) fn try_enter(&self) -> Option<GpuPermit> {
        Arc::clone(&self.right).try_acquire_owned().ok().map(GpuPermit)
    }

    pub(super) async fn acquire(&self) -> Option<GpuPermit> {
        // It is never closed.
        Arc::clone(&self.right).acquire_owned().await.ok().map(GpuPermit)
    }

    /// A server of the rank is ready: its node has time for others.
    pub(super) fn serves(&self) {
        self.serves.send_replace(true);
    }
}

/// The right to the GPU, until it is dropped.
#[derive(Debug)]
pub(super) struct GpuPermit(#[allow(dead_code, reason = "held, not read")] OwnedSemaphorePermit);
