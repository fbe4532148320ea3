//! Stories of the launcher: events, and the actions that must follow.

mod hosts;

use std::time::Duration;

use super::{Account, Action, Event, FileIdentity, HostFault, Hosts, Launcher, Policy, RunFiles};
use crate::{
    model::StopReason,
    report::{Finished, RunOutcome},
    sys::ExitCode,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Five attempts, no time limit, a silence limit of 180 s.
fn policy() -> Policy {
    Policy { attempts: 5, time: None, silence: seconds(180), kill_delay: None, stop_file: "run/stop".into() }
}

fn here() -> Hosts {
    Hosts::Here { name: "n1".into(), ranks: 2 }
}

/// The launcher runs on the first of these hosts.
fn hosts() -> Hosts {
    Hosts::of_file("n1\nn2\nn3\n", "n1.site", None).unwrap()
}

/// A launcher with its time and the files of its run. Files are read, and hosts cleaned up, whenever the launcher asks
/// for it; all other actions are kept until the story takes them.
struct Story {
    launcher: Launcher,
    now: Duration,
    files: RunFiles,
    versions: u64,
    actions: Vec<Action>,
    said: Vec<String>,
    exit: Option<ExitCode>,
}

impl Story {
    /// Every host has all that a rank needs.
    fn begin(policy: Policy, hosts: Hosts) -> Story {
        let mut story = Story::new(policy, hosts);
        story.handle(Event::Begin);
        if matches!(story.actions[..], [Action::CheckHosts(_)]) {
            story.take();
            story.hosts_checked(&[]);
        }
        story
    }

    fn new(policy: Policy, hosts: Hosts) -> Story {
        Story {
            launcher: Launcher::new(policy, hosts),
            now: Duration::ZERO,
            files: RunFiles::default(),
            versions: 0,
            actions: Vec::new(),
            said: Vec::new(),
            exit: None,
        }
    }

    fn handle(&mut self, event: Event) {
        assert_eq!(self.exit, None, "the launcher has ended");
        let mut actions = self.launcher.handle(self.now, event);
        while !actions.is_empty() {
            match actions.remove(0) {
                Action::ReadRunFiles => {
                    actions.extend(self.launcher.handle(self.now, Event::RunFiles(self.files.clone())));
                }
                action @ Action::CleanUp(_) => {
                    self.actions.push(action);
                    actions.extend(self.launcher.handle(self.now, Event::CleanedUp));
                }
                Action::Say(message) => self.said.push(message.to_string()),
                Action::Exit(code) => self.exit = Some(code),
                action => self.actions.push(action),
            }
        }
    }

    /// Lets time pass, and sends clock events when they are due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(wake) = self.launcher.next_wake().filter(|wake| *wake <= end) {
            assert!(wake >= self.now, "a clock event that is overdue");
            self.now = wake;
            self.handle(Event::Clock);
        }
        self.now = end;
    }

    /// The actions since the last call.
    fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Asserts that an attempt starts, and gives its deadline.
    fn assert_starts(&mut self) -> Option<u64> {
        let actions = self.take();
        let [.., Action::StartMpirun { time_left, .. }] = &actions[..] else { panic!("no start: {actions:?}") };
        time_left.map(|left| left.as_secs())
    }

    fn status(&mut self, settled: u64, restored: u64) {
        self.versions += 1;
        let text = format!("{{\"beat\":{},\"settled\":{settled},\"restored\":{restored}}}", self.versions);
        self.files.status = Some(text.into());
    }

    /// The run has settled so many of its pages in so many seconds.
    fn reads(&mut self, settled: u64, pages: u64, seconds: u64) {
        self.versions += 1;
        let counts = format!("\"pages\":{pages},\"settled\":{settled},\"restored\":0,\"read\":{settled}");
        let rest = "\"recovered\":0,\"blank\":0,\"failed\":0,\"in_flight\":8";
        let beat = self.versions;
        let text = format!("{{\"phase\":\"reading\",\"beat\":{beat},{counts},{rest},\"seconds\":{seconds}}}");
        self.files.status = Some(text.into());
    }

    fn account(&mut self, outcome: RunOutcome, silent: Option<&[&str]>) {
        self.versions += 1;
        let finished = Finished {
            exit_code: outcome.exit_code(),
            outcome,
            again: silent.is_some(),
            silent_hosts: silent.unwrap_or_default().iter().map(|host| (*host).to_owned()).collect(),
        };
        let identity = FileIdentity { inode: 7, changed: (0, self.versions as i64) };
        self.files.account = Some(Account { identity, finished: Some(finished) });
    }

    fn hosts_checked(&mut self, faults: &[(&str, HostFault)]) {
        let faults = faults.iter().map(|(host, fault)| ((*host).to_owned(), *fault)).collect();
        self.handle(Event::HostsChecked { here: None, faults });
    }

    fn mpirun_ends(&mut self, code: i32) {
        self.handle(Event::MpirunEnded { code });
    }

    fn last_message(&self) -> &str {
        self.said.last().map_or("", String::as_str)
    }

    fn assert_stopped_early(&self, reason: &str) {
        let said = format!("stopped early: {reason}; the same command continues");
        assert_eq!((self.exit, self.last_message()), (Some(ExitCode::StoppedEarly), &*said));
    }
}

