//! Rank 0's first phase: it prepares the run directory while the ranks report.

use std::{
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use tokio::runtime::Handle;

use super::{
    background::{Background, Pending},
    error::RunError,
    preparation::{Prepared, prepare},
    request::RunRequest,
    roster::Roster,
};
use crate::worker::renderer_pool;

/// The phase in which the run directory is prepared.
pub(super) struct Gathering {
    pub(super) roster: Roster,
    time_left: Receiver<Option<Duration>>,
    preparation: Pending<Result<Prepared, RunError>>,
}

impl Gathering {
    /// Starts the preparation. `cores` is the rank's share of the cores of its node.
    pub(super) fn start(request: &RunRequest, runtime: Handle, cores: usize, background: &Background) -> Gathering {
        let (tell, time_left) = channel();
        let names = request.configuration.engines.names().clone();
        let request = request.clone();
        let preparation = background.run(move || {
            let left = match request.time_limit {
                None => None,
                Some(limit) => limit.remaining()?,
            };
            let _ = tell.send(left);
            prepare(&request, || {
                let renderers = renderer_pool(&request.program, &request.configuration, cores);
                Ok((runtime.block_on(renderers)?, runtime.clone()))
            })
        });
        Gathering { roster: Roster::new(names), time_left, preparation }
    }

    /// The prepared run directory, once it is ready.
    ///
    /// # Errors
    /// The run cannot start.
    pub(super) fn poll(&self) -> Result<Option<Prepared>, RunError> {
        self.preparation.poll()?.transpose()
    }

    /// Time that the run may take from its start, once it is known, which is before the run directory is ready. The
    /// inner `None` means no limit.
    pub(super) fn take_time_left(&self) -> Option<Option<Duration>> {
        self.time_left.try_recv().ok()
    }
}
