//! Limit on the memory of encoded page images that a rank holds.

use std::sync::Arc;

use bytesize::ByteSize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::MachineFault;

/// The memory, dealt out in kibibytes.
#[derive(Debug, Clone)]
pub(super) struct ImageMemory {
    kibibytes: Arc<Semaphore>,
    total: u32,
}

impl ImageMemory {
    pub(super) fn new(bound: ByteSize) -> Self {
        let total = kibibytes(bound.as_u64()).max(1);
        ImageMemory { kibibytes: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Waits for a share of `bytes`, or of all memory if `bytes` exceeds it.
    pub(super) async fn acquire(&self, bytes: u64) -> Result<OwnedSemaphorePermit, MachineFault> {
        let share = kibibytes(bytes).clamp(1, self.total);
        Arc::clone(&self.kibibytes).acquire_many_owned(share).await.map_err(|_| MachineFault::Draining)
    }

    /// Releases all but `bytes` of a share.
    pub(super) fn shrink(&self, share: &mut OwnedSemaphorePermit, bytes: u64) {
        let kept = kibibytes(bytes) as usize;
        if let Some(excess) = share.num_permits().checked_sub(kept) {
            drop(share.split(excess));
        }
    }
}

fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_an_image_turns_out_not_to_need_goes_back_at_once() {
        let memory = ImageMemory::new(ByteSize::kib(10));
        let mut first = memory.acquire(1 << 40).await.unwrap();
        assert_eq!(memory.kibibytes.available_permits(), 0);
        memory.shrink(&mut first, 3000);
        assert_eq!(memory.kibibytes.available_permits(), 7);
        drop(first);
        assert_eq!(memory.kibibytes.available_permits(), 10);
    }
}
