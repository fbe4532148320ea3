//! The driver of the state machine: it carries out the actions and reports events.

use std::{collections::VecDeque, future::Future, io, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    Action, Event, Hosts, LaunchError, Launcher,
    command::StartCommand,
    node_commands::{NodeCommands, OnHosts},
    processes::Processes,
    run_files::RunDirectory,
    signals::Signals,
};
use crate::sys::{ExitCode, write_stderr};

/// The processes, files and signals of a launcher.
pub(super) struct Driver {
    pub(super) launcher: Launcher,
    pub(super) command: StartCommand,
    pub(super) node_commands: NodeCommands,
    pub(super) run_directory: RunDirectory,
    pub(super) processes: Processes,
    pub(super) signals: Signals,
    /// Start of the launcher's time.
    pub(super) begin: Instant,
    /// A later command replaces it: its result would be out of date.
    pub(super) on_hosts: Option<OnHosts>,
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
            Action::AskToStop { time_left } => {
                if let Err(error) = self.run_directory.ask_to_stop(time_left) {
                    return Done::Event(Event::NotAsked { error: error.to_string() });
                }
            }
            Action::TerminateMpirun => self.processes.terminate(),
            Action::KillMpirun => self.processes.kill(),
            Action::KillLeftovers => self.processes.kill_leftovers(),
            Action::RemoveAccount => report(self.run_directory.remove_account(), "remove the run's finished.json"),
            Action::CheckHosts(hosts) => self.on_hosts = Some(self.node_commands.check(hosts)),
            Action::CleanUp(hosts) => self.on_hosts = Some(self.node_commands.clean_up(hosts, self.processes.mark())),
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
            event = or_never(self.on_hosts.as_mut()) => event,
            () = or_never(wake.map(sleep_until)) => Event::Clock,
        };
        if matches!(event, Event::HostsChecked { .. } | Event::CleanedUp) {
            self.on_hosts = None;
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
