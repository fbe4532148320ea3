//! The driver of the state machine: it carries out the actions and reports events.

use std::{collections::VecDeque, future::Future, io, pin::Pin, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    Action, Event, Hosts, LaunchError, Launcher, command::StartCommand, probe::Probe, processes::Processes,
    run_files::RunDirectory, signals::Signals,
};
use crate::sys::{ExitCode, write_stderr};

/// The probe in progress; it gives the hosts that do not answer.
type Probing = Pin<Box<dyn Future<Output = Vec<String>>>>;

/// The processes, files and signals of a launcher.
pub(super) struct Driver {
    pub(super) launcher: Launcher,
    pub(super) command: StartCommand,
    pub(super) probe: Option<Probe>,
    pub(super) run_directory: RunDirectory,
    pub(super) processes: Processes,
    pub(super) signals: Signals,
    /// Start of the launcher's time.
    pub(super) begin: Instant,
    pub(super) probing: Option<Probing>,
}

/// The immediate result of an action.
enum Done {
    Nothing,
    Event(Event),
    Exit(ExitCode),
}

impl Driver {
    /// Runs the launcher to its end and gives the exit code.
    ///
    /// # Errors
    /// The end of mpirun cannot be waited for.
    pub(super) async fn run(mut self) -> Result<ExitCode, LaunchError> {
        let mut event = Event::Begin;
        loop {
            if let Some(code) = self.handle(event) {
                return Ok(code);
            }
            event = self.next_event().await.map_err(LaunchError::Watch)?;
        }
    }

    /// Passes an event to the launcher and carries out the actions. Gives the exit code when the launcher ends.
    fn handle(&mut self, event: Event) -> Option<ExitCode> {
        let mut actions = VecDeque::from(self.launcher.handle(self.begin.elapsed(), event));
        while let Some(action) = actions.pop_front() {
            match self.perform(action) {
                Done::Nothing => {}
                Done::Event(event) => actions.extend(self.launcher.handle(self.begin.elapsed(), event)),
                Done::Exit(code) => return Some(code),
            }
        }
        None
    }

    fn perform(&mut self, action: Action) -> Done {
        match action {
            Action::Say(message) => print(&message.to_string()),
            Action::ReadRunFiles => return Done::Event(Event::RunFiles(self.run_directory.read())),
            Action::StartMpirun { hosts, time_left } => return self.start(&hosts, time_left),
            Action::AskToStop => {
                if let Err(error) = self.run_directory.ask_to_stop() {
                    return Done::Event(Event::NotAsked { error: error.to_string() });
                }
            }
            Action::TerminateMpirun => self.processes.terminate(),
            Action::KillMpirun => self.processes.kill(),
            Action::KillLeftovers => self.processes.kill_leftovers(),
            Action::RemoveAccount => report(self.run_directory.remove_account(), "remove the run's finished.json"),
            Action::ProbeHosts(hosts) => match self.probe.clone() {
                None => return Done::Event(Event::HostsProbed { unanswering: Vec::new() }),
                Some(probe) => self.probing = Some(Box::pin(probe.find_unanswering(hosts))),
            },
            Action::RemoveStopFile => report(self.run_directory.remove_stop_file(), "remove the run's stop file"),
            Action::Exit(code) => return Done::Exit(code),
        }
        Done::Nothing
    }

    fn start(&mut self, hosts: &Hosts, time_left: Option<Duration>) -> Done {
        match self.processes.start(&self.command.words(hosts, time_left)) {
            Ok(()) => Done::Nothing,
            Err(error) => Done::Event(Event::NotStarted { error: error.to_string() }),
        }
    }

    async fn next_event(&mut self) -> io::Result<Event> {
        let wake = self.launcher.next_wake().map(|time| self.begin + time);
        let event = tokio::select! {
            // Signals first: a signal that arrives with the end of mpirun is its cause.
            biased;
            () = self.signals.next() => Event::Signal,
            code = self.processes.wait() => Event::MpirunEnded { code: code? },
            unanswering = or_never(self.probing.as_mut()) => Event::HostsProbed { unanswering },
            () = or_never(wake.map(sleep_until)) => Event::Clock,
        };
        if matches!(event, Event::HostsProbed { .. }) {
            self.probing = None;
        }
        Ok(event)
    }
}

/// Waits for the future; without one, for ever.
async fn or_never<T>(future: Option<impl Future<Output = T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

pub(super) fn print(text: &str) {
    write_stderr(&format!("launch: {text}\n"));
}

fn report(result: io::Result<()>, what: &str) {
    if let Err(error) = result {
        print(&format!("cannot {what}: {error}"));
    }
}
