//! The state machine of the launcher: one attempt after the other.

use std::time::Duration;

use super::{
    Action, AttemptEnd, EarlyEnd, Event, HostFault, Hosts, Message, Policy, RunFiles,
    attempt::{Attempt, Judgement},
    host_pool::{HostChanges, HostPool},
    policy::{FIRST_HOST_CHECK, LONGEST_HOST_CHECK, SHORTEST_ATTEMPT, is_restart_worthwhile, pause_after},
};
use crate::sys::ExitCode;

/// Decides about the attempts. Times count from the launcher's start. See the module header.
#[derive(Debug)]
pub struct Launcher {
    policy: Policy,
    hosts: HostPool,
    /// Number of attempts started.
    number: u32,
    /// Number of consecutive attempts that settled no page.
    fruitless: u32,
    /// Number of signals received.
    signals: u32,
    /// How the last attempt ended.
    last: Option<AttemptEnd>,
    phase: Phase,
    /// When the hosts that are left out are checked next, while an attempt runs.
    next_host_check: Duration,
    /// Time from that check to the one after it.
    host_check_interval: Duration,
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
    /// These hosts are being checked; then the next attempt follows.
    Checking { hosts: Vec<String>, round: Round },
    /// The next attempt starts at this time.
    Pausing { until: Duration },
    /// What killed ranks have left on the hosts is being ended; then the launcher ends with this code.
    CleaningUp(ExitCode),
    /// The launcher has ended.
    Over,
}

/// Round of a check of hosts before an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    First,
    /// Most hosts gave no answer in the first round. The fault may be that of the way to them, such as a daemon of PBS
    /// that stood still.
    Second,
}

/// Whether ranks may have left processes when the launcher ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remains {
    /// The ranks have ended in order, or none was started.
    Nothing,
    Processes,
}

impl Launcher {
    /// A launcher before its first event.
    pub fn new(policy: Policy, hosts: Hosts) -> Launcher {
        Launcher {
            policy,
            hosts: HostPool::new(hosts),
            number: 0,
            fruitless: 0,
            signals: 0,
            last: None,
            phase: Phase::New,
            next_host_check: Duration::ZERO,
            host_check_interval: FIRST_HOST_CHECK,
        }
    }

