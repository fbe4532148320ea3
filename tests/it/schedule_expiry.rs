//! Stories of pages that do not come back: their leases expire.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::engines;
use std::time::Duration;

use crate::schedule_support::{CHANDRA, Story, page, policy, seconds, without_second};
use bulletin_ocr::{
    model::{FailureClass, MachineFault, Outcome, PageRef, RankId, RecordPlace, StopReason, Unit, Verdict},
    schedule::{Action, Event, PageState, Policy, Restored},
};

const OTHER: RankId = RankId(1);

/// No lease of these stories lasts less.
const FLOOR: Duration = Duration::from_secs(100);

fn begin(ranks: u32, page_counts: &[u32]) -> Story {
    Story::resume(Policy { lease_floor: FLOOR, ..without_second(ranks) }, page_counts, Vec::new())
}

/// Tells the time at the moment for which the scheduler waits.
fn wait(story: &mut Story) {
    let until = story.scheduler.next_timeout().expect("something is waited for").0;
    story.now = until.max(story.now);
    story.happens(Event::Clock);
}

/// The leases that have expired since the last look, and the units dealt since.
#[allow(clippy::type_complexity, reason = "two lists, named where they are used")]
fn expired(story: &mut Story) -> (Vec<(RankId, PageRef)>, Vec<(RankId, Unit)>) {
    let (mut leases, mut units) = (Vec::new(), Vec::new());
    for action in story.actions.drain(..) {
        match action {
            Action::Expire { rank, page, .. } => leases.push((rank, page)),
            Action::Assign { rank, unit, .. } => units.push((rank, unit)),
            other => panic!("neither expired nor dealt: {other:?}"),
        }
    }
    (leases, units)
}

/// Two ranks; the first page hangs on the first rank, all others are read by then.
fn hanging() -> (Story, Unit) {
    let mut story = begin(2, &[4]);
    story.joins(CHANDRA, "chandra", 4);
    story.joins(OTHER, "chandra", 4);
    let units = story.units();
    let first = units.iter().find(|(_, unit)| unit.pages().any(|other| other == page(0, 1))).unwrap().1;
    for (rank, unit) in units {
        for other in unit.pages().filter(|other| *other != page(0, 1)) {
            story.settles(rank, unit, other, Verdict::Read);
        }
    }
    (story, first)
}

#[test]
fn a_page_that_does_not_come_back_is_given_to_another_rank_and_the_rest_of_its_unit_goes_on() {
    let mut story = begin(2, &[6]);
    story.joins(CHANDRA, "chandra", 6);
    let units = story.units();
    let unit = units[0].1;
    assert!(unit.count > 1);
    story.now = Duration::from_secs(50);
    story.settles(CHANDRA, unit, page(0, 2), Verdict::Read);
    story.joins(OTHER, "chandra", 2);
    for (rank, unit) in story.units().into_iter().chain(units[1..].iter().copied()) {
        story.reads(rank, unit);
    }
    for (rank, unit) in story.units() {
        story.reads(rank, unit);
    }
    // 8 times as long as the longest page took is longer than the floor.
    story.now = Duration::from_secs(390);
    story.happens(Event::Clock);
    story.assert_quiet();
    wait(&mut story);
    let (leases, units) = expired(&mut story);
    assert_eq!(leases.first(), Some(&(CHANDRA, page(0, 1))));
    assert!(units.iter().any(|(rank, unit)| (*rank, unit.first) == (OTHER, page(0, 1))), "{units:?}");
    let (rank, again) = units.into_iter().find(|(_, unit)| unit.first == page(0, 1)).unwrap();
    story.settles(rank, again, page(0, 1), Verdict::Read);
    assert_eq!(story.scheduler.stage(page(0, 1)), Some(PageState::Settled(Verdict::Read)));
}

/// Where no page at all has come back since, the machine may be slow.
#[test]
fn a_lease_lasts_twice_as_long_where_nothing_comes_back_at_all() {
    let mut story = begin(2, &[2]);
    story.joins(CHANDRA, "chandra", 1);
    story.joins(OTHER, "chandra", 1);
    story.units();
    assert!(story.scheduler.next_timeout().unwrap() >= seconds(200));
    wait(&mut story);
    let (leases, units) = expired(&mut story);
    assert_eq!(leases.len(), 1);
    assert_eq!(units, [], "the other rank is at work on a page of its own");
}

