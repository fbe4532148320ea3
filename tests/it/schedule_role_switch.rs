//! Stories of ranks that serve one engine at a time: when they turn to the other.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{collections::VecDeque, time::Duration};

use crate::schedule_support::{Story, page, policy, seconds};
use bulletin_ocr::{
    model::{
        Engine, EngineSet, FailureClass, MachineFault, Outcome, PageRef, RankId, RecordPlace, StopReason, Trial, Unit,
        Verdict,
    },
    schedule::{Action, Deadline, Event, PageState, Policy, Restored},
};

const FIRST: RankId = RankId(0);
const SECOND: RankId = RankId(1);
const LOOPED: Verdict = Verdict::Failed(FailureClass::Loop);

/// Tells of a rank that serves one engine at a time, and whose first server is ready.
fn joins(story: &mut Story, rank: RankId, credits: u32) {
    story.joins(rank, "chandra/deepseek", credits);
}

fn ready(story: &mut Story, rank: RankId, engine: Engine) {
    story.happens(Event::EngineReady { rank, engine });
}

/// The page fails, and may be given to the other engine.
fn fails(story: &mut Story, rank: RankId, unit: Unit, page: PageRef) {
    let remaining = if unit.engine == Engine::Chandra { "chandra+deepseek" } else { "chandra" };
    story.settles_with(rank, unit, page, LOOPED, remaining);
}

/// The only unit that has been dealt since the last look.
fn unit(story: &mut Story) -> Unit {
    let [(_, unit)] = story.units()[..] else { panic!("one unit") };
    unit
}

/// The turn that has been asked for since the last look, and nothing else.
fn turn(story: &mut Story) -> (RankId, Engine) {
    let asked: Vec<_> = story.actions.drain(..).collect();
    let [Action::SwitchRole { rank, engine }] = asked[..] else { panic!("one turn, not {asked:?}") };
    (rank, engine)
}

/// Two ranks with a page each: the first has failed its page and is told to turn. The unit is the second's.
fn begun_with_a_turn() -> (Story, Unit) {
    let mut story = Story::begin(2, &[2]);
    joins(&mut story, FIRST, 1);
    joins(&mut story, SECOND, 1);
    let units = story.units();
    fails(&mut story, FIRST, units[0].1, page(0, 1));
    assert_eq!(turn(&mut story), (FIRST, Engine::DeepSeek));
    (story, units[1].1)
}

/// A page that an earlier start left for the second engine.
fn left_for_deepseek(number: u32) -> Restored {
    Restored {
        page: page(0, number),
        verdict: LOOPED,
        engine: Some(Engine::Chandra),
        remaining: EngineSet::only(Engine::DeepSeek),
        place: RecordPlace { rank: FIRST, sequence: 0, row: number },
        again: false,
    }
}

#[test]
fn a_rank_alone_reads_all_with_the_first_engine_turns_to_the_second_and_back() {
    let mut story = Story::begin(1, &[3]);
    joins(&mut story, FIRST, 4);
    let first = unit(&mut story);
    fails(&mut story, FIRST, first, page(0, 1));
    story.settles(FIRST, first, page(0, 2), Verdict::Read);
    story.assert_quiet();
    story.settles(FIRST, first, page(0, 3), Verdict::Read);
    assert_eq!(turn(&mut story), (FIRST, Engine::DeepSeek), "once it holds no pages");

    story.happens(Event::Clock);
    story.assert_quiet();
    ready(&mut story, FIRST, Engine::DeepSeek);
    let second = unit(&mut story);
    assert_eq!((second.engine, second.first), (Engine::DeepSeek, page(0, 1)));
    fails(&mut story, FIRST, second, page(0, 1));
    assert_eq!(turn(&mut story), (FIRST, Engine::Chandra));
    ready(&mut story, FIRST, Engine::Chandra);
    let last = unit(&mut story);
    story.settles(FIRST, last, page(0, 1), Verdict::Read);
    story.assert_finished(Outcome::Complete);
}

#[test]
fn a_rank_that_starts_turns_at_once_where_only_the_second_engine_is_wanted_and_late_news_of_the_first_is_ignored() {
    let mut story = Story::resume(policy(1), &[1], vec![left_for_deepseek(1)]);
    story.happens(Event::RankJoined { rank: FIRST, role: "chandra/deepseek".parse().unwrap(), credits: 2 });
    assert_eq!(turn(&mut story), (FIRST, Engine::DeepSeek));
    ready(&mut story, FIRST, Engine::Chandra);
    story.assert_quiet();
    ready(&mut story, FIRST, Engine::DeepSeek);
    let unit = unit(&mut story);
    story.reads(FIRST, unit);
    story.assert_finished(Outcome::Complete);
}