    /// Handles an event at time `now` and gives the actions that follow. An event that does not fit the phase is
    /// ignored.
    pub fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match (&mut self.phase, event) {
            (_, Event::Signal) => self.on_signal(now),
            (Phase::New, Event::Begin) => self.check_hosts(now),
            (Phase::Preparing, Event::RunFiles(files)) => self.start(now, files),
            (Phase::Watching(attempt), Event::Clock) => {
                let mut actions = attempt.on_clock(now, self.signals);
                actions.extend(self.check_hosts_again(now));
                actions
            }
            (Phase::Watching(_), Event::HostsChecked { here, faults }) => self.on_hosts_again(now, here, &faults),
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
                let is_killed = attempt.is_ended_by_launcher();
                self.after_attempt(now, judgement, has_settled, is_killed)
            }
            (Phase::Checking { .. }, Event::HostsChecked { here, faults }) => self.on_hosts_checked(now, here, &faults),
            (Phase::Pausing { until }, Event::Clock) if now >= *until => self.prepare(now),
            (Phase::CleaningUp(code), Event::CleanedUp) => {
                let code = *code;
                self.exit(code)
            }
            _ => Vec::new(),
        }
    }

    /// When the next [`Event::Clock`] is due; `None` while no action depends on the time.
    pub fn next_wake(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Watching(attempt) if self.checks_hosts_again() => {
                Some(attempt.next_wake().min(self.next_host_check))
            }
            Phase::Watching(attempt) => Some(attempt.next_wake()),
            Phase::Pausing { until } => Some(*until),
            _ => None,
        }
    }

    fn on_signal(&mut self, now: Duration) -> Vec<Action> {
        self.signals = self.signals.saturating_add(1);
        match &mut self.phase {
            Phase::Watching(attempt) => attempt.on_signal(now, self.signals, &self.policy),
            Phase::Checking { .. } | Phase::Pausing { .. } => self.leave_early(EarlyEnd::Signal),
            // The user does not want to wait.
            Phase::CleaningUp(code) => {
                let code = *code;
                self.exit(code)
            }
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
        self.next_host_check = now + FIRST_HOST_CHECK;
        self.host_check_interval = FIRST_HOST_CHECK;
        let hosts = self.hosts.in_use();
        let message = Message::Attempt { number: self.number, hosts: hosts.clone(), last: self.last.clone() };
        let start = Action::StartMpirun { hosts, time_left: self.time_left(now) };
        vec![Action::Say(message), start]
    }

    fn after_attempt(
        &mut self,
        now: Duration,
        judgement: Judgement,
        has_settled: bool,
        is_killed: bool,
    ) -> Vec<Action> {
        match judgement {
            // The ranks end their servers before the run gives its account. A run that refuses its settings gives none.
            Judgement::RunEnded(code) if code != ExitCode::WrongUsage && !is_killed => {
                self.leave(code, Remains::Nothing)
            }
            Judgement::RunEnded(code) => self.leave(code, Remains::Processes),
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
        let silent = self.hosts.leave_out_silent(&silent);
        let message = (!silent.is_empty()).then_some(Action::Say(Message::HostsLeftOut(silent)));
        let mut actions = Vec::from_iter(message);
        actions.extend(self.check_hosts(now));
        actions
    }

    /// Checks the hosts of the next attempt.
    fn check_hosts(&mut self, now: Duration) -> Vec<Action> {
        if self.signals > 0 {
            return self.leave_early(EarlyEnd::Signal);
        }
        let hosts = self.hosts.to_check();
        if hosts.is_empty() {
            return self.pause(now);
        }
        self.phase = Phase::Checking { hosts: hosts.clone(), round: Round::First };
        vec![Action::CheckHosts(hosts)]
    }

    fn on_hosts_checked(
        &mut self,
        now: Duration,
        here: Option<HostFault>,
        faults: &[(String, HostFault)],
    ) -> Vec<Action> {
        let Phase::Checking { hosts, round } = std::mem::replace(&mut self.phase, Phase::Over) else {
            return Vec::new();
        };
        let silent = faults.iter().filter(|(_, fault)| *fault == HostFault::NoAnswer).map(|(name, _)| name.clone());
        let silent: Vec<_> = silent.collect();
        if round == Round::First && hosts.len() > 1 && 2 * silent.len() > hosts.len() {
            let answering: Vec<_> = hosts.into_iter().filter(|name| !silent.contains(name)).collect();
            let others: Vec<_> = faults.iter().filter(|(name, _)| !silent.contains(name)).cloned().collect();
            let mut actions = announce(self.hosts.take(&answering, here, &others));
            self.phase = Phase::Checking { hosts: silent.clone(), round: Round::Second };
            actions.push(Action::CheckHosts(silent));
            return actions;
        }
        let changes = self.hosts.take(&hosts, here, faults);
        let mut actions = announce(changes);
        actions.extend(self.pause(now));
        actions
    }

    /// Whether hosts that are left out are checked while the attempt runs.
    fn checks_hosts_again(&self) -> bool {
        self.signals == 0 && !self.hosts.to_check_again().is_empty()
    }

    fn check_hosts_again(&mut self, now: Duration) -> Option<Action> {
        if !self.checks_hosts_again() || now < self.next_host_check {
            return None;
        }
        self.host_check_interval = (2 * self.host_check_interval).min(LONGEST_HOST_CHECK);
        self.next_host_check = now + self.host_check_interval;
        Some(Action::CheckHosts(self.hosts.to_check_again()))
    }

    /// Ends the attempt if the return of hosts is worth a restart. If not, they get ranks in the next attempt.
    fn on_hosts_again(
        &mut self,
        now: Duration,
        here: Option<HostFault>,
        faults: &[(String, HostFault)],
    ) -> Vec<Action> {
        let fit = self.hosts.note(here, faults);
        let (working, returned) = (self.hosts.in_use().total_ranks(), self.hosts.ranks_on(&fit));
        let limit = self.time_left(now);
        let Phase::Watching(attempt) = &mut self.phase else { return Vec::new() };
        let left = attempt.estimated_time_left().map(|left| limit.map_or(left, |limit| limit.min(left)));
        if self.signals > 0 || !is_restart_worthwhile(working, returned, left) {
            return Vec::new();
        }
        let actions = attempt.end_for_hosts(now, fit.clone());
        if !actions.is_empty() {
            self.hosts.note_return(&fit);
        }
        actions
    }

    /// Starts the pause before the next attempt.
    fn pause(&mut self, now: Duration) -> Vec<Action> {
        if self.hosts.in_use().is_empty() {
            return self.leave_early(EarlyEnd::NoHost);
        }
        let pause = if self.number == 0 { Duration::ZERO } else { pause_after(self.fruitless) };
        if pause.is_zero() {
            return self.prepare(now);
        }
        self.phase = Phase::Pausing { until: now + pause };
        Vec::new()
    }

    fn leave_early(&mut self, reason: EarlyEnd) -> Vec<Action> {
        let mut actions = vec![Action::Say(Message::StoppedEarly(reason))];
        actions.extend(self.leave(ExitCode::StoppedEarly, Remains::Processes));
        actions
    }

    fn leave(&mut self, code: ExitCode, remains: Remains) -> Vec<Action> {
        if self.number == 0 || remains == Remains::Nothing {
            return self.exit(code);
        }
        self.phase = Phase::CleaningUp(code);
        vec![Action::CleanUp(self.hosts.in_use().others())]
    }

    fn exit(&mut self, code: ExitCode) -> Vec<Action> {
        self.phase = Phase::Over;
        let remove = (self.signals > 0).then_some(Action::RemoveStopFile);
        remove.into_iter().chain([Action::Exit(code)]).collect()
    }
}

fn announce(changes: HostChanges) -> Vec<Action> {
    let out = (!changes.out.is_empty()).then_some(Message::HostsLeftOut(changes.out));
    let back = (!changes.back.is_empty()).then_some(Message::HostsBack(changes.back));
    out.into_iter().chain(back).map(Action::Say).collect()
}
