//! The face of a transport.

use crate::model::RankId;

/// Where a rank stands among those of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalPosition {
    /// 0-based; picks the GPU.
    pub rank: u32,
    /// Ranks on this host.
    pub size: u32,
}

/// Carries frames between ranks. Used from one thread only; sends never block, and a receive waits only for the rest of a
/// frame that has begun to come.
pub trait Transport {
    /// This rank.
    fn rank(&self) -> RankId;

    /// Number of ranks.
    fn size(&self) -> u32;

    /// Where this rank stands among those of its host.
    fn local(&self) -> LocalPosition;

    /// Puts a frame into the peer's outbox.
    fn send(&mut self, to: RankId, frame: Vec<u8>);

    /// The next frame that has arrived, if any. Frames of one sender arrive in order.
    fn receive(&mut self) -> Option<(RankId, Vec<u8>)>;

    /// Moves outgoing frames on; true when every outbox is empty.
    fn progress(&mut self) -> bool;

    /// Ends the whole run at once, all ranks.
    fn abort(&self, code: i32) -> !;
}