/// Fifty pages wait for each engine. Where one rank serves both, stage 1 comes first.
#[test]
fn one_of_several_ranks_that_start_begins_with_the_second_engine_where_that_is_known_to_be_needed() {
    for (ranks, left, begins) in [(3, 50, true), (1, 50, false), (3, 0, false)] {
        let mut story = Story::resume(policy(ranks), &[100], (1..=left).map(left_for_deepseek).collect());
        (0..ranks).for_each(|rank| story.happens(joined(RankId(rank))));
        if !begins {
            story.assert_quiet();
            continue;
        }
        assert_eq!(turn(&mut story), (FIRST, Engine::DeepSeek), "one of {ranks}");
        (1..ranks).for_each(|rank| ready(&mut story, RankId(rank), Engine::Chandra));
        assert!(story.units().iter().all(|(_, unit)| unit.engine == Engine::Chandra));
        ready(&mut story, FIRST, Engine::DeepSeek);
        assert_eq!(unit(&mut story).engine, Engine::DeepSeek);
    }
}

/// Half of the pages that an earlier attempt settled were read by the second engine: of the others some will need it.
#[test]
fn earlier_attempts_tell_that_the_second_engine_will_be_needed() {
    let read_by =
        |engine, number| Restored { verdict: Verdict::Read, engine: Some(engine), ..left_for_deepseek(number) };
    for (engine, begins) in [(Engine::DeepSeek, true), (Engine::Chandra, false)] {
        let mut story = Story::resume(policy(2), &[100], (1..=20).map(|number| read_by(engine, number)).collect());
        [FIRST, SECOND].into_iter().for_each(|rank| story.happens(joined(rank)));
        if begins {
            assert_eq!(turn(&mut story), (FIRST, Engine::DeepSeek));
        } else {
            story.assert_quiet();
        }
    }
}

/// A start is not thrown away for it.
#[test]
fn a_rank_that_has_been_starting_for_long_does_not_begin_with_the_second_engine() {
    let mut story = Story::resume(policy(2), &[100], (1..=50).map(left_for_deepseek).collect());
    story.happens(joined(FIRST));
    story.now += Duration::from_secs(100);
    story.happens(joined(SECOND));
    story.assert_quiet();
}

/// Four ranks fail one of two pages each. One must turn; the others do if the work outlasts their turn of three minutes.
#[test]
fn as_many_ranks_turn_as_come_in_time_to_help() {
    for (page_time, expected) in [(1, 1), (1000, 4)] {
        let mut story = Story::begin(4, &[8]);
        (0..4).for_each(|rank| joins(&mut story, RankId(rank), 2));
        let units = story.units();
        story.now += Duration::from_secs(page_time);
        for (rank, unit) in &units {
            fails(&mut story, *rank, *unit, unit.first);
            for page in unit.pages().skip(1) {
                story.settles(*rank, *unit, page, Verdict::Read);
            }
        }
        let turns = story.actions.iter().filter(|action| matches!(action, Action::SwitchRole { .. })).count();
        assert_eq!(turns, expected, "pages take {page_time} s");
    }
}

#[test]
fn what_a_turn_takes_is_learned() {
    let mut story = Story::begin(2, &[2]);
    joins(&mut story, FIRST, 1);
    joins(&mut story, SECOND, 1);
    let units = story.units();
    let of = |rank| units.iter().find(|(other, _)| *other == rank).unwrap().1;
    story.now += Duration::from_secs(20);
    fails(&mut story, FIRST, of(FIRST), page(0, 1));
    assert_eq!(turn(&mut story), (FIRST, Engine::DeepSeek));
    // The first rank reads one page for 20 s: 180 s would be too long a turn to help it with the next, 0.1 s is not.
    ready(&mut story, FIRST, Engine::DeepSeek);
    story.units();
    fails(&mut story, SECOND, of(SECOND), page(0, 2));
    assert_eq!(turn(&mut story), (SECOND, Engine::DeepSeek));
}

