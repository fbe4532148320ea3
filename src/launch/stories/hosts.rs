//! Stories of hosts: which get ranks, which are left out, and which come back.

use super::{STOPPED, Story, hosts, policy, seconds};
use crate::{
    launch::{Action, Event, HostFault, Hosts, Policy},
    report::RunOutcome,
};

/// The order to check these hosts.
fn check(hosts: &[&str]) -> Action {
    Action::CheckHosts(hosts.iter().map(|host| (*host).to_owned()).collect())
}

/// A launcher whose attempt is under way, and whose host n2 is left out because it did not answer.
fn without_n2(policy: Policy) -> Story {
    let mut story = Story::new(policy, hosts());
    story.handle(Event::Begin);
    story.hosts_checked(&[("n2", HostFault::NoAnswer)]);
    assert_eq!(story.said, ["without n2 (no answer)", "attempt 1: 2 ranks on n1 n3"]);
    story.take();
    story
}

#[test]
fn an_mpirun_that_waits_for_a_lost_host_is_killed_and_the_host_left_out() {
    let mut story = Story::begin(policy(), hosts());
    story.take();
    story.account(STOPPED, Some(&["n2.site"]));
    story.pass(seconds(3));
    assert_eq!(story.take(), [Action::KillMpirun], "without a polite signal, which makes it crash");
    story.mpirun_ends(137);
    assert_eq!(story.take(), [Action::KillLeftovers, check(&["n3"])]);
    story.hosts_checked(&[]);
    assert_eq!(
        story.said[1..],
        ["without n2 (silent)", "attempt 2: 2 ranks on n1 n3; the last one ended: a rank became silent on n2.site"]
    );
    story.assert_starts();
}

#[test]
fn a_host_that_lacks_what_a_rank_needs_is_left_out_from_the_start() {
    let mut story = Story::new(policy(), hosts());
    story.handle(Event::Begin);
    assert_eq!(story.take(), [check(&["n2", "n3"])]);
    story.hosts_checked(&[("n3", HostFault::NoProgram)]);
    let without = "without n3 (the program of the ranks is missing)";
    assert_eq!(story.said, [without, "attempt 1: 2 ranks on n1 n2"]);
    story.assert_starts();
    story.mpirun_ends(1);
    assert_eq!(story.take(), [Action::KillLeftovers, check(&["n2"])], "a host without a fault only");
}

#[test]
fn what_every_host_lacks_is_no_fault_of_a_host() {
    let mut story = Story::new(policy(), hosts());
    story.handle(Event::Begin);
    let lacks = |host: &str| (host.to_owned(), HostFault::Pdfium);
    let faults = vec![lacks("n2"), lacks("n3")];
    story.handle(Event::HostsChecked { here: Some(HostFault::Pdfium), faults });
    assert_eq!(story.said, ["attempt 1: 3 ranks on n1 n2 n3"], "the run says what is missing");
}

#[test]
fn most_hosts_without_an_answer_are_asked_a_second_time() {
    let mut story = Story::begin(policy(), hosts());
    story.take();
    story.mpirun_ends(137);
    assert_eq!(story.take(), [Action::KillLeftovers, check(&["n2", "n3"])]);
    story.hosts_checked(&[("n2", HostFault::NoAnswer), ("n3", HostFault::NoAnswer)]);
    assert_eq!(story.take(), [check(&["n2", "n3"])], "it is rather the way to them");
    story.hosts_checked(&[("n3", HostFault::NoAnswer)]);
    assert_eq!(story.said[1], "without n3 (no answer)");
    story.assert_starts();
}

#[test]
fn a_host_that_answers_again_gets_ranks_in_the_next_attempt() {
    let mut story = without_n2(Policy { silence: seconds(1000), ..policy() });
    story.pass(seconds(59));
    assert_eq!(story.take(), []);
    story.pass(seconds(1));
    assert_eq!(story.take(), [check(&["n2"])]);
    story.hosts_checked(&[]);
    story.pass(seconds(119));
    assert_eq!(story.take(), [], "without an estimate of the time left a restart is not worth it");
    story.pass(seconds(1));
    assert_eq!(story.take(), [check(&["n2"])], "at growing intervals");
    story.hosts_checked(&[]);
    story.mpirun_ends(137);
    assert_eq!(story.take(), [Action::KillLeftovers, check(&["n2", "n3"])]);
    story.hosts_checked(&[]);
    assert_eq!(story.said[2], "with n2 again");
    assert!(story.last_message().starts_with("attempt 2: 3 ranks on n1 n2 n3;"), "{:?}", story.said);
}