const STOPPED: RunOutcome = RunOutcome::Stopped(StopReason::Requested);

#[test]
fn a_run_that_comes_to_its_own_end_gives_the_exit_code() {
    for (outcome, code) in [
        (RunOutcome::Complete, ExitCode::Success),
        (RunOutcome::CompleteWithFailures, ExitCode::PagesFailed),
        (STOPPED, ExitCode::StoppedEarly),
    ] {
        let mut story = Story::begin(policy(), here());
        assert_eq!(story.assert_starts(), None);
        story.account(outcome, None);
        // The code of mpirun is only a hint.
        story.mpirun_ends(1);
        assert_eq!(story.take(), [Action::KillLeftovers]);
        assert_eq!((story.exit, &story.said[..]), (Some(code), &["attempt 1: 2 ranks on n1".to_owned()][..]));
    }
}

#[test]
fn wrong_usage_of_the_run_is_final() {
    let mut story = Story::begin(policy(), here());
    story.mpirun_ends(2);
    assert_eq!((story.exit, story.said.len()), (Some(ExitCode::WrongUsage), 1));
}

#[test]
fn a_death_costs_one_more_attempt_at_once() {
    let mut story = Story::begin(policy(), here());
    story.pass(seconds(60));
    story.take();
    story.mpirun_ends(137);
    assert!(matches!(story.take()[..], [Action::KillLeftovers, Action::StartMpirun { .. }]));
    assert_eq!(
        story.last_message(),
        "attempt 2: 2 ranks on n1; the last one ended: mpirun ended with code 137 before the run ended"
    );
    story.account(RunOutcome::Complete, None);
    story.mpirun_ends(0);
    assert_eq!(story.exit, Some(ExitCode::Success));
}

#[test]
fn an_account_of_an_earlier_run_does_not_count() {
    let mut story = Story::new(policy(), here());
    story.account(RunOutcome::Complete, None);
    story.handle(Event::Begin);
    story.take();
    story.pass(seconds(60));
    assert_eq!(story.take(), [], "mpirun is left alone");
    story.mpirun_ends(1);
    story.assert_starts();
    story.account(RunOutcome::CompleteWithFailures, None);
    story.mpirun_ends(1);
    assert_eq!(story.exit, Some(ExitCode::PagesFailed));
}

#[test]
fn a_damaged_account_is_reported() {
    let mut story = Story::begin(policy(), here());
    story.account(RunOutcome::Complete, None);
    story.files.account.as_mut().unwrap().finished = None;
    story.mpirun_ends(0);
    story.assert_starts();
    assert!(story.last_message().ends_with("the last one ended: the run's finished.json is damaged"));
}

#[test]
fn a_run_that_always_dies_at_once_is_given_up() {
    let mut story = Story::begin(Policy { attempts: 4, ..policy() }, here());
    story.mpirun_ends(137);
    story.assert_starts();
    for pause in [1, 2] {
        story.mpirun_ends(137);
        assert_eq!(story.take(), [Action::KillLeftovers]);
        story.pass(seconds(pause) - Duration::from_millis(1));
        assert_eq!(story.take(), [], "it pauses for {pause} s");
        story.pass(Duration::from_millis(1));
        story.assert_starts();
    }
    story.mpirun_ends(137);
    story.assert_stopped_early(
        "4 starts in a row settled no page; the last: mpirun ended with code 137 before the run ended",
    );
}

