//! mpirun and the processes that it leaves on this host.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::process::ExitStatusExt,
    process::{self, ExitStatus, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::process::{Pid, Signal, geteuid, kill_process, kill_process_group};
use tokio::process::{Child, Command};

use crate::sys::RunningProcess;

/// Every process that mpirun starts has this variable, on all hosts. A rank does not pass variables of MPI launchers on
/// to its children: its server must outlive it.
pub(super) const MARK_VARIABLE: &str = "MPIEXEC_BOCR_LAUNCH";

/// Open MPI starts nothing for root unless these are set.
const ROOT_VARIABLES: [(&str, &str); 2] = [("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")];

/// The processes of this launcher.
#[derive(Debug)]
pub(super) struct Processes {
    /// Value of [`MARK_VARIABLE`].
    mark: String,
    mpirun: Option<Child>,
    /// Process and process group of mpirun; kept after its end.
    group: Option<Pid>,
}

impl Processes {
    /// No process yet. `host` is the name of this host.
    pub(super) fn new(host: &str) -> Processes {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Processes { mark: format!("{host}.{}.{seconds}", process::id()), mpirun: None, group: None }
    }

    /// The value that distinguishes the processes of this launcher.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// Starts mpirun in its own process group: an interrupt from the keyboard must not reach it before the run is asked
    /// to stop.
    ///
    /// # Errors
    /// The system refuses to start it.
    pub(super) fn start(&mut self, words: &[OsString]) -> io::Result<()> {
        let [program, arguments @ ..] = words else { return Err(io::Error::other("the command is empty")) };
        let mut command = Command::new(program);
        command.args(arguments).env(MARK_VARIABLE, &self.mark).stdin(Stdio::null()).process_group(0);
        if geteuid().is_root() {
            command.envs(ROOT_VARIABLES);
        }
        let child = command.spawn()?;
        self.group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        self.mpirun = Some(child);
        Ok(())
    }

    /// Waits for the end of mpirun. Gives its exit code, or 128 plus the signal that killed it. Without mpirun it waits
    /// for ever.
    ///
    /// # Errors
    /// The system refuses the wait.
    pub(super) async fn wait(&mut self) -> io::Result<i32> {
        let Some(mpirun) = &mut self.mpirun else { return std::future::pending().await };
        let status = mpirun.wait().await?;
        self.mpirun = None;
        Ok(exit_code(status))
    }

    /// Asks mpirun to end.
    pub(super) fn terminate(&self) {
        if let (Some(process), true) = (self.group, self.mpirun.is_some()) {
            // The process may have ended just now.
            let _ = kill_process(process, Signal::TERM);
        }
    }

    /// Kills mpirun and its process group.
    pub(super) fn kill(&self) {
        // The group may have ended: then there is nothing to kill.
        let _ = self.group.map(|group| kill_process_group(group, Signal::KILL));
    }

    /// Kills the processes that the ended mpirun left on this host: ranks, and agents that connect to other hosts.
    pub(super) fn kill_leftovers(&self) {
        self.kill();
        // Without a list of processes there is nothing to kill.
        let _ = kill_marked(&self.mark);
    }
}

/// Kills the processes on this host that a launcher with this mark has started through mpirun.
///
/// # Errors
/// The processes of this user cannot be listed.
pub fn kill_marked(mark: &str) -> io::Result<()> {
    for process in RunningProcess::all_of_this_user()? {
        if process.has_variable(MARK_VARIABLE, OsStr::new(mark)) {
            // It may have ended just now.
            let _ = Pid::from_raw(process.id).map(|id| kill_process(id, Signal::KILL));
        }
    }
    Ok(())
}

impl Drop for Processes {
    /// A launcher that fails leaves no processes behind.
    fn drop(&mut self) {
        if self.mpirun.is_some() {
            self.kill_leftovers();
        }
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}