#[test]
fn a_page_that_no_rank_gives_back_fails_with_a_class_of_its_own() {
    let (mut story, first) = hanging();
    let holder = if first.lease.0 == 101 { CHANDRA } else { OTHER };
    let mut holders = vec![holder];
    for _ in 0..2 {
        wait(&mut story);
        let (leases, units) = expired(&mut story);
        assert_eq!(leases, [(*holders.last().unwrap(), page(0, 1))]);
        let [(rank, unit)] = units[..] else { panic!("dealt to the other rank") };
        assert_eq!((unit.first, unit.count), (page(0, 1), 1));
        holders.push(rank);
    }
    assert!(holders.windows(2).all(|pair| pair[0] != pair[1]), "{holders:?}");
    // The third time it is dealt only to be written down.
    wait(&mut story);
    let given_up: Vec<_> = story.actions.drain(..).collect();
    let [Action::Expire { .. }, Action::Assign { rank, unit, ref priors }] = given_up[..] else {
        panic!("{given_up:?}")
    };
    assert_eq!(priors[0].give_up, Some(FailureClass::Stuck));
    story.settles_with(rank, unit, page(0, 1), Verdict::Failed(FailureClass::Stuck), "");
    story.assert_finished(Outcome::Complete);
    let counts = story.scheduler.counts();
    assert_eq!((counts.read, counts.failed[&FailureClass::Stuck], story.scheduler.expired()), (3, 1, 3));
}

/// The catalogue has the record of the page that was read, whatever a later lease says.
#[test]
fn a_late_record_that_read_the_page_settles_it_wherever_it_is_by_then() {
    let read = Verdict::Read;
    // While it waits, since no rank can take it.
    let mut story = begin(2, &[2]);
    story.joins(CHANDRA, "chandra", 1);
    story.joins(OTHER, "chandra", 1);
    let units = story.units();
    wait(&mut story);
    let (leases, _) = expired(&mut story);
    let (rank, late) = leases[0];
    let unit = units.iter().find(|(other, _)| *other == rank).unwrap().1;
    story.settles(rank, unit, late, read);
    assert_eq!(story.scheduler.stage(late), Some(PageState::Settled(read)));
    assert_eq!((story.scheduler.counts().read, story.scheduler.counts().stale), (1, 1));

    // While it is out again: however that ends.
    let stuck = Verdict::Failed(FailureClass::Loop);
    for ending in 0..3 {
        let (mut story, first) = hanging();
        wait(&mut story);
        let (leases, units) = expired(&mut story);
        let (again, unit) = units[0];
        story.settles(leases[0].0, first, page(0, 1), read);
        assert!(matches!(story.scheduler.stage(page(0, 1)), Some(PageState::Leased(_))));
        match ending {
            0 => story.settles(again, unit, page(0, 1), stuck),
            1 => story.returns(again, unit, MachineFault::ConnectionLost),
            _ => {
                wait(&mut story);
                assert!(matches!(story.actions.remove(0), Action::Expire { .. }));
            }
        }
        story.assert_finished(Outcome::Complete);
        assert_eq!((story.scheduler.counts().read, story.scheduler.counts().failed_total()), (4, 0), "ending {ending}");
    }
}

#[test]
fn a_record_that_comes_after_the_page_was_given_up_corrects_the_count() {
    let (mut story, first) = hanging();
    let holder = if first.lease.0 == 101 { CHANDRA } else { OTHER };
    for _ in 0..3 {
        wait(&mut story);
    }
    let (_, units) = expired(&mut story);
    let (rank, unit) = *units.last().unwrap();
    story.settles_with(rank, unit, page(0, 1), Verdict::Failed(FailureClass::Stuck), "");
    story.assert_finished(Outcome::Complete);
    story.settles(holder, first, page(0, 1), Verdict::Read);
    let counts = story.scheduler.counts();
    assert_eq!((counts.read, counts.failed_total(), counts.stale), (4, 0, 1));
}

#[test]
fn a_late_failure_counts_for_nothing() {
    let (mut story, first) = hanging();
    wait(&mut story);
    let (leases, units) = expired(&mut story);
    story.settles(leases[0].0, first, page(0, 1), Verdict::Failed(FailureClass::Rejected));
    assert_eq!(story.scheduler.counts().stale, 1);
    let (rank, unit) = units[0];
    story.settles(rank, unit, page(0, 1), Verdict::Read);
    story.assert_finished(Outcome::Complete);
}