#[test]
fn only_starts_in_a_row_that_settle_no_page_count() {
    let mut story = Story::begin(Policy { attempts: 2, ..policy() }, here());
    for settled in 1..5 {
        story.status(settled, settled - 1);
        story.mpirun_ends(1);
        story.assert_starts();
        // A page that an earlier start settled does not count for this one.
        story.status(settled, settled);
        story.mpirun_ends(1);
        story.assert_starts();
    }
    story.status(9, 0);
    for _ in 0..2 {
        story.mpirun_ends(1);
        story.assert_starts();
    }
    // A status that did not change is that of an earlier start.
    story.mpirun_ends(1);
    assert_eq!(story.exit, Some(ExitCode::StoppedEarly));
}

#[test]
fn a_run_that_stands_still_is_ended_and_started_again() {
    let mut story = Story::begin(Policy { silence: seconds(10), ..policy() }, here());
    story.take();
    for beat in 0..4 {
        story.status(beat, 0);
        story.pass(seconds(9));
    }
    assert_eq!(story.take(), [], "a status that changes is a sign of life");
    story.pass(seconds(2));
    assert_eq!(story.take(), [Action::TerminateMpirun]);
    story.pass(seconds(3));
    assert_eq!(story.take(), [Action::KillMpirun]);
    story.mpirun_ends(137);
    story.assert_starts();
    assert!(story.last_message().ends_with("the last one ended: status.json did not change for 10 s"));
}

#[test]
fn an_orderly_end_that_the_launcher_caused_is_no_end_of_the_run() {
    for (outcome, exit) in [(STOPPED, None), (RunOutcome::Complete, Some(ExitCode::Success))] {
        let mut story = Story::begin(Policy { silence: seconds(10), ..policy() }, here());
        story.pass(seconds(10));
        story.account(outcome, None);
        story.take();
        story.mpirun_ends(0);
        assert_eq!(story.exit, exit);
        assert_eq!(story.take().contains(&Action::RemoveAccount), exit.is_none());
    }
}

#[test]
fn an_mpirun_that_outlives_its_run_is_ended() {
    let mut story = Story::begin(policy(), here());
    story.take();
    story.account(RunOutcome::Complete, None);
    story.pass(seconds(10));
    assert_eq!(story.take(), [], "it has time to end by itself");
    story.pass(seconds(1));
    assert_eq!(story.take(), [Action::TerminateMpirun]);
    story.pass(seconds(6));
    assert_eq!(story.take(), [Action::KillMpirun, Action::KillMpirun], "until it has gone");
    story.mpirun_ends(137);
    assert_eq!(story.exit, Some(ExitCode::Success));
}

#[test]
fn a_signal_asks_for_an_orderly_end() {
    let mut story = Story::begin(policy(), here());
    story.take();
    story.handle(Event::Signal);
    story.pass(seconds(2));
    let asked = [const { Action::AskToStop { time_left: None } }; 3];
    assert_eq!(story.take(), asked, "again: a run that has just begun removes the file");
    story.account(STOPPED, None);
    story.mpirun_ends(75);
    assert_eq!(story.take(), [Action::KillLeftovers, Action::RemoveStopFile]);
    assert_eq!((story.exit, story.said.len()), (Some(ExitCode::StoppedEarly), 1));
}

#[test]
fn a_run_whose_processes_are_killed_after_a_signal_is_told_how_much_time_is_left() {
    let mut story = Story::begin(Policy { kill_delay: Some(seconds(10)), ..policy() }, here());
    story.take();
    story.handle(Event::Signal);
    story.pass(seconds(1));
    let asked = [8, 7].map(|left| Action::AskToStop { time_left: Some(seconds(left)) });
    assert_eq!(story.take(), asked, "mpirun needs two seconds");
}

#[test]
fn after_a_signal_mpirun_has_less_time_to_end() {
    let mut story = Story::begin(policy(), here());
    story.handle(Event::Signal);
    story.account(RunOutcome::Complete, None);
    story.pass(seconds(1));
    story.take();
    story.pass(seconds(2));
    assert!(story.take().contains(&Action::TerminateMpirun));
    story.mpirun_ends(143);
    assert_eq!(story.exit, Some(ExitCode::Success));
}

