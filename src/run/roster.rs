//! The roster: what rank 0 knows of the ranks and their engines before there is a scheduler.

use std::collections::BTreeMap;

use super::error::RunError;
use crate::{
    comm::{Hello, ToCoordinator},
    model::{Capabilities, Engine, RankId},
};

/// The ranks that have reported, and the state of their engines.
#[derive(Debug, Default)]
pub(super) struct Roster {
    hellos: BTreeMap<RankId, Hello>,
    /// In order of arrival.
    engines: Vec<(RankId, EngineNews)>,
}

#[derive(Debug)]
enum EngineNews {
    Ready(Engine, Box<Capabilities>),
    Lost(Engine, String),
}

impl Roster {
    /// Handles a message of a rank before the first page.
    ///
    /// # Errors
    /// The rank asks the run to stop: there is nothing to recall or to seal yet. Or the message is out of phase.
    pub(super) fn record(&mut self, rank: RankId, message: ToCoordinator) -> Result<(), RunError> {
        match message {
            ToCoordinator::Hello(hello) => drop(self.hellos.insert(rank, hello)),
            ToCoordinator::EngineReady(engine, server) => self.engines.push((rank, EngineNews::Ready(engine, server))),
            ToCoordinator::EngineLost(engine, reason) => self.engines.push((rank, EngineNews::Lost(engine, reason))),
            ToCoordinator::StopRequested(reason, _) => return Err(RunError::StoppedEarly(reason)),
            ToCoordinator::Alive { .. } => {}
            ToCoordinator::Recovered(_)
            | ToCoordinator::Settled(_)
            | ToCoordinator::Returned(_)
            | ToCoordinator::Finished(_) => return Err(RunError::OutOfPhase(rank)),
        }
        Ok(())
    }

    /// Ranks that have reported.
    pub(super) fn ranks(&self) -> Vec<RankId> {
        self.hellos.keys().copied().collect()
    }

    /// The same as messages for the coordinator: first every rank, then the engines.
    pub(super) fn into_messages(self) -> impl Iterator<Item = (RankId, ToCoordinator)> {
        let hellos = self.hellos.into_iter().map(|(rank, hello)| (rank, ToCoordinator::Hello(hello)));
        hellos.chain(self.engines.into_iter().map(|(rank, news)| match news {
            EngineNews::Ready(engine, server) => (rank, ToCoordinator::EngineReady(engine, server)),
            EngineNews::Lost(engine, reason) => (rank, ToCoordinator::EngineLost(engine, reason)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Role, StopReason};

    #[test]
    fn a_stop_before_the_first_page_ends_the_run_and_pages_are_out_of_phase() {
        let mut roster = Roster::default();
        let hello = Hello {
            program_version: "1".into(),
            settings: "s".into(),
            host: "h".into(),
            local_rank: 0,
            gpu: None,
            role: Role::Together,
            credits: 1,
        };
        let lost = ToCoordinator::EngineLost(Engine::Chandra, "gone".into());
        roster.record(RankId(1), lost.clone()).unwrap();
        roster.record(RankId(1), ToCoordinator::Hello(hello.clone())).unwrap();
        assert_eq!(roster.ranks(), [RankId(1)]);
        assert!(matches!(roster.record(RankId(2), ToCoordinator::Settled(Vec::new())), Err(RunError::OutOfPhase(_))));
        let stop = ToCoordinator::StopRequested(StopReason::Requested, "a signal".into());
        assert!(matches!(roster.record(RankId(2), stop), Err(RunError::StoppedEarly(StopReason::Requested))));
        let messages: Vec<_> = roster.into_messages().collect();
        assert_eq!(messages, [(RankId(1), ToCoordinator::Hello(hello)), (RankId(1), lost)]);
    }
}
