//! Stories of pages that were in flight when their engine died, and of the search for the one that kills it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::engines;
use crate::schedule_support::{CHANDRA, Story, attempt, page, without_second};
use bulletin_ocr::{
    model::{
        Attempt, AttemptOutcome, FailureClass, MachineFault, Outcome, PageRef, RankId, StopReason, Trial, Unit, Verdict,
    },
    schedule::{Action, Event},
};

const OTHER: RankId = RankId(1);

/// A run whose first rank has read page 1 and holds the next ones.
fn begun(ranks: u32, pages: u32, credits: u32) -> (Story, Vec<Unit>) {
    let mut story = Story::begin(ranks, &[pages]);
    story.joins(CHANDRA, "chandra", credits);
    let units = of(CHANDRA, story.units());
    story.settles(CHANDRA, units[0], units[0].first, Verdict::Read);
    let mut held: Vec<_> = units.into_iter().chain(of(CHANDRA, story.units())).collect();
    held.iter_mut().for_each(|unit| *unit = without_first(*unit));
    held.retain(|unit| unit.count > 0);
    (story, held)
}

/// The unit without page 1, if it begins with that.
fn without_first(unit: Unit) -> Unit {
    if unit.first != page(0, 1) {
        return unit;
    }
    Unit { first: page(0, 2), count: unit.count - 1, ..unit }
}

fn of(rank: RankId, units: Vec<(RankId, Unit)>) -> Vec<Unit> {
    units.into_iter().filter(|(other, _)| *other == rank).map(|(_, unit)| unit).collect()
}

/// All pages of the units, with the trial of each.
fn trials(units: &[Unit]) -> Vec<(PageRef, Option<Trial>)> {
    units.iter().flat_map(|unit| unit.pages().map(|page| (page, unit.trial))).collect()
}

/// The server dies with these units in flight. Gives what is dealt then.
fn dies(story: &mut Story, units: &[Unit]) -> Vec<Unit> {
    let mut dealt = Vec::new();
    for unit in units {
        story.returns(CHANDRA, *unit, MachineFault::ServerDied);
        dealt.extend(of(CHANDRA, story.units()));
    }
    dealt
}

fn reads(story: &mut Story, units: &[Unit]) -> Vec<Unit> {
    units.iter().for_each(|unit| story.reads(CHANDRA, *unit));
    of(CHANDRA, story.units())
}

#[test]
fn after_a_death_its_pages_are_read_again_among_others_and_the_rank_is_filled() {
    let (mut story, held) = begun(1, 40, 4);
    assert_eq!(trials(&held).len(), 4);
    let again = dies(&mut story, &held);
    assert_eq!(
        trials(&again),
        trials(&held).iter().map(|(page, _)| (*page, Some(Trial::AmongOthers))).collect::<Vec<_>>()
    );
    let next = reads(&mut story, &again[..1]);
    assert_eq!(trials(&next).iter().map(|(_, trial)| *trial).collect::<Vec<_>>(), [None], "it is refilled meanwhile");
}

#[test]
fn after_two_deaths_half_are_tried_in_isolation_once_the_server_has_read_another_page() {
    let (mut story, held) = begun(1, 40, 4);
    let again = dies(&mut story, &held);
    let control = dies(&mut story, &again);
    assert_eq!(trials(&control), [(page(0, 40), None)], "a page that no death made suspect, alone");
    let half = reads(&mut story, &control);
    let isolated =
        |numbers: &[u32]| numbers.iter().map(|number| (page(0, *number), Some(Trial::Together))).collect::<Vec<_>>();
    assert_eq!(trials(&half), isolated(&[2, 3]));

    // These are read: one of the others kills.
    let alone = reads(&mut story, &half);
    assert_eq!(trials(&alone), [(page(0, 4), Some(Trial::Alone { deaths: 0 }))]);
    let control = dies(&mut story, &alone);
    assert_eq!(trials(&control), [(page(0, 39), None)]);
    let alone = reads(&mut story, &control);
    assert_eq!(trials(&alone), [(page(0, 4), Some(Trial::Alone { deaths: 1 }))]);
    story.settles(CHANDRA, alone[0], page(0, 4), Verdict::Failed(FailureClass::Poison));
    let rest = of(CHANDRA, story.units());
    assert_eq!(trials(&rest)[0], (page(0, 5), Some(Trial::AmongOthers)), "another page was found to kill");
    assert!(trials(&rest)[1..].iter().all(|(_, trial)| trial.is_none()) && trials(&rest).len() == 4, "{rest:?}");
}

