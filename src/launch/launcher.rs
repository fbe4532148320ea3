//! The state machine of the launcher: one attempt after the other.

use std::time::Duration;

use super::{
    Action, AttemptEnd, EarlyEnd, Event, Hosts, Message, Policy, RunFiles,
    attempt::{Attempt, Judgement},
    policy::{SHORTEST_ATTEMPT, pause_after},
};
use crate::sys::ExitCode;

/// Decides about the attempts. Times count from the launcher's start. See the module header.
#[derive(Debug)]
pub struct Launcher {
    policy: Policy,
    hosts: Hosts,
    /// Number of attempts started.
    number: u32,
    /// Number of consecutive attempts that settled no page.
    fruitless: u32,
    /// Number of signals received.
    signals: u32,
    /// How the last attempt ended.
    last: Option<AttemptEnd>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// No event yet.
    New,
    /// Before an attempt: the files of the run are being read.
    Preparing,
    /// An attempt is in progress.
    Watching(Attempt),
    /// The attempt has ended with this code: the files of the run are being read.
    Judging(Attempt, i32),
    /// The hosts are being probed, except those whose ranks became silent.
    Probing { silent: Vec<String> },
    /// The next attempt starts at this time.
    Pausing { until: Duration },
    /// The launcher has ended.
    Over,
}

impl Launcher {
    /// A launcher before its first event.
    pub fn new(policy: Policy, hosts: Hosts) -> Launcher {
        Launcher { policy, hosts, number: 0, fruitless: 0, signals: 0, last: None, phase: Phase::New }
    }

