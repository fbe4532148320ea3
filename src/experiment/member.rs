//! A rank of an experiment: it takes part in the runs that rank 0 orders, and rests otherwise.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::process::getppid;
use serde::{Deserialize, Serialize};

use super::{
    epochs::{Epoch, Epochs},
    error::ExperimentError,
    servers::{Change, ServerSettings},
};
use crate::{
    comm::{PollBackoff, Transport, decode, encode, launched_by_mpi},
    corpus::Inputs,
    model::RankId,
    report::EndReport,
    run::{RunRequest, TimeLimit, run_with},
    worker::ResidentServers,
};

/// What rank 0 orders all ranks to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Order {
    /// The first `ranks` ranks read the inputs of rank 0 into this folder, with the settings of this arm.
    Run { folder: PathBuf, ranks: u32, arm: u32 },
    /// The experiment is over.
    End,
}

/// A run as one rank sees it.
pub(super) struct Part<'a> {
    pub(super) folder: &'a Path,
    pub(super) ranks: u32,
    /// Number of the arm.
    pub(super) arm: u32,
    /// Rank 0 plans the pages; the other ranks have no inputs.
    pub(super) inputs: Inputs,
    pub(super) time_left: Option<Duration>,
}

/// A rank that takes part.
pub(super) struct Member<'a> {
    pub(super) epochs: Epochs<'a>,
    /// The runs of the arms.
    pub(super) arms: Vec<RunRequest>,
    resident: Arc<ResidentServers>,
    /// The settings of the servers that run.
    servers: Option<ServerSettings>,
    /// Number of the next order.
    next: u32,
}

impl<'a> Member<'a> {
    /// # Errors
    /// The system refuses threads.
    pub(super) fn new(transport: &'a mut dyn Transport, arms: Vec<RunRequest>) -> Result<Self, ExperimentError> {
        let resident = Arc::new(ResidentServers::new()?);
        Ok(Member { epochs: Epochs::new(transport), arms, resident, servers: None, next: 0 })
    }

    /// Carries out the orders of rank 0 until the last.
    pub(super) fn follow(mut self) -> Result<(), ExperimentError> {
        loop {
            let order = self.wait()?;
            let number = self.next;
            self.next += 1;
            match order {
                Order::End => break,
                Order::Run { folder, ranks, arm } if self.epochs.rank().0 < ranks => {
                    let part = Part { folder: &folder, ranks, arm, inputs: Inputs::default(), time_left: None };
                    self.take_part(number, part)?;
                }
                Order::Run { .. } => {}
            }
        }
        self.end();
        Ok(())
    }

    /// Rank 0: orders a run and takes part in it.
    pub(super) fn lead(&mut self, part: Part<'_>) -> Result<Option<EndReport>, ExperimentError> {
        let number = self.next;
        self.order(&Order::Run { folder: part.folder.to_owned(), ranks: part.ranks, arm: part.arm })?;
        self.take_part(number, part)
    }

    /// Rank 0: orders all ranks.
    pub(super) fn order(&mut self, order: &Order) -> Result<(), ExperimentError> {
        let frame = encode(order)?;
        let size = self.epochs.size();
        let mut transport = self.epochs.transport(Epoch::order(self.next), size);
        (1..size).for_each(|rank| transport.send(RankId(rank), frame.clone()));
        let mut backoff = PollBackoff::new();
        while !transport.progress() {
            std::thread::sleep(backoff.wait());
            backoff.after(false);
        }
        self.next += 1;
        Ok(())
    }

    /// Stops the servers of this rank.
    pub(super) fn end(self) {
        self.resident.stop_servers();
    }

    /// The next order of rank 0.
    fn wait(&mut self) -> Result<Order, ExperimentError> {
        let size = self.epochs.size();
        let launcher = launched_by_mpi().then(getppid);
        let mut transport = self.epochs.transport(Epoch::order(self.next), size);
        let mut backoff = PollBackoff::new();
        loop {
            transport.progress();
            if let Some((_, frame)) = transport.receive() {
                return Ok(decode(&frame)?);
            }
            if launcher.is_some_and(|launcher| getppid() != launcher) {
                return Err(ExperimentError::LauncherGone);
            }
            std::thread::sleep(backoff.wait());
            backoff.after(false);
        }
    }

    fn take_part(&mut self, number: u32, part: Part<'_>) -> Result<Option<EndReport>, ExperimentError> {
        let Some(arm) = self.arms.get(part.arm as usize) else { return Err(ExperimentError::UnknownArm(part.arm)) };
        let servers = ServerSettings::of(&arm.configuration)?;
        match self.servers.replace(servers.clone()).map(|earlier| earlier.change_to(&servers)) {
            None | Some(Change::None) => {}
            Some(Change::Client) => self.resident.release(),
            Some(Change::Server) => self.resident.stop_servers(),
        }
        let request = RunRequest {
            inputs: part.inputs,
            run_directory: part.folder.to_owned(),
            time_limit: part.time_left.map(TimeLimit::After),
            ..arm.clone()
        };
        let mut transport = self.epochs.transport(Epoch::run(number), part.ranks);
        Ok(run_with(&mut transport, &request, Some(Arc::clone(&self.resident)))?)
    }
}
