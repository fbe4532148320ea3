//! The roster: what rank 0 knows of the ranks and their engines before there is a scheduler.

use std::collections::BTreeMap;

use super::error::RunError;
use crate::{
    comm::{Hello, ToCoordinator},
    model::{Capabilities, Engine, EngineNames, RankId},
    sys::PROGRAM_VERSION,
};

/// The ranks that have reported, and the state of their engines.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Names of the engines, for messages.
    names: EngineNames,
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
    /// A roster without ranks, for a run with these engines.
    pub(super) fn new(names: EngineNames) -> Self {
        Roster { names, ..Roster::default() }
    }

    /// Handles a message of a rank before the first page.
    ///
    /// # Errors
    /// The rank asks the run to stop: there is nothing to recall or to seal yet. Or the rank has another build or other
    /// settings than rank 0, or the message is out of phase.
    pub(super) fn record(&mut self, rank: RankId, message: ToCoordinator) -> Result<(), RunError> {
        match message {
            ToCoordinator::Hello(hello) => {
                if let Some(own) = self.hellos.get(&RankId::COORDINATOR) {
                    check_alike(rank, &hello, &own.settings)?;
                }
                self.hellos.insert(rank, hello);
            }
            ToCoordinator::EngineReady(engine, server) => self.engines.push((rank, EngineNews::Ready(engine, server))),
            ToCoordinator::EngineLost(engine, reason) => self.engines.push((rank, EngineNews::Lost(engine, reason))),
            ToCoordinator::StopRequested(reason, _) => return Err(RunError::StoppedEarly(reason.named(&self.names))),
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

/// Refuses a rank with another build than this one or other settings than these: it would mix different results.
///
/// # Errors
/// The rank differs.
pub(super) fn check_alike(rank: RankId, hello: &Hello, settings: &str) -> Result<(), RunError> {
    let host = hello.host.clone();
    if hello.program_version != PROGRAM_VERSION {
        return Err(RunError::MixedVersions { rank, host, theirs: hello.program_version.clone() });
    }
    if hello.settings != settings {
        return Err(RunError::MixedSettings { rank, host });
    }
    Ok(())
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
            role: Role::Together(EngineNames::default().all()),
            credits: 1,
        };
        let lost = ToCoordinator::EngineLost(Engine::FIRST, "gone".into());
        roster.record(RankId(1), lost.clone()).unwrap();
        roster.record(RankId(1), ToCoordinator::Hello(hello.clone())).unwrap();
        assert_eq!(roster.ranks(), [RankId(1)]);
        assert!(matches!(roster.record(RankId(2), ToCoordinator::Settled(Vec::new())), Err(RunError::OutOfPhase(_))));
        let stop = ToCoordinator::StopRequested(StopReason::Requested, "a signal".into());
        assert!(matches!(roster.record(RankId(2), stop), Err(RunError::StoppedEarly(StopReason::Requested))));
        let other_build = ToCoordinator::Hello(Hello { program_version: "0.1.0+0".into(), ..hello.clone() });
        let own = Hello { program_version: PROGRAM_VERSION.into(), ..hello.clone() };
        let mut with_rank_zero = Roster::default();
        with_rank_zero.record(RankId::COORDINATOR, ToCoordinator::Hello(own)).unwrap();
        assert!(matches!(with_rank_zero.record(RankId(1), other_build), Err(RunError::MixedVersions { .. })));
        let messages: Vec<_> = roster.into_messages().collect();
        assert_eq!(messages, [(RankId(1), ToCoordinator::Hello(hello)), (RankId(1), lost)]);
    }
}