/// One rank serves the first engine only, so that it can end stage 1 without the other, which has begun stage 2 by then.
#[test]
fn a_rank_leaves_stage_one_early_once_the_others_can_end_it_and_is_not_refilled_before() {
    let mut story = Story::begin(2, &[100]);
    story.joins(FIRST, "chandra", 2);
    joins(&mut story, SECOND, 2);
    let (mut open, mut settled, mut held) = (VecDeque::new(), 0, 0);
    loop {
        let mut turned = false;
        for action in story.actions.drain(..) {
            match action {
                Action::Assign { rank, unit, .. } => {
                    held += if rank == SECOND { unit.count } else { 0 };
                    open.extend(unit.pages().map(|page| (rank, unit, page)));
                }
                Action::SwitchRole { rank, engine } => turned = (rank, engine) == (SECOND, Engine::DeepSeek),
                other => panic!("{other:?}"),
            }
        }
        if turned {
            break;
        }
        let (rank, unit, page) = open.pop_front().expect("it turns before stage 1 is over");
        story.now += Duration::from_secs(5);
        held -= u32::from(rank == SECOND);
        if settled == 0 {
            fails(&mut story, rank, unit, page)
        } else {
            story.settles(rank, unit, page, Verdict::Read)
        }
        settled += 1;
    }
    // A page takes 10 s of a rank that reads two in 20 s: the first rank alone needs as long as turn and page for 19.
    assert!((75..90).contains(&settled), "it turned after {settled} pages");
    assert_eq!(held, 0);
    ready(&mut story, SECOND, Engine::DeepSeek);
    assert_eq!((unit(&mut story).first, story.scheduler.counts().read), (page(0, 1), settled - 1));
}

#[test]
fn a_rank_that_ran_dry_stays_if_others_have_taken_the_pages_meanwhile() {
    const HELPER: RankId = RankId(2);
    let policy = Policy { turn_cost: Duration::from_secs(1), ..policy(3) };
    let mut story = Story::resume(policy, &[14], (1..=10).map(left_for_deepseek).collect());
    story.joins(FIRST, "chandra", 1);
    joins(&mut story, SECOND, 1);
    story.joins(HELPER, "deepseek", 1);
    let units = story.units();
    let of = |rank| units.iter().find(|(other, _)| *other == rank).unwrap().1;
    story.now += Duration::from_secs(10);
    story.reads(FIRST, of(FIRST));
    story.units();
    // From here on the second rank is to turn: ten pages wait for the helper alone.
    let mut next = of(HELPER);
    for _ in 0..9 {
        story.reads(HELPER, next);
        next = unit(&mut story);
        assert_eq!(next.engine, Engine::DeepSeek);
    }
    story.reads(SECOND, of(SECOND));
    assert_eq!(unit(&mut story).engine, Engine::Chandra, "it goes on with stage 1");
}

#[test]
fn where_a_turn_fails_another_rank_turns_and_where_all_fail_the_run_stops() {
    let (mut story, of_second) = begun_with_a_turn();
    story.happens(Event::EngineLost { rank: FIRST, engine: Engine::DeepSeek });
    story.assert_quiet();
    story.reads(SECOND, of_second);
    assert_eq!(turn(&mut story), (SECOND, Engine::DeepSeek));
    story.happens(Event::EngineLost { rank: SECOND, engine: Engine::DeepSeek });
    story.assert_finished(Outcome::Stopped(StopReason::NoEngine(Engine::DeepSeek)));
    assert_eq!(story.scheduler.stage(page(0, 1)), Some(PageState::Waiting(Engine::DeepSeek)));
}

#[test]
fn a_rank_whose_turn_failed_turns_back_for_pages_of_a_rank_that_lost_its_engine() {
    let (mut story, of_second) = begun_with_a_turn();
    story.happens(Event::EngineLost { rank: FIRST, engine: Engine::DeepSeek });
    story.happens(Event::EngineLost { rank: SECOND, engine: Engine::Chandra });
    story.returns(SECOND, of_second, MachineFault::ConnectionLost);
    let turn = |rank, engine| Action::SwitchRole { rank, engine };
    let turns: Vec<_> = story.actions.drain(..).collect();
    assert_eq!(turns, [turn(FIRST, Engine::Chandra), turn(SECOND, Engine::DeepSeek)], "each to what it still has");
    ready(&mut story, FIRST, Engine::Chandra);
    assert_eq!(unit(&mut story).first, page(0, 2));
}

/// The page waited apart. Here everybody who served its engine has left it.
#[test]
fn a_page_of_a_dead_server_is_turned_back_for_as_well() {
    let (mut story, of_second) = begun_with_a_turn();
    ready(&mut story, FIRST, Engine::DeepSeek);
    let second = unit(&mut story);
    story.returns(SECOND, of_second, MachineFault::ServerDied);
    let again = unit(&mut story);
    assert_eq!(again.trial, Some(Trial::AmongOthers));
    story.happens(Event::EngineLost { rank: SECOND, engine: Engine::Chandra });
    story.returns(SECOND, again, MachineFault::ConnectionLost);
    story.assert_quiet();
    story.reads(FIRST, second);
    assert_eq!(turn(&mut story), (FIRST, Engine::Chandra));
    ready(&mut story, FIRST, Engine::Chandra);
    let again = unit(&mut story);
    assert_eq!((again.first, again.trial), (page(0, 2), None));
}

