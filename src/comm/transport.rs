//! The interface of a transport.

use crate::model::RankId;

/// The position of a rank among the ranks of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalPosition {
    /// From 0. It selects the GPU.
    pub rank: u32,
    /// Number of ranks on this host.
    pub size: u32,
}

/// Carries frames between ranks. It is used from one thread only. It never waits for a peer.
pub trait Transport {
    /// This rank.
    fn rank(&self) -> RankId;

    /// Number of ranks.
    fn size(&self) -> u32;

    /// The position of this rank among the ranks of its host.
    fn local(&self) -> LocalPosition;

    /// Puts a frame into the peer's outbox.
    fn send(&mut self, to: RankId, frame: Vec<u8>);

    /// The next frame that has arrived as a whole, if any. Frames of one sender arrive in order.
    fn receive(&mut self) -> Option<(RankId, Vec<u8>)>;

    /// Advances outgoing frames; true when every outbox is empty.
    fn progress(&mut self) -> bool;

    /// Ends all ranks of the run at once.
    fn abort(&self, code: i32) -> !;
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn rank(&self) -> RankId {
        (**self).rank()
    }

    fn size(&self) -> u32 {
        (**self).size()
    }

    fn local(&self) -> LocalPosition {
        (**self).local()
    }

    fn send(&mut self, to: RankId, frame: Vec<u8>) {
        (**self).send(to, frame);
    }

    fn receive(&mut self) -> Option<(RankId, Vec<u8>)> {
        (**self).receive()
    }

    fn progress(&mut self) -> bool {
        (**self).progress()
    }

    fn abort(&self, code: i32) -> ! {
        (**self).abort(code)
    }
}
