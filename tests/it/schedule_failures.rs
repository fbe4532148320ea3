//! Stories of servers that fail pages by their answers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::engines;
use std::collections::{BTreeMap, VecDeque};

use crate::schedule_support::{CHANDRA, Story, page, policy, without_second};
use bulletin_ocr::{
    model::{EngineSet, FailureClass, MachineFault, Outcome, PageRef, RankId, RecordPlace, StopReason, Unit, Verdict},
    schedule::{Action, Event, PageState, Policy, Restored},
};

const REJECTED: Verdict = Verdict::Failed(FailureClass::Rejected);
const OTHER: RankId = RankId(1);

/// What a run of ranks that answer page after page did.
#[derive(Debug, Default)]
struct Played {
    /// Pages that each rank answered.
    answered: BTreeMap<RankId, u32>,
    restarted: Vec<RankId>,
    given_up: Vec<RankId>,
    stopped: bool,
    outcome: Option<Outcome>,
}

/// Plays a run to its end: in each round a rank answers as many pages as `speed` says. An answer depends on the rank, the
/// page, and whether the rank's server was restarted.
fn play(
    story: &mut Story,
    speed: impl Fn(RankId) -> usize,
    answer: impl Fn(RankId, PageRef, bool) -> Verdict,
) -> Played {
    let mut played = Played::default();
    let mut held: BTreeMap<RankId, VecDeque<(PageRef, Unit)>> = BTreeMap::new();
    for _ in 0..100_000 {
        for action in story.actions.drain(..).collect::<Vec<_>>() {
            match action {
                Action::Assign { rank, unit, .. } => {
                    held.entry(rank).or_default().extend(unit.pages().map(|page| (page, unit)));
                }
                Action::RestartServer { rank, engine } => {
                    assert!(held.get(&rank).is_none_or(VecDeque::is_empty), "{rank} holds pages");
                    played.restarted.push(rank);
                    story.happens(Event::EngineReady { rank, engine });
                }
                Action::GiveServerUp { rank, .. } => played.given_up.push(rank),
                Action::AllServersFail { .. } => played.stopped = true,
                Action::Finish { outcome } => {
                    played.outcome = Some(outcome);
                    return played;
                }
                Action::Recall { rank } => {
                    for (page, unit) in held.remove(&rank).unwrap_or_default() {
                        story.returns(rank, Unit { first: page, count: 1, ..unit }, MachineFault::Draining);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        let ranks: Vec<_> = held.keys().copied().collect();
        for rank in ranks {
            for _ in 0..speed(rank) {
                let Some((page, unit)) = held.get_mut(&rank).and_then(VecDeque::pop_front) else { break };
                let restarted = played.restarted.contains(&rank);
                *played.answered.entry(rank).or_default() += 1;
                story.settles_with(rank, unit, page, answer(rank, page, restarted), "");
            }
        }
    }
    panic!("the run does not end: {played:?}");
}

fn begin(ranks: u32, page_counts: &[u32], credits: u32) -> Story {
    let mut story = Story::resume(without_second(ranks), page_counts, Vec::new());
    for rank in 0..ranks {
        story.joins(RankId(rank), "chandra", credits);
    }
    story
}

/// The failing server answers a hundred pages while the other answers one.
#[test]
fn a_server_that_fails_everything_at_once_harms_no_page_and_is_given_up() {
    for class in [FailureClass::Rejected, FailureClass::ServerError, FailureClass::Empty, FailureClass::Loop] {
        let mut story = begin(2, &[40; 10], 8);
        let speed = |rank| if rank == CHANDRA { 100 } else { 1 };
        let answer = |rank, _, _| if rank == CHANDRA { Verdict::Failed(class) } else { Verdict::Read };
        let played = play(&mut story, speed, answer);
        assert_eq!(played.outcome, Some(Outcome::Complete));
        assert_eq!((story.scheduler.counts().read, story.scheduler.counts().failed_total()), (400, 0), "{class}");
        assert_eq!((&played.restarted[..], &played.given_up[..]), (&[CHANDRA][..], &[CHANDRA][..]));
        assert!(played.answered[&CHANDRA] <= 16, "{played:?}");
        assert!(story.scheduler.taken_back().is_empty());
    }
}

#[test]
fn a_server_that_a_restart_mends_reads_again() {
    let mut story = begin(2, &[40; 10], 8);
    let answer = |rank, _, restarted: bool| if rank == CHANDRA && !restarted { REJECTED } else { Verdict::Read };
    let played = play(&mut story, |_| 1, answer);
    assert_eq!((played.restarted, played.given_up), (vec![CHANDRA], vec![]));
    assert_eq!(story.scheduler.counts().read, 400);
    assert!(played.answered[&CHANDRA] > 100, "{:?}", played.answered);
}

/// Two of three servers fail everything: neither confirms what the other says.
#[test]
fn servers_that_fail_everything_do_not_confirm_each_other() {
    let mut story = begin(3, &[40; 10], 4);
    let speed = |rank| if rank == RankId(2) { 1 } else { 50 };
    let played = play(&mut story, speed, |rank, _, _| if rank == RankId(2) { Verdict::Read } else { REJECTED });
    assert_eq!((story.scheduler.counts().read, story.scheduler.counts().failed_total()), (400, 0));
    assert_eq!((played.restarted.len(), played.given_up.len()), (2, 2), "{played:?}");
}

#[test]
fn a_damaged_document_suspends_no_server_and_stops_no_run() {
    for (ranks, credits) in [(1, 8), (2, 8), (3, 64)] {
        let mut story = begin(ranks, &[20, 500, 20, 1, 1], credits);
        let answer = |_, page: PageRef, _| if page.document.0 == 1 { REJECTED } else { Verdict::Read };
        let played = play(&mut story, |rank| 1 + rank.0 as usize, answer);
        assert_eq!(played.outcome, Some(Outcome::Complete), "{ranks} ranks");
        assert_eq!((story.scheduler.counts().read, story.scheduler.counts().failed_total()), (42, 500));
        assert!(played.restarted.is_empty());
    }
    // Nor if there is no other document.
    let mut story = begin(2, &[500], 8);
    assert_eq!(play(&mut story, |_| 1, |_, _, _| REJECTED).outcome, Some(Outcome::Complete));
}

/// Pages of damaged documents fail, and so do all pages of files that cannot be drawn.
#[test]
fn pages_whose_file_is_at_fault_say_nothing_about_a_server() {
    let mut story = begin(1, &[5; 40], 8);
    let played = play(&mut story, |_| 1, |_, _, _| Verdict::Failed(FailureClass::RenderFailed));
    assert_eq!((played.outcome, played.restarted.len()), (Some(Outcome::Complete), 0));
}

#[test]
fn a_run_whose_servers_all_fail_everything_stops_and_takes_the_failures_back() {
    for ranks in [1, 2, 5] {
        let mut story = begin(ranks, &[3; 400], 8);
        let played = play(&mut story, |rank| 1 + rank.0 as usize, |_, _, _| REJECTED);
        assert_eq!(played.outcome, Some(Outcome::Stopped(StopReason::AllServersFail(engines::CHANDRA))), "{ranks}");
        assert!(played.stopped);
        assert_eq!(story.scheduler.counts().settled(), 0);
        let answered: u32 = played.answered.values().sum();
        assert!(answered <= 40 + 16 * ranks, "{ranks} ranks: {played:?}");
        // Each of them has a record that says failed: the next start must read it again.
        let taken_back = story.scheduler.taken_back();
        assert!(taken_back.len() >= 12 && taken_back.len() <= answered as usize, "{}", taken_back.len());
    }
}

/// Pages that are asked for again because they failed are likely to fail again.
#[test]
fn pages_that_failed_before_stop_no_run() {
    let restored = |document| Restored {
        page: page(document, 1),
        verdict: Verdict::Failed(FailureClass::Loop),
        engine: Some(engines::CHANDRA),
        remaining: EngineSet::default(),
        place: RecordPlace { rank: CHANDRA, sequence: 0, row: document },
        again: true,
    };
    let mut story = Story::resume(without_second(1), &[1; 30], (0..30).map(restored).collect());
    story.joins(CHANDRA, "chandra", 4);
    let played = play(&mut story, |_| 1, |_, _, _| Verdict::Failed(FailureClass::Loop));
    assert_eq!(played.outcome, Some(Outcome::Complete));
}

/// The first failures of a server that read pages for an hour are believed, and go on to the second engine.
#[test]
fn failures_that_were_believed_are_taken_back_from_the_second_engine() {
    let mut story = Story::resume(Policy { unit_pages: 1, ..policy(3) }, &[60], Vec::new());
    story.joins(CHANDRA, "chandra", 4);
    story.joins(OTHER, "chandra", 4);
    story.joins(RankId(2), "deepseek", 4);
    let mut held: VecDeque<(RankId, Unit)> = story.units().into();
    let mut chandra_answers = 0;
    while let Some((rank, unit)) = held.pop_front() {
        let verdict = match rank {
            CHANDRA => {
                chandra_answers += 1;
                if chandra_answers > 5 { REJECTED } else { Verdict::Read }
            }
            OTHER => Verdict::Read,
            _ => REJECTED,
        };
        story.settles(rank, unit, unit.first, verdict);
        while !story.actions.is_empty() {
            match story.actions.remove(0) {
                Action::Assign { rank, unit, .. } => held.push_back((rank, unit)),
                Action::RestartServer { rank, engine } => story.happens(Event::EngineReady { rank, engine }),
                Action::GiveServerUp { .. } | Action::Finish { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    for number in 1..=60 {
        assert_eq!(story.scheduler.stage(page(0, number)), Some(PageState::Settled(Verdict::Read)), "page {number}");
    }
}

/// Stage 1 is worth its time without the second engine.
#[test]
fn a_second_engine_that_fails_everything_ends_the_run_early_but_not_before_stage_one_is_done() {
    let mut story = Story::begin(2, &[4; 30]);
    story.joins(CHANDRA, "chandra", 4);
    story.joins(OTHER, "deepseek", 4);
    let mut held: VecDeque<(RankId, Unit)> = story.units().into();
    let mut stops = Vec::new();
    while let Some((rank, unit)) = held.pop_front() {
        for page in unit.pages() {
            let fails = rank == OTHER || page.page.number() == 4;
            story.settles(rank, unit, page, if fails { REJECTED } else { Verdict::Read });
        }
        for action in story.actions.drain(..) {
            match action {
                Action::Assign { rank, unit, .. } => held.push_back((rank, unit)),
                Action::AllServersFail { engine, .. } => assert_eq!(engine, engines::DEEPSEEK),
                Action::Finish { outcome } => stops.push(outcome),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(stops, [Outcome::Stopped(StopReason::AllServersFail(engines::DEEPSEEK))]);
    assert_eq!((story.scheduler.counts().read, story.scheduler.counts().failed_total()), (90, 0));
}