/// A rank on which everything hangs must not take one page after the other.
#[test]
fn a_rank_that_gives_nothing_back_gets_no_more_pages_and_the_others_read_them() {
    let mut story = begin(2, &[60]);
    story.joins(CHANDRA, "chandra", 8);
    story.joins(OTHER, "chandra", 8);
    let mut swallowed = 0;
    let mut dealt = story.units();
    while story.scheduler.counts().settled() < 60 {
        let mut any = false;
        for (rank, unit) in std::mem::take(&mut dealt) {
            if rank == CHANDRA {
                swallowed += unit.count;
            } else {
                story.reads(rank, unit);
                any = true;
            }
        }
        if !any && story.actions.is_empty() {
            wait(&mut story);
        }
        for action in story.actions.drain(..) {
            match action {
                Action::Assign { rank, unit, .. } => dealt.push((rank, unit)),
                Action::Expire { rank, .. } => assert_eq!(rank, CHANDRA),
                Action::Finish { outcome } => assert_eq!(outcome, Outcome::Complete),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(story.scheduler.counts().read, 60);
    assert!((8..=8 + 3).contains(&swallowed), "{swallowed} pages");
}

#[test]
fn a_run_whose_only_rank_gives_nothing_back_ends_and_blames_only_what_hung() {
    let mut story = begin(1, &[40]);
    story.joins(CHANDRA, "chandra", 4);
    let mut steps = 0;
    while !story.actions.iter().any(|action| matches!(action, Action::Finish { .. })) {
        let priors: Vec<_> = story
            .actions
            .drain(..)
            .filter_map(|action| match action {
                Action::Assign { rank, unit, priors } => Some((rank, unit, priors)),
                _ => None,
            })
            .collect();
        let given_up = priors.iter().filter(|(.., priors)| priors.iter().any(|prior| prior.give_up.is_some()));
        for (rank, unit, _) in given_up.cloned().collect::<Vec<_>>() {
            story.settles_with(rank, unit, unit.first, Verdict::Failed(FailureClass::Stuck), "");
        }
        if story.actions.is_empty() {
            wait(&mut story);
        }
        steps += 1;
        assert!(steps < 100, "the run does not end");
    }
    let counts = story.scheduler.counts();
    let outcome = Outcome::Stopped(StopReason::NoEngine(engines::CHANDRA));
    assert_eq!(story.actions.last(), Some(&Action::Finish { outcome }));
    assert_eq!((counts.settled(), counts.failed[&FailureClass::Stuck]), (7, 7), "what hung: a hand and three probes");
}

#[test]
fn a_run_that_stops_does_not_wait_for_a_page_that_does_not_come_back() {
    let mut story = begin(1, &[1]);
    story.joins(CHANDRA, "chandra", 1);
    story.units();
    story.happens(Event::StopRequested { reason: StopReason::Requested });
    assert_eq!(story.actions.drain(..).collect::<Vec<_>>(), [Action::Recall { rank: CHANDRA }]);
    let before = story.now;
    wait(&mut story);
    assert!(story.now < before + Duration::from_secs(61));
    assert!(matches!(story.actions.remove(0), Action::Expire { .. }));
    story.assert_finished(Outcome::Stopped(StopReason::Requested));
    assert!(!story.scheduler.is_lost(CHANDRA), "it seals what it has");
}

/// A page that failed in an earlier start because it hung waits for the first engine again, and keeps what it had.
#[test]
fn a_page_that_is_read_again_and_hangs_again_keeps_its_text() {
    let restored = Restored {
        page: page(0, 1),
        verdict: Verdict::Read,
        engine: Some(engines::CHANDRA),
        remaining: engines::set("chandra"),
        place: RecordPlace { rank: CHANDRA, sequence: 0, row: 0 },
        again: true,
    };
    let mut story = Story::resume(Policy { lease_floor: FLOOR, ..policy(1) }, &[1], vec![restored]);
    story.joins(CHANDRA, "chandra+deepseek", 1);
    for _ in 0..3 {
        wait(&mut story);
    }
    let (_, units) = expired(&mut story);
    let (rank, unit) = *units.last().unwrap();
    story.settles_with(rank, unit, page(0, 1), Verdict::Failed(FailureClass::Stuck), "");
    story.assert_finished(Outcome::Complete);
    assert_eq!(story.scheduler.counts().read, 1);
}