    /// Handles an event at time `now` and gives the actions that follow. An event that does not fit the phase is
    /// ignored.
    pub fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match (&mut self.phase, event) {
            (_, Event::Signal) => self.on_signal(now),
            (Phase::New, Event::Begin) => self.prepare(now),
            (Phase::Preparing, Event::RunFiles(files)) => self.start(now, files),
            (Phase::Watching(attempt), Event::Clock) => attempt.on_clock(now, self.signals),
            (Phase::Watching(attempt), Event::RunFiles(files)) => {
                attempt.on_files(now, files, &self.policy, self.signals)
            }
            (Phase::Watching(attempt), Event::NotAsked { error }) => attempt.on_not_asked(now, error, &self.policy),
            (Phase::Watching(_), Event::NotStarted { error }) => {
                self.conclude(now, AttemptEnd::NotStarted(error), false, Vec::new())
            }
            (Phase::Watching(_), Event::MpirunEnded { code }) => {
                if let Phase::Watching(attempt) = std::mem::replace(&mut self.phase, Phase::Over) {
                    self.phase = Phase::Judging(attempt, code);
                }
                vec![Action::KillLeftovers, Action::ReadRunFiles]
            }
            (Phase::Judging(attempt, code), Event::RunFiles(files)) => {
                let judgement = attempt.judge(&files, *code, self.signals);
                let has_settled = attempt.settled_pages(&files);
                self.after_attempt(now, judgement, has_settled)
            }
            (Phase::Probing { .. }, Event::HostsProbed { unanswering }) => self.drop_hosts(now, unanswering),
            (Phase::Pausing { until }, Event::Clock) if now >= *until => self.prepare(now),
            _ => Vec::new(),
        }
    }

    /// When the next [`Event::Clock`] is due; `None` while no action depends on the time.
    pub fn next_wake(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Watching(attempt) => Some(attempt.next_wake()),
            Phase::Pausing { until } => Some(*until),
            _ => None,
        }
    }

    fn on_signal(&mut self, now: Duration) -> Vec<Action> {
        self.signals = self.signals.saturating_add(1);
        match &mut self.phase {
            Phase::Watching(attempt) => attempt.on_signal(now, self.signals, &self.policy),
            Phase::Probing { .. } | Phase::Pausing { .. } => self.leave_early(EarlyEnd::Signal),
            // The handler of the next event checks the number of signals.
            Phase::New | Phase::Preparing | Phase::Judging(..) | Phase::Over => Vec::new(),
        }
    }

    fn prepare(&mut self, now: Duration) -> Vec<Action> {
        if self.signals > 0 {
            return self.leave_early(EarlyEnd::Signal);
        }
        if self.time_left(now).is_some_and(|left| left < SHORTEST_ATTEMPT) {
            let last = self.last.clone();
            return self.leave_early(EarlyEnd::NoTime(last));
        }
        self.phase = Phase::Preparing;
        vec![Action::ReadRunFiles]
    }

    fn time_left(&self, now: Duration) -> Option<Duration> {
        self.policy.time.map(|end| end.saturating_sub(now))
    }

    fn start(&mut self, now: Duration, files: RunFiles) -> Vec<Action> {
        if self.signals > 0 {
            return self.leave_early(EarlyEnd::Signal);
        }
        // Before the first attempt the stop file is that of an earlier run.
        if files.stop_requested && self.number > 0 {
            let stop_file = self.policy.stop_file.clone();
            return self.leave_early(EarlyEnd::StopFile(stop_file));
        }
        self.number = self.number.saturating_add(1);
        self.phase = Phase::Watching(Attempt::begin(now, files));
        let message = Message::Attempt { number: self.number, hosts: self.hosts.clone(), last: self.last.clone() };
        let start = Action::StartMpirun { hosts: self.hosts.clone(), time_left: self.time_left(now) };
        vec![Action::Say(message), start]
    }

    fn after_attempt(&mut self, now: Duration, judgement: Judgement, has_settled: bool) -> Vec<Action> {
        match judgement {
            Judgement::RunEnded(code) => self.leave(code),
            Judgement::LeaveEarly(reason) => self.leave_early(reason),
            Judgement::StartAgain { end, remove_account } => {
                let silent = match &end {
                    AttemptEnd::SilentRanks(hosts) => hosts.clone(),
                    _ => Vec::new(),
                };
                let mut actions = Vec::from_iter(remove_account.then_some(Action::RemoveAccount));
                actions.extend(self.conclude(now, end, has_settled, silent));
                actions
            }
        }
    }

    /// Decides what follows an attempt that did not end the run.
    fn conclude(&mut self, now: Duration, end: AttemptEnd, has_settled: bool, silent: Vec<String>) -> Vec<Action> {
        if self.signals > 0 {
            return self.leave_early(EarlyEnd::NoAccountAfterSignal(None));
        }
        self.fruitless = if has_settled { 0 } else { self.fruitless.saturating_add(1) };
        if self.fruitless >= self.policy.attempts {
            return self.leave_early(EarlyEnd::Fruitless(self.fruitless, end));
        }
        self.last = Some(end);
        let (silent, others) = self.hosts.split_silent(&silent);
        self.phase = Phase::Probing { silent };
        if others.is_empty() {
            return self.drop_hosts(now, Vec::new());
        }
        vec![Action::ProbeHosts(others)]
    }

    /// Drops hosts for the rest of the launch, then starts the pause.
    fn drop_hosts(&mut self, now: Duration, unanswering: Vec<String>) -> Vec<Action> {
        let Phase::Probing { silent } = std::mem::replace(&mut self.phase, Phase::Over) else { return Vec::new() };
        let mut actions = Vec::new();
        if !silent.is_empty() || !unanswering.is_empty() {
            self.hosts.remove(&silent);
            self.hosts.remove(&unanswering);
            actions.push(Action::Say(Message::HostsDropped { silent, unanswering }));
        }
        if self.hosts.is_empty() {
            actions.extend(self.leave_early(EarlyEnd::NoHost));
            return actions;
        }
        let pause = pause_after(self.fruitless);
        if pause.is_zero() {
            actions.extend(self.prepare(now));
        } else {
            self.phase = Phase::Pausing { until: now + pause };
        }
        actions
    }

    fn leave_early(&mut self, reason: EarlyEnd) -> Vec<Action> {
        let mut actions = vec![Action::Say(Message::StoppedEarly(reason))];
        actions.extend(self.leave(ExitCode::StoppedEarly));
        actions
    }

    fn leave(&mut self, code: ExitCode) -> Vec<Action> {
        self.phase = Phase::Over;
        let remove = (self.signals > 0).then_some(Action::RemoveStopFile);
        remove.into_iter().chain([Action::Exit(code)]).collect()
    }
}