/// A page that kills must not take the servers of others one after the other.
#[test]
fn they_are_tried_where_their_server_died_while_the_others_go_on() {
    let (mut story, held) = begun(2, 40, 2);
    story.joins(OTHER, "chandra", 2);
    let of_other = of(OTHER, story.units());
    for unit in &held {
        story.returns(CHANDRA, *unit, MachineFault::ServerDied);
    }
    of_other.iter().for_each(|unit| story.reads(OTHER, *unit));
    let units = story.units();
    assert!(units.iter().all(|(rank, unit)| unit.trial.is_none() || *rank == CHANDRA), "{units:?}");
    assert!(units.iter().any(|(rank, _)| *rank == OTHER));
}

#[test]
fn a_rank_that_loses_the_engine_clears_its_pages() {
    let (mut story, held) = begun(2, 8, 4);
    let again = dies(&mut story, &held);
    story.happens(Event::EngineLost { rank: CHANDRA, engine: engines::CHANDRA });
    again.iter().for_each(|unit| story.returns(CHANDRA, *unit, MachineFault::ConnectionLost));
    story.joins(OTHER, "chandra", 8);
    let units = of(OTHER, story.units());
    assert!(trials(&units).iter().all(|(_, trial)| trial.is_none()) && units[0].first == page(0, 2), "{units:?}");
}

#[test]
fn a_page_that_was_alone_when_the_engine_died_is_tried_alone_at_once() {
    let mut story = Story::resume(without_second(1), &[2], Vec::new());
    story.joins(CHANDRA, "chandra", 1);
    let unit = of(CHANDRA, story.units());
    let mut unit = reads(&mut story, &unit);
    for deaths in [0, 1] {
        unit = dies(&mut story, &unit);
        assert_eq!(trials(&unit), [(page(0, 2), Some(Trial::Alone { deaths }))]);
    }
    story.settles(CHANDRA, unit[0], page(0, 2), Verdict::Failed(FailureClass::Poison));
    story.assert_finished(Outcome::Complete);
    assert_eq!(story.scheduler.counts().failed[&FailureClass::Poison], 1);
}

/// Its server gives it up.
#[test]
fn no_page_is_found_to_kill_an_engine_that_has_read_none() {
    let mut story = Story::resume(without_second(1), &[2], Vec::new());
    story.joins(CHANDRA, "chandra", 2);
    let mut units = of(CHANDRA, story.units());
    for number in [2, 1, 2] {
        units = dies(&mut story, &units);
        assert_eq!(trials(&units), [(page(0, number), Some(Trial::AmongOthers))], "one after the other");
    }
    story.happens(Event::EngineLost { rank: CHANDRA, engine: engines::CHANDRA });
    let stopped = Outcome::Stopped(StopReason::NoEngine(engines::CHANDRA));
    units.iter().for_each(|unit| story.returns(CHANDRA, *unit, MachineFault::ConnectionLost));
    assert_eq!(story.actions.last(), Some(&Action::Finish { outcome: stopped }));
    assert_eq!(story.scheduler.counts().settled(), 0);
}

/// Such a page would be asked for ever: every other page is read by the same server.
#[test]
fn a_page_that_always_comes_back_is_tried_alone() {
    let mut story = Story::begin(1, &[2]);
    story.joins(CHANDRA, "chandra", 1);
    let units = of(CHANDRA, story.units());
    let mut units = reads(&mut story, &units);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(units[0].trial);
        let (fault, lease) = (MachineFault::Aborted, units[0].lease);
        let attempts = vec![Attempt { outcome: AttemptOutcome::Interrupted(fault), ..attempt() }];
        story.happens(Event::Returned { rank: CHANDRA, page: page(0, 2), lease, fault, attempts, text: None });
        units = of(CHANDRA, story.units());
    }
    let alone = |deaths| Some(Trial::Alone { deaths });
    assert_eq!(seen, [None, None, None, alone(0), alone(1)], "the table of attempts settles it there");
}