/// One trouble of one rank is no reason, nor is an engine that was ready once.
#[test]
fn nobody_turns_to_an_engine_that_was_never_ready_and_is_lost_on_two_ranks() {
    for proven in [false, true] {
        let mut story = Story::resume(policy(3), &[1], vec![left_for_deepseek(1)]);
        (0..3).for_each(|rank| story.happens(joined(RankId(rank))));
        assert_eq!(turn(&mut story), (FIRST, Engine::DeepSeek));
        if proven {
            ready(&mut story, FIRST, Engine::DeepSeek);
            let unit = unit(&mut story);
            story.happens(Event::EngineLost { rank: FIRST, engine: Engine::DeepSeek });
            story.returns(FIRST, unit, MachineFault::ConnectionLost);
        } else {
            story.happens(Event::EngineLost { rank: FIRST, engine: Engine::DeepSeek });
        }
        assert_eq!(turn(&mut story), (SECOND, Engine::DeepSeek));
        story.happens(Event::EngineLost { rank: SECOND, engine: Engine::DeepSeek });
        if proven {
            assert_eq!(turn(&mut story), (RankId(2), Engine::DeepSeek));
        } else {
            story.assert_finished(Outcome::Stopped(StopReason::NoEngine(Engine::DeepSeek)));
        }
    }
}

fn joined(rank: RankId) -> Event {
    Event::RankJoined { rank, role: "chandra/deepseek".parse().unwrap(), credits: 1 }
}

fn before(end: u64, turn_cost: u64, ranks: u32) -> Policy {
    let deadline = Some(Deadline { end: seconds(end), reserve: Duration::from_secs(20) });
    Policy { deadline, turn_cost: Duration::from_secs(turn_cost), ..policy(ranks) }
}

/// What a turn takes is only assumed: where servers started quickly so far, it is tried all the same.
#[test]
fn nobody_turns_too_late_before_the_deadline_and_nobody_waits_for_it_then() {
    for (turn_cost, start, turns) in [(10, 95, true), (200, 0, true), (200, 95, false)] {
        let mut story = Story::resume(before(200, turn_cost, 1), &[1], Vec::new());
        story.happens(joined(FIRST));
        story.now += Duration::from_secs(start);
        ready(&mut story, FIRST, Engine::Chandra);
        let unit = unit(&mut story);
        fails(&mut story, FIRST, unit, page(0, 1));
        if turns {
            assert_eq!(turn(&mut story), (FIRST, Engine::DeepSeek));
            continue;
        }
        let told = story.actions.remove(0);
        let Action::TooLate { engine: Engine::DeepSeek, turn, left } = told else { panic!("{told:?}") };
        assert_eq!((turn.as_secs(), left.as_secs()), (200, 84));
        story.assert_finished(Outcome::Stopped(StopReason::Deadline));
    }
}

#[test]
fn a_start_with_a_short_deadline_tries_the_turn_that_is_all_there_is_to_do() {
    let mut story = Story::resume(before(60, 180, 1), &[1], vec![left_for_deepseek(1)]);
    story.happens(joined(FIRST));
    assert_eq!(turn(&mut story), (FIRST, Engine::DeepSeek));
}

/// The other has lost DeepSeek and would have to start Chandra for the first time; this one started it in no time.
#[test]
fn a_rank_that_only_has_to_wake_its_server_role_switches_where_another_would_come_too_late() {
    let left = Restored { remaining: EngineSet::all(), ..left_for_deepseek(1) };
    let mut story = Story::resume(before(300, 180, 2), &[1], vec![left]);
    story.happens(joined(FIRST));
    story.happens(joined(SECOND));
    assert_eq!(turn(&mut story), (FIRST, Engine::DeepSeek));
    ready(&mut story, SECOND, Engine::Chandra);
    story.happens(Event::EngineLost { rank: FIRST, engine: Engine::DeepSeek });
    assert_eq!(turn(&mut story), (SECOND, Engine::DeepSeek));
    story.now += Duration::from_secs(120);
    ready(&mut story, SECOND, Engine::DeepSeek);
    let unit = unit(&mut story);
    fails(&mut story, SECOND, unit, page(0, 1));
    assert_eq!(turn(&mut story), (SECOND, Engine::Chandra));
}
