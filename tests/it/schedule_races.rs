//! Stories of races: the last pages are also asked on idle ranks.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use bulletin_ocr::{
    model::{FailureClass, MachineFault, Outcome, RankId, StopReason, Unit, Verdict},
    schedule::{Action, Event, PageState, Policy},
};

use crate::schedule_support::{CHANDRA as FIRST, Story, page, without_second};

const OTHER: RankId = RankId(1);
const LOOPED: Verdict = Verdict::Failed(FailureClass::Loop);

fn policy() -> Policy {
    Policy { races: true, silence_limit: Some(Duration::from_secs(60)), ..without_second(2) }
}

/// Two ranks and two pages, of which the other rank has read one: the last page runs on both.
fn race() -> (Story, Unit, Unit) {
    let mut story = Story::resume(policy(), &[2], Vec::new());
    story.joins(FIRST, "chandra", 4);
    story.joins(OTHER, "chandra", 4);
    let [(FIRST, first), (OTHER, second)] = story.units()[..] else { panic!("a page each") };
    story.reads(OTHER, second);
    let [(OTHER, again)] = story.units()[..] else { panic!("the last page is also asked on the idle rank") };
    assert_eq!((again.first, again.count), (first.first, 1));
    (story, first, again)
}

fn assert_released(story: &mut Story, from: RankId, unit: Unit) {
    let released = Action::Release { rank: from, page: unit.first, lease: unit.lease };
    assert_eq!(story.actions.remove(0), released);
}

#[test]
fn the_first_reading_counts_and_the_other_rank_drops_the_page() {
    for winner in [FIRST, OTHER] {
        let (mut story, first, again) = race();
        let (won, lost, loser) = if winner == FIRST { (first, again, OTHER) } else { (again, first, FIRST) };
        story.reads(winner, won);
        assert_released(&mut story, loser, lost);
        story.assert_finished(Outcome::Complete);
        assert_eq!((story.scheduler.counts().read, story.scheduler.raced()), (2, 1));
        // A record that the loser had written already changes nothing.
        story.reads(loser, lost);
        story.assert_quiet();
        assert_eq!((story.scheduler.counts().read, story.scheduler.counts().stale), (2, 1));
    }
}

#[test]
fn a_failure_under_one_lease_leaves_the_page_to_the_other() {
    for failing in [FIRST, OTHER] {
        let (mut story, first, again) = race();
        let (failed, left, reader) = if failing == FIRST { (first, again, OTHER) } else { (again, first, FIRST) };
        story.settles(failing, failed, failed.first, LOOPED);
        // The rank that failed it is idle, and does not get the same page again at once.
        let raced = story.actions.drain(..).count();
        story.reads(reader, left);
        story.actions.retain(|action| !matches!(action, Action::Release { .. }));
        story.assert_finished(Outcome::Complete);
        assert_eq!((story.scheduler.counts().read, raced), (2, 0));
    }
}

#[test]
fn a_page_that_fails_under_both_leases_has_failed() {
    let (mut story, first, again) = race();
    story.settles_with(FIRST, first, first.first, LOOPED, "");
    story.settles_with(OTHER, again, again.first, LOOPED, "");
    story.assert_finished(Outcome::Complete);
    assert_eq!(story.scheduler.counts().failed[&FailureClass::Loop], 1);
}

#[test]
fn a_page_that_comes_back_unread_goes_on_under_the_other_lease() {
    let (mut story, first, again) = race();
    story.returns(FIRST, first, MachineFault::ServerDied);
    story.reads(OTHER, again);
    story.assert_finished(Outcome::Complete);

    let (mut story, first, _) = race();
    // The other rank falls silent: its lease is gone, the run ends early, and the page is read before that.
    story.now = Duration::from_secs(50);
    story.happens(Event::Alive { rank: FIRST });
    story.now = Duration::from_secs(65);
    story.happens(Event::Clock);
    assert_eq!(story.actions.remove(0), Action::Recall { rank: FIRST });
    story.reads(FIRST, first);
    story.assert_finished(Outcome::Complete);
    assert!(story.scheduler.is_lost(OTHER));
}

#[test]
fn an_expired_lease_leaves_the_page_to_the_other() {
    let mut story = Story::resume(
        Policy { lease_floor: Duration::from_secs(100), silence_limit: None, ..policy() },
        &[2],
        Vec::new(),
    );
    story.joins(FIRST, "chandra", 4);
    story.joins(OTHER, "chandra", 4);
    let [(FIRST, first), (OTHER, second)] = story.units()[..] else { panic!("a page each") };
    story.now = Duration::from_secs(50);
    story.reads(OTHER, second);
    let [(OTHER, again)] = story.units()[..] else { panic!("raced") };
    // Eight times as long as the longest page so far.
    story.now = Duration::from_secs(420);
    story.happens(Event::Clock);
    assert_eq!(story.actions.remove(0), Action::Expire { rank: FIRST, page: first.first, lease: first.lease });
    story.assert_quiet();
    story.reads(OTHER, again);
    story.assert_finished(Outcome::Complete);
}

#[test]
fn only_an_idle_rank_races_and_takes_few_pages_of_those_dealt_last() {
    let mut story = Story::resume(policy(), &[24], Vec::new());
    story.joins(FIRST, "chandra", 16);
    story.joins(OTHER, "chandra", 16);
    let units = story.units();
    let of = |rank| units.iter().filter(move |(to, _)| *to == rank).map(|(_, unit)| *unit);
    assert_eq!(of(OTHER).map(|unit| unit.count).sum::<u32>(), 12);
    let mut raced = Vec::new();
    for unit in of(OTHER) {
        assert!(raced.is_empty(), "no race while the rank holds pages: {raced:?}");
        story.reads(OTHER, unit);
        raced = story.units();
    }
    let last = of(FIRST).last().unwrap();
    let pages: Vec<_> = raced.iter().map(|(rank, unit)| (*rank, unit.first)).collect();
    let newest: Vec<_> = last.pages().collect::<Vec<_>>().into_iter().rev().take(2).map(|page| (OTHER, page)).collect();
    assert_eq!(pages, newest, "an eighth of 16 credits");
}

#[test]
fn nothing_is_raced_where_it_is_switched_off() {
    let mut story = Story::resume(Policy { races: false, ..policy() }, &[2], Vec::new());
    story.joins(FIRST, "chandra", 4);
    story.joins(OTHER, "chandra", 4);
    let [_, (OTHER, second)] = story.units()[..] else { panic!("a page each") };
    story.reads(OTHER, second);
    story.assert_quiet();
}

#[test]
fn a_stop_ends_both_leases_of_a_race() {
    let (mut story, first, again) = race();
    story.happens(Event::StopRequested { reason: StopReason::Requested });
    story.happens(Event::Clock);
    let recalls = story.actions.drain(..).filter(|action| matches!(action, Action::Recall { .. })).count();
    assert_eq!(recalls, 2);
    story.returns(FIRST, first, MachineFault::Draining);
    story.returns(OTHER, again, MachineFault::Draining);
    story.assert_finished(Outcome::Stopped(StopReason::Requested));
    assert_eq!(story.scheduler.stage(page(0, 1)), Some(PageState::Waiting(crate::engines::CHANDRA)));
}
