//! One attempt: a start of mpirun, and what its end means. Pure.

use std::time::Duration;

use super::{
    Account, Action, AttemptEnd, EarlyEnd, KillReason, Policy, RunFiles,
    policy::{ACCOUNT_GRACE, KILL_RESERVE, LOOK, OVERTIME, SHORT_ACCOUNT_GRACE, SIGNAL_GRACE},
};
use crate::{
    report::{Finished, RunPhase, Status},
    sys::ExitCode,
};

/// An attempt in progress.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The run's files as they were before this attempt.
    earlier: RunFiles,
    /// The status file as last read.
    status: Option<Vec<u8>>,
    /// When the status file last changed.
    changed: Duration,
    /// When the account of this attempt (`finished.json`) was first seen.
    account_seen: Option<Duration>,
    killed: Option<KillReason>,
    /// When mpirun's process group gets its next SIGKILL; `None` while mpirun is left running.
    next_kill: Option<Duration>,
    next_look: Duration,
    /// When the run must have ended, because its processes are killed soon after.
    end_by: Option<Duration>,
}

/// What the end of an attempt means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The run is over, with this exit code.
    RunEnded(ExitCode),
    /// The launcher ends before the run.
    LeaveEarly(EarlyEnd),
    /// Another attempt may follow.
    StartAgain {
        /// How this attempt ended.
        end: AttemptEnd,
        /// Whether its account must be removed, because the launcher caused the orderly end.
        remove_account: bool,
    },
}

impl Attempt {
    pub(super) fn begin(now: Duration, earlier: RunFiles) -> Attempt {
        Attempt {
            status: earlier.status.clone(),
            earlier,
            changed: now,
            account_seen: None,
            killed: None,
            next_kill: None,
            next_look: now + LOOK,
            end_by: None,
        }
    }

    /// When the next [`super::Event::Clock`] is due.
    pub(super) fn next_wake(&self) -> Duration {
        self.next_kill.unwrap_or(self.next_look)
    }

    /// Handles a signal; `signals` counts it too.
    pub(super) fn on_signal(&mut self, now: Duration, signals: u32, policy: &Policy) -> Vec<Action> {
        if signals == 1 {
            self.end_by = policy.kill_delay.map(|delay| now + delay.saturating_sub(KILL_RESERVE));
            return vec![self.ask_to_stop(now)];
        }
        self.killed = Some(KillReason::SecondSignal);
        self.kill_now(now)
    }

    pub(super) fn on_clock(&mut self, now: Duration, signals: u32) -> Vec<Action> {
        if now < self.next_wake() {
            return Vec::new();
        }
        if self.next_kill.is_some() {
            return self.kill_now(now);
        }
        self.next_look = now + LOOK;
        // Written at every check: a run that has just started removes the stop file of an earlier one.
        let ask = (signals > 0).then(|| self.ask_to_stop(now));
        ask.into_iter().chain([Action::ReadRunFiles]).collect()
    }

    fn ask_to_stop(&self, now: Duration) -> Action {
        Action::AskToStop { time_left: self.end_by.map(|end| end.saturating_sub(now)) }
    }

    /// Checks the files of the run while mpirun runs.
    pub(super) fn on_files(&mut self, now: Duration, files: RunFiles, policy: &Policy, signals: u32) -> Vec<Action> {
        if self.next_kill.is_some() {
            return Vec::new();
        }
        if let Some(finished) = self.own_account(&files).map(|account| account.finished.clone()) {
            let waited = now - *self.account_seen.get_or_insert(now);
            return self.hasten_end(now, waited, finished.as_ref(), signals);
        }
        if files.status != self.status {
            self.status = files.status;
            self.changed = now;
        }
        let reason = if now - self.changed >= policy.silence {
            KillReason::Silence(policy.silence)
        } else if policy.time.is_some_and(|end| now >= end + OVERTIME) {
            KillReason::Overtime
        } else {
            return Vec::new();
        };
        self.end_for(reason, now)
    }

    /// Ends mpirun, if it still runs some time after the run gave its account.
    fn hasten_end(
        &mut self,
        now: Duration,
        waited: Duration,
        finished: Option<&Finished>,
        signals: u32,
    ) -> Vec<Action> {
        let grace = if signals > 0 { SHORT_ACCOUNT_GRACE } else { ACCOUNT_GRACE };
        if waited >= grace {
            return self.terminate(now);
        }
        if waited >= SHORT_ACCOUNT_GRACE && finished.is_some_and(|finished| finished.again) {
            // After the loss of a host, mpirun waits for ever and has begun to abort. SIGTERM would make it crash, so
            // it is killed.
            return self.kill_now(now);
        }
        Vec::new()
    }

