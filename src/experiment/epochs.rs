//! One transport for all runs of an experiment and for the orders between them.
//!
//! Orders and runs are numbered through: order 0, run 0, order 1, run 1 … A rank that is still in a run may already be
//! sent the next order, and a last sign of life may arrive after its run. So every frame begins with the number of its
//! epoch: earlier frames are dropped, later ones wait.

use std::collections::VecDeque;

use crate::{
    comm::{LocalPosition, Transport},
    model::RankId,
};

/// Number of an order or a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Epoch(u32);

impl Epoch {
    /// The order of this number, from 0.
    pub(super) fn order(number: u32) -> Epoch {
        Epoch(2 * number)
    }

    /// The run that follows this order.
    pub(super) fn run(number: u32) -> Epoch {
        Epoch(2 * number + 1)
    }
}

/// A transport, and the frames that arrived too early.
pub(super) struct Epochs<'a> {
    inner: &'a mut dyn Transport,
    early: VecDeque<(Epoch, RankId, Vec<u8>)>,
}

impl<'a> Epochs<'a> {
    pub(super) fn new(inner: &'a mut dyn Transport) -> Epochs<'a> {
        Epochs { inner, early: VecDeque::new() }
    }

    pub(super) fn rank(&self) -> RankId {
        self.inner.rank()
    }

    /// Number of all ranks.
    pub(super) fn size(&self) -> u32 {
        self.inner.size()
    }

    /// The transport of an epoch, among the first `ranks` ranks.
    pub(super) fn transport(&mut self, epoch: Epoch, ranks: u32) -> EpochTransport<'_, 'a> {
        self.early.retain(|(of, ..)| *of >= epoch);
        EpochTransport { epochs: self, epoch, ranks }
    }
}

/// The transport of one epoch.
pub(super) struct EpochTransport<'e, 'a> {
    epochs: &'e mut Epochs<'a>,
    epoch: Epoch,
    ranks: u32,
}

impl Transport for EpochTransport<'_, '_> {
    fn rank(&self) -> RankId {
        self.epochs.inner.rank()
    }

    fn size(&self) -> u32 {
        self.ranks
    }

    fn local(&self) -> LocalPosition {
        self.epochs.inner.local()
    }

    fn send(&mut self, to: RankId, frame: Vec<u8>) {
        self.epochs.inner.send(to, [&self.epoch.0.to_le_bytes()[..], &frame].concat());
    }

    fn receive(&mut self) -> Option<(RankId, Vec<u8>)> {
        let early = self.epochs.early.iter().position(|(of, ..)| *of == self.epoch);
        if let Some((_, from, frame)) = early.and_then(|place| self.epochs.early.remove(place)) {
            return Some((from, frame));
        }
        while let Some((from, mut frame)) = self.epochs.inner.receive() {
            let Some(number) = frame.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)) else { continue };
            frame.drain(..size_of::<u32>());
            let of = Epoch(number);
            if of == self.epoch {
                return Some((from, frame));
            } else if of > self.epoch {
                self.epochs.early.push_back((of, from, frame));
            }
        }
        None
    }

    fn progress(&mut self) -> bool {
        self.epochs.inner.progress()
    }

    fn abort(&self, code: i32) -> ! {
        self.epochs.inner.abort(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::InProcess;

    #[test]
    fn a_frame_is_seen_in_its_epoch_only() {
        let [mut first, mut second] = InProcess::set(2).try_into().unwrap();
        let (mut first, mut second) = (Epochs::new(&mut first), Epochs::new(&mut second));
        let mut send = |epoch, byte| first.transport(epoch, 2).send(RankId(1), vec![byte]);
        send(Epoch::order(0), 1);
        send(Epoch::run(0), 2);
        send(Epoch::order(1), 3);
        send(Epoch::run(0), 4);
        send(Epoch::run(1), 5);
        let received = |second: &mut Epochs<'_>, epoch| second.transport(epoch, 2).receive().map(|(_, frame)| frame[0]);
        assert_eq!(received(&mut second, Epoch::order(0)), Some(1));
        assert_eq!(received(&mut second, Epoch::run(0)), Some(2));
        assert_eq!(received(&mut second, Epoch::run(0)), Some(4));
        assert_eq!(received(&mut second, Epoch::run(0)), None);
        // A rank that rests skips run 0, and what came late for it.
        assert_eq!(received(&mut second, Epoch::order(1)), Some(3));
        let mut late = |epoch, byte| first.transport(epoch, 2).send(RankId(1), vec![byte]);
        late(Epoch::run(0), 6);
        assert_eq!(received(&mut second, Epoch::run(1)), Some(5));
        assert_eq!(received(&mut second, Epoch::run(1)), None);
    }
}
