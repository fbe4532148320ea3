//! Ranks as threads of one process: for a run without mpirun (one rank) and for tests.

use std::sync::mpsc::{Receiver, Sender, channel};

use crate::model::RankId;

use super::transport::{LocalPosition, Transport};

/// One rank of a set. Frames go through the codec as under MPI.
#[derive(Debug)]
pub struct InProcess {
    rank: RankId,
    peers: Vec<Sender<(RankId, Vec<u8>)>>,
    inbox: Receiver<(RankId, Vec<u8>)>,
}

impl InProcess {
    /// Makes `size` ranks that can send to each other.
    pub fn set(size: u32) -> Vec<InProcess> {
        let (peers, inboxes): (Vec<_>, Vec<_>) = (0..size).map(|_| channel()).unzip();
        let make = |(rank, inbox)| InProcess { rank: RankId(rank), peers: peers.clone(), inbox };
        (0..size).zip(inboxes).map(make).collect()
    }
}

impl Transport for InProcess {
    fn rank(&self) -> RankId {
        self.rank
    }

    fn size(&self) -> u32 {
        self.peers.len() as u32
    }

    fn local(&self) -> LocalPosition {
        LocalPosition { rank: self.rank.0, size: self.size() }
    }

    fn send(&mut self, to: RankId, frame: Vec<u8>) {
        // As under MPI, sending to a rank that has ended reports nothing.
        let _ = self.peers[to.0 as usize].send((self.rank, frame));
    }

    fn receive(&mut self) -> Option<(RankId, Vec<u8>)> {
        self.inbox.try_recv().ok()
    }

    fn progress(&mut self) -> bool {
        true
    }

    fn abort(&self, code: i32) -> ! {
        std::process::exit(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_in_order_with_their_sender() {
        let [mut first, mut second] = InProcess::set(2).try_into().unwrap();
        second.send(RankId(0), vec![1]);
        second.send(RankId(0), vec![2]);
        assert_eq!(first.receive(), Some((RankId(1), vec![1])));
        assert_eq!(first.receive(), Some((RankId(1), vec![2])));
        assert_eq!(first.receive(), None);
        first.send(RankId(0), vec![3]);
        assert_eq!(first.receive(), Some((RankId(0), vec![3])));
    }
}