#[test]
fn an_attempt_is_ended_once_for_the_return_of_a_host_if_that_is_worth_it() {
    let mut story = without_n2(Policy { silence: seconds(100_000), ..policy() });
    // One page a second, and 20,000 are left.
    story.reads(60, 20_060, 60);
    story.pass(seconds(60));
    assert_eq!(story.take(), [check(&["n2"])]);
    story.hosts_checked(&[]);
    assert_eq!(story.take(), [Action::KillMpirun], "an orderly end would end the servers too");
    story.mpirun_ends(137);
    story.take();
    story.hosts_checked(&[]);
    let attempt = "attempt 2: 3 ranks on n1 n2 n3; the last one ended: ended to start ranks on n2 again";
    assert_eq!(story.last_message(), attempt);
    story.take();
    // Lost again, and back again: the next attempt is soon enough.
    story.mpirun_ends(137);
    story.hosts_checked(&[("n2", HostFault::NoAnswer)]);
    story.take();
    story.reads(61, 20_060, 60);
    story.pass(seconds(60));
    assert_eq!(story.take(), [check(&["n2"])]);
    story.hosts_checked(&[]);
    assert_eq!(story.take(), []);
}

#[test]
fn a_host_whose_ranks_became_silent_twice_is_asked_no_more() {
    let mut story = Story::begin(policy(), hosts());
    for number in 1..=2 {
        story.account(STOPPED, Some(&["n2"]));
        story.mpirun_ends(1);
        story.pass(seconds(1));
        story.hosts_checked(&[]);
        story.take();
        story.pass(seconds(60));
        assert_eq!(story.take().contains(&check(&["n2"])), number == 1, "{:?}", story.said);
        if number == 1 {
            story.hosts_checked(&[]);
            story.files.account = None;
            story.mpirun_ends(137);
            story.pass(seconds(2));
            story.hosts_checked(&[]);
            story.pass(seconds(2));
            assert!(story.last_message().contains(": 3 ranks on n1 n2 n3;"), "{:?}", story.said);
        }
    }
    assert!(story.said.contains(&"without n2 (silent again: it gets no more ranks)".to_owned()), "{:?}", story.said);
}

#[test]
fn without_a_host_there_is_no_further_attempt() {
    let mut story = Story::begin(policy(), Hosts::of_file("n2\nn3\n", "login", None).unwrap());
    story.account(STOPPED, Some(&["n2"]));
    story.mpirun_ends(1);
    story.hosts_checked(&[("n3", HostFault::NoAnswer)]);
    assert_eq!(story.said[1..3], ["without n2 (silent)", "without n3 (no answer)"]);
    story.assert_stopped_early("no host is left");
}

#[test]
fn what_killed_ranks_left_is_ended_unless_the_run_ended_in_order() {
    let clean_up = || Action::CleanUp(vec!["n2".into(), "n3".into()]);
    let mut refused = Story::begin(policy(), hosts());
    refused.mpirun_ends(2);
    let mut fruitless = Story::begin(Policy { attempts: 1, ..policy() }, hosts());
    fruitless.mpirun_ends(1);
    let mut hangs = Story::begin(policy(), hosts());
    hangs.account(RunOutcome::Complete, None);
    hangs.pass(seconds(12));
    hangs.mpirun_ends(143);
    for mut story in [refused, fruitless, hangs] {
        assert!(story.take().ends_with(&[clean_up()]) && story.exit.is_some(), "{:?}", story.said);
    }
    let mut whole = Story::begin(policy(), hosts());
    whole.account(RunOutcome::Complete, None);
    whole.mpirun_ends(0);
    assert!(!whole.take().contains(&clean_up()));
}