    /// The run could not be asked to stop, so mpirun is asked to end.
    pub(super) fn on_not_asked(&mut self, now: Duration, error: String, policy: &Policy) -> Vec<Action> {
        if self.next_kill.is_some() {
            return Vec::new();
        }
        self.end_for(KillReason::NotAsked { stop_file: policy.stop_file.clone(), error }, now)
    }

    /// Ends mpirun, so that the next attempt has ranks on these hosts too. It is killed: after a polite signal the run
    /// would end in order, and its servers with it.
    pub(super) fn end_for_hosts(&mut self, now: Duration, hosts: Vec<String>) -> Vec<Action> {
        if self.next_kill.is_some() || self.account_seen.is_some() {
            return Vec::new();
        }
        self.killed = Some(KillReason::HostsReturned(hosts));
        self.kill_now(now)
    }

    /// Time until all pages are settled, as the run estimates it; `None` while it does not read.
    pub(super) fn estimated_time_left(&self) -> Option<Duration> {
        let status: Status = serde_json::from_slice(self.status.as_ref()?).ok()?;
        let snapshot = status.snapshot.filter(|_| status.phase == RunPhase::Reading)?;
        snapshot.time_left()
    }

    /// Whether the launcher has ended mpirun.
    pub(super) fn is_ended_by_launcher(&self) -> bool {
        self.next_kill.is_some()
    }

    fn end_for(&mut self, reason: KillReason, now: Duration) -> Vec<Action> {
        self.killed = Some(reason);
        self.terminate(now)
    }

    fn terminate(&mut self, now: Duration) -> Vec<Action> {
        self.next_kill = Some(now + SIGNAL_GRACE);
        vec![Action::TerminateMpirun]
    }

    fn kill_now(&mut self, now: Duration) -> Vec<Action> {
        self.next_kill = Some(now + SIGNAL_GRACE);
        vec![Action::KillMpirun]
    }

    /// The account that this attempt wrote. An account of an earlier attempt stays in the run directory until this
    /// attempt has taken the directory.
    fn own_account<'a>(&self, files: &'a RunFiles) -> Option<&'a Account> {
        let earlier = self.earlier.account.as_ref().map(|account| account.identity);
        files.account.as_ref().filter(|account| Some(account.identity) != earlier)
    }

    /// What the end of mpirun with `code` means, judged by the files of the run.
    pub(super) fn judge(&self, files: &RunFiles, code: i32, signals: u32) -> Judgement {
        let account = self.own_account(files);
        let again = |end| Judgement::StartAgain { end, remove_account: false };
        match (account.map(|account| account.finished.as_ref()), &self.killed) {
            (Some(Some(finished)), _) if signals > 0 => Judgement::RunEnded(finished.exit_code),
            (_, killed) if signals > 0 => Judgement::LeaveEarly(EarlyEnd::NoAccountAfterSignal(killed.clone())),
            (Some(Some(finished)), None) if finished.again => {
                again(AttemptEnd::SilentRanks(finished.silent_hosts.clone()))
            }
            (Some(Some(finished)), killed) if killed.is_none() || finished.is_settled() => {
                Judgement::RunEnded(finished.exit_code)
            }
            // The launcher's own signal caused the orderly end. The run has not ended, and no user asked it to stop.
            (finished, Some(reason)) => Judgement::StartAgain {
                end: AttemptEnd::Killed(reason.clone()),
                remove_account: finished.flatten().is_some(),
            },
            (Some(_), None) => again(AttemptEnd::UnreadableAccount),
            (None, None) if code == i32::from(ExitCode::WrongUsage) => Judgement::RunEnded(ExitCode::WrongUsage),
            (None, None) => again(AttemptEnd::Mpirun(code)),
        }
    }

    /// Whether this attempt settled a page.
    pub(super) fn settled_pages(&self, files: &RunFiles) -> bool {
        let number = |status: &serde_json::Value, name: &str| status[name].as_u64().unwrap_or_default();
        let status = files.status.as_ref().filter(|_| files.status != self.earlier.status);
        let status = status.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok());
        status.is_some_and(|status| number(&status, "settled") > number(&status, "restored"))
    }
}