#[test]
fn a_run_that_dies_after_a_signal_is_not_started_again() {
    let mut story = Story::begin(policy(), here());
    story.handle(Event::Signal);
    story.mpirun_ends(137);
    story.assert_stopped_early("the run died after a signal");
    assert!(story.take().contains(&Action::RemoveStopFile));
}

#[test]
fn a_second_signal_kills_a_run_that_does_not_obey_the_first() {
    let mut story = Story::begin(policy(), here());
    story.handle(Event::Signal);
    story.pass(seconds(5));
    story.take();
    story.handle(Event::Signal);
    assert_eq!(story.take(), [Action::KillMpirun]);
    story.pass(seconds(3));
    assert_eq!(story.take(), [Action::KillMpirun], "until it has gone");
    story.mpirun_ends(137);
    story.assert_stopped_early("a second signal came after a signal");
}

#[test]
fn a_run_that_cannot_be_asked_to_stop_is_ended() {
    let mut story = Story::begin(policy(), here());
    story.handle(Event::Signal);
    story.take();
    story.handle(Event::NotAsked { error: "disk full".into() });
    assert_eq!(story.take(), [Action::TerminateMpirun]);
    story.mpirun_ends(143);
    story.assert_stopped_early("run/stop could not be written (disk full) after a signal");
}

#[test]
fn a_signal_between_attempts_ends_the_launcher() {
    let mut before = Story::new(policy(), here());
    before.handle(Event::Signal);
    before.handle(Event::Begin);
    let mut pausing = Story::begin(policy(), here());
    pausing.mpirun_ends(1);
    pausing.mpirun_ends(1);
    pausing.handle(Event::Signal);
    let mut checking = Story::begin(policy(), hosts());
    checking.take();
    checking.mpirun_ends(1);
    checking.handle(Event::Signal);
    for story in [before, pausing, checking] {
        story.assert_stopped_early("a signal came");
    }
}

#[test]
fn all_attempts_together_end_in_time() {
    let mut story = Story::begin(Policy { time: Some(seconds(100)), attempts: 1000, ..policy() }, here());
    assert_eq!(story.assert_starts(), Some(100));
    story.pass(seconds(40));
    story.mpirun_ends(1);
    assert_eq!(story.assert_starts(), Some(60), "the run gets what is left");
    story.pass(seconds(56));
    story.mpirun_ends(1);
    story.pass(seconds(1));
    story.assert_stopped_early("no time is left (mpirun ended with code 1 before the run ended)");
}

#[test]
fn a_run_that_does_not_end_in_time_is_ended() {
    let mut story = Story::begin(Policy { time: Some(seconds(20)), ..policy() }, here());
    story.take();
    story.pass(seconds(29));
    assert_eq!(story.take(), [], "it may seal what it has");
    story.pass(seconds(1));
    assert_eq!(story.take(), [Action::TerminateMpirun]);
    story.account(STOPPED, None);
    story.mpirun_ends(75);
    assert_eq!(story.take(), [Action::KillLeftovers, Action::RemoveAccount, Action::CleanUp(Vec::new())]);
    story.assert_stopped_early("no time is left (it did not end in time)");
}

#[test]
fn too_little_time_is_none() {
    let story = Story::begin(Policy { time: Some(seconds(4)), ..policy() }, here());
    story.assert_stopped_early("no time is left");
}

#[test]
fn a_stop_file_of_another_process_counts_between_attempts() {
    let mut story = Story::new(policy(), here());
    story.files.stop_requested = true;
    story.handle(Event::Begin);
    story.assert_starts();
    story.mpirun_ends(1);
    story.assert_stopped_early("run/stop asks the run to stop");
    assert!(!story.take().contains(&Action::RemoveStopFile), "it is not the launcher's");
}

#[test]
fn an_mpirun_that_cannot_be_started_is_tried_again() {
    let mut story = Story::begin(Policy { attempts: 2, ..policy() }, here());
    story.handle(Event::NotStarted { error: "no such file".into() });
    story.assert_starts();
    assert!(story.last_message().ends_with("mpirun could not be started: no such file"));
    story.handle(Event::NotStarted { error: "no such file".into() });
    story
        .assert_stopped_early("2 starts in a row settled no page; the last: mpirun could not be started: no such file");
}
