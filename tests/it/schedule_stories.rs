//! Stories of the scheduler: what happens, and what it then wants done.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::engines;
use std::time::Duration;

use crate::schedule_support::{CHANDRA, Story, attempt, page, policy, seconds, without_second};
use bulletin_ocr::{
    model::{
        Answer, Attempt, AttemptOutcome, EngineSet, FailureClass, LeaseId, MachineFault, NoPages, Outcome, Prior,
        RankId, RecordPlace, Remedy, Role, Stage, StopReason, Unit, Verdict,
    },
    schedule::{Action, Deadline, Event, PageState, Policy, Restored, Tick},
};

const DEEPSEEK: RankId = RankId(1);

fn place(row: u32) -> RecordPlace {
    RecordPlace { rank: RankId(0), sequence: 0, row }
}

/// A page of an earlier start that Chandra settled.
fn restored(number: u32, verdict: Verdict) -> Restored {
    let failed = matches!(verdict, Verdict::Failed(class) if class.remedy() != Remedy::Operator);
    Restored {
        page: page(0, number),
        verdict,
        engine: Some(engines::CHANDRA),
        remaining: if failed { EngineSet::only(engines::DEEPSEEK) } else { EngineSet::default() },
        place: place(number),
        again: false,
    }
}

#[test]
fn a_page_that_chandra_fails_is_read_by_deepseek_while_stage_one_goes_on() {
    let mut story = Story::begin(2, &[5]);
    story.joins(CHANDRA, "chandra", 1);
    story.joins(DEEPSEEK, "deepseek", 4);
    let [(rank, first)] = story.units()[..] else { panic!("one unit at a time") };
    assert_eq!((rank, first.first, first.engine), (CHANDRA, page(0, 1), engines::CHANDRA));

    story.settles(CHANDRA, first, page(0, 1), Verdict::Failed(FailureClass::Loop));
    let units = story.units();
    let second = units.iter().find(|(rank, _)| *rank == DEEPSEEK).expect("the failed page goes to the other engine").1;
    assert_eq!((second.first, second.count, second.engine), (page(0, 1), 1, engines::DEEPSEEK));
    assert!(units.iter().any(|(rank, unit)| *rank == CHANDRA && unit.first == page(0, 2)), "stage 1 goes on");

    story.settles(DEEPSEEK, second, page(0, 1), Verdict::Read);
    let mut unit = units.iter().find(|(rank, _)| *rank == CHANDRA).unwrap().1;
    for _ in 2..5 {
        story.reads(CHANDRA, unit);
        unit = story.units()[0].1;
    }
    story.reads(CHANDRA, unit);
    story.assert_finished(Outcome::Complete);
    assert_eq!((story.scheduler.counts().read, story.scheduler.counts().recovered), (5, 1));
}

/// Ways that the first engine has not tried yet are left for after the second.
#[test]
fn a_page_that_both_engines_fail_goes_back_to_the_first_once() {
    let mut story = Story::begin(2, &[1]);
    story.joins(CHANDRA, "chandra", 1);
    story.joins(DEEPSEEK, "deepseek", 1);
    let looped = Verdict::Failed(FailureClass::Loop);
    for (rank, stage, remaining) in [
        (CHANDRA, Stage::FIRST, "chandra+deepseek"),
        (DEEPSEEK, engines::SECOND_STAGE, "chandra"),
        (CHANDRA, Stage::FirstAgain, ""),
    ] {
        let [Action::Assign { rank: dealt_to, unit, ref priors }] = story.actions[..] else { panic!("one unit") };
        assert_eq!((dealt_to, unit.engine), (rank, stage.engine()));
        assert_eq!(priors.first().map_or(Stage::FIRST, |prior| prior.stage), stage);
        let open = priors.first().map_or(engines::BOTH, |prior| prior.remaining);
        assert_eq!(open, if stage == Stage::FirstAgain { EngineSet::only(engines::CHANDRA) } else { engines::BOTH });
        story.actions.clear();
        story.settles_with(rank, unit, page(0, 1), looped, remaining);
    }
    story.assert_finished(Outcome::Complete);
    assert_eq!(story.scheduler.counts().failed[&FailureClass::Loop], 1);
}

/// 80 pages on two GPUs, each of which could hold all of them.
#[test]
fn few_pages_are_dealt_evenly_also_to_the_rank_that_joins_last() {
    let other = RankId(1);
    let mut story = Story::resume(without_second(2), &[80], Vec::new());
    story.joins(CHANDRA, "chandra", 192);
    let held = |units: &[(RankId, Unit)], of| -> u32 {
        units.iter().filter(|(rank, _)| *rank == of).map(|(_, unit)| unit.count).sum()
    };
    assert_eq!(held(&story.units(), CHANDRA), 40);
    story.joins(other, "chandra", 192);
    assert_eq!(held(&story.units(), other), 40);
}

/// The first of four ranks is ready long before the others: it reads on, and does not take all.
#[test]
fn a_rank_that_is_ready_first_goes_on_with_its_share_of_what_is_left() {
    let mut story = Story::resume(without_second(4), &[40], Vec::new());
    story.joins(CHANDRA, "chandra", 192);
    let units = story.units();
    // An eighth of its credits, which is more than its share.
    assert_eq!(units.iter().map(|(_, unit)| unit.count).sum::<u32>(), 24);
    story.reads(CHANDRA, units[0].1);
    assert_eq!(story.units().iter().map(|(_, unit)| unit.count).sum::<u32>(), units[0].1.count);
}

#[test]
fn a_run_without_the_second_engine_goes_on_with_the_first_at_once() {
    let mut story = Story::resume(without_second(1), &[1], Vec::new());
    story.joins(CHANDRA, "chandra", 1);
    let (_, unit) = story.units()[0];
    story.settles_with(CHANDRA, unit, page(0, 1), Verdict::Failed(FailureClass::Loop), "chandra+deepseek");
    let [Action::Assign { unit, ref priors, .. }] = story.actions[..] else { panic!("dealt again") };
    assert_eq!((unit.engine, priors[0].stage), (engines::CHANDRA, Stage::FirstAgain));
    story.actions.clear();
    // The second engine remains for it: for a start in which some rank serves that.
    story.settles_with(CHANDRA, unit, page(0, 1), Verdict::Failed(FailureClass::Loop), "deepseek");
    story.assert_finished(Outcome::Complete);
}

#[test]
fn a_page_that_the_first_engine_has_nothing_left_for_does_not_return_whatever_the_second_says() {
    let mut story = Story::begin(1, &[1]);
    story.joins(CHANDRA, "chandra+deepseek", 1);
    let (_, unit) = story.units()[0];
    story.settles_with(CHANDRA, unit, page(0, 1), Verdict::Failed(FailureClass::Poison), "deepseek");
    let (_, unit) = story.units()[0];
    story.settles_with(CHANDRA, unit, page(0, 1), Verdict::Failed(FailureClass::Loop), "chandra");
    story.assert_finished(Outcome::Complete);
}

#[test]
fn a_second_start_knows_which_visit_a_page_waits_for() {
    let only = |engine| EngineSet::only(engine);
    let failed = |number, remaining| Restored { remaining, ..restored(number, Verdict::Failed(FailureClass::Loop)) };
    let pages = vec![
        failed(1, only(engines::CHANDRA).with(engines::DEEPSEEK)),
        failed(2, only(engines::CHANDRA)),
        failed(3, EngineSet::default()),
    ];
    let mut story = Story::resume(policy(1), &[3], pages.clone());
    story.joins(CHANDRA, "chandra+deepseek", 4);
    let mut visits: Vec<_> = story
        .actions
        .iter()
        .flat_map(|action| match action {
            Action::Assign { priors, .. } => {
                priors.iter().map(|prior| (prior.page, prior.stage, prior.sealed)).collect()
            }
            _ => Vec::new(),
        })
        .collect();
    visits.sort_by_key(|(page, ..)| *page);
    let place = |number| Some(place(number));
    assert_eq!(visits, [(page(0, 1), engines::SECOND_STAGE, place(1)), (page(0, 2), Stage::FirstAgain, place(2))]);
    assert_eq!(story.scheduler.stage(page(0, 3)), Some(PageState::Settled(Verdict::Failed(FailureClass::Loop))));

    let mut story = Story::resume(without_second(1), &[3], pages);
    story.joins(CHANDRA, "chandra", 4);
    assert!(story.units().iter().all(|(_, unit)| unit.engine == engines::CHANDRA), "nobody serves the other");
}

#[test]
fn a_failure_that_only_a_person_can_mend_is_final_at_once() {
    let mut story = Story::begin(2, &[1]);
    story.joins(CHANDRA, "chandra", 1);
    story.joins(DEEPSEEK, "deepseek", 1);
    let (_, unit) = story.units()[0];
    story.settles(CHANDRA, unit, page(0, 1), Verdict::Failed(FailureClass::RenderFailed));
    story.assert_finished(Outcome::Complete);
    assert_eq!(story.scheduler.counts().failed[&FailureClass::RenderFailed], 1);
}

#[test]
fn credits_are_never_exceeded_and_refilled_by_the_quarter() {
    let mut story = Story::begin(1, &[100]);
    story.joins(CHANDRA, "chandra", 8);
    let units = story.units();
    assert_eq!(units.iter().map(|(_, unit)| unit.count).sum::<u32>(), 8);

    story.settles(CHANDRA, units[0].1, page(0, 1), Verdict::Read);
    story.assert_quiet();
    story.settles(CHANDRA, units[0].1, page(0, 2), Verdict::Blank);
    assert_eq!(story.units().iter().map(|(_, unit)| unit.count).sum::<u32>(), 2);
}

#[test]
fn it_says_why_a_rank_has_no_pages() {
    let mut story = Story::begin(2, &[2]);
    story.joins(CHANDRA, "chandra", 1);
    let unit = story.units()[0].1;
    assert_eq!(story.scheduler.no_pages(), NoPages::Dealing, "a page waits for a credit");
    story.settles(CHANDRA, unit, page(0, 1), Verdict::Read);
    let unit = story.units()[0].1;
    assert_eq!(story.scheduler.no_pages(), NoPages::LastPages);
    story.settles(CHANDRA, unit, page(0, 2), Verdict::Failed(FailureClass::Loop));
    assert_eq!(story.scheduler.no_pages(), NoPages::OtherEngine, "no rank serves the second engine yet");
}

#[test]
fn the_last_pages_are_spread_over_all_ranks() {
    let mut story = Story::begin(4, &[8]);
    for rank in 0..4 {
        story.happens(Event::RankJoined { rank: RankId(rank), role: Role::One(engines::CHANDRA), credits: 2 });
    }
    for rank in 0..4 {
        story.happens(Event::EngineReady { rank: RankId(rank), engine: engines::CHANDRA });
    }
    let mut pages = [0; 4];
    for (rank, unit) in story.units() {
        pages[rank.0 as usize] += unit.count;
    }
    assert_eq!(pages, [2; 4]);
}

#[test]
fn no_rank_hoards_what_another_could_read() {
    let mut story = Story::begin(4, &[120]);
    for rank in 0..4 {
        story.joins(RankId(rank), "chandra", 128);
    }
    let mut pages = [0; 4];
    let mut count = |units: Vec<(RankId, Unit)>| {
        for (rank, unit) in units {
            pages[rank.0 as usize] += unit.count;
        }
        pages
    };
    // The first to be ready may hold a quarter of its credits, 32; the others share what is left.
    let dealt = story.units();
    let held = count(dealt.clone());
    assert!(held.iter().all(|pages| (24..=32).contains(pages)), "{held:?}");
    let of_first: Vec<_> = dealt.into_iter().filter(|(rank, _)| *rank == RankId(0)).collect();
    story.happens(Event::EngineLost { rank: RankId(0), engine: engines::CHANDRA });
    for (rank, unit) in of_first {
        story.returns(rank, unit, MachineFault::ConnectionLost);
    }
    let [_, rest @ ..] = count(story.units());
    assert_eq!(rest, [40; 3], "what that rank held is shared, too");
}

#[test]
fn a_rank_that_cannot_draw_any_more_gets_no_pages() {
    let mut story = Story::begin(2, &[2]);
    story.joins(CHANDRA, "chandra", 1);
    let (_, unit) = story.units()[0];
    story.returns(CHANDRA, unit, MachineFault::RendererLost);
    story.assert_quiet();
    story.joins(RankId(1), "chandra", 8);
    assert!(story.units().iter().all(|(rank, _)| *rank == RankId(1)));
}

#[test]
fn a_page_given_back_takes_its_attempts_and_its_best_text_along() {
    let mut story = Story::begin(1, &[1]);
    story.joins(CHANDRA, "chandra", 1);
    let (_, unit) = story.units()[0];
    let attempts = vec![attempt()];
    let text = Some(Answer { characters: 40, ..Answer::NONE });
    let fault = MachineFault::Overloaded;
    let returned = Event::Returned {
        rank: CHANDRA,
        page: page(0, 1),
        lease: unit.lease,
        fault,
        attempts: attempts.clone(),
        text: text.clone(),
    };
    story.happens(returned);
    let [Action::Assign { priors, .. }] = &story.actions[..] else { panic!("dealt again") };
    assert_eq!(
        *priors,
        [Prior {
            page: page(0, 1),
            stage: Stage::FIRST,
            remaining: EngineSet::ANY,
            sealed: None,
            again: false,
            attempts,
            text,
            give_up: None
        }]
    );
}

/// The server refuses the page and cuts the connection by turns, for as long as ten thousand returns.
#[test]
fn a_page_that_a_long_overload_returns_again_and_again_stays_small_and_is_read_in_the_end() {
    const RETURNS: u32 = 10_000;
    let mut story = Story::begin(1, &[1]);
    story.joins(CHANDRA, "chandra", 1);
    let mut history: Vec<Attempt> = Vec::new();
    for number in 0..RETURNS {
        let [Action::Assign { unit, ref priors, .. }] = story.actions[..] else { panic!("the page is dealt") };
        history = priors.first().map(|prior| prior.attempts.clone()).unwrap_or_default();
        assert!(history.len() <= 2, "{} attempts after {number} returns", history.len());
        let fault = if number % 2 == 0 { MachineFault::Overloaded } else { MachineFault::ConnectionLost };
        history.push(Attempt { outcome: AttemptOutcome::Interrupted(fault), ..attempt() });
        story.actions.clear();
        let (rank, page, lease) = (CHANDRA, page(0, 1), unit.lease);
        story.happens(Event::Returned { rank, page, lease, fault, attempts: history.clone(), text: None });
    }
    assert_eq!(history.iter().map(|attempt| attempt.repeats + 1).sum::<u32>(), RETURNS);
    let (rank, unit) = story.units()[0];
    story.reads(rank, unit);
    story.assert_finished(Outcome::Complete);
}

#[test]
fn a_vanished_rank_loses_nothing_and_its_late_answer_is_ignored() {
    let silence_limit = Some(Duration::from_secs(60));
    let mut story = Story::resume(Policy { silence_limit, ..policy(2) }, &[4], Vec::new());
    story.joins(RankId(1), "chandra", 4);
    let units = story.units();
    story.joins(CHANDRA, "chandra", 4);
    let (_, of_other) = story.units()[0];
    story.now = Duration::from_secs(61);
    story.happens(Event::Alive { rank: CHANDRA });
    story.happens(Event::Clock);
    assert_eq!(story.actions.drain(..).collect::<Vec<_>>(), [Action::Recall { rank: CHANDRA }]);
    story.returns(CHANDRA, of_other, MachineFault::Draining);
    story.assert_finished(Outcome::Stopped(StopReason::RankSilent(RankId(1))));
    // Its record is in a journal that only the next start reads.
    story.settles(RankId(1), units[0].1, page(0, 1), Verdict::Read);
    assert_eq!(story.scheduler.counts().stale, 1);
    assert_eq!(story.scheduler.stage(page(0, 1)), Some(PageState::Waiting(engines::CHANDRA)));
    assert_eq!(story.scheduler.counts().settled(), 0);
}

#[test]
fn a_machine_fault_is_not_counted_against_the_page() {
    let mut story = Story::begin(1, &[1]);
    story.joins(CHANDRA, "chandra", 1);
    for _ in 0..20 {
        let (_, unit) = story.units()[0];
        story.returns(CHANDRA, unit, MachineFault::Overloaded);
    }
    let (_, unit) = story.units()[0];
    story.reads(CHANDRA, unit);
    story.assert_finished(Outcome::Complete);
}

#[test]
fn a_rank_that_cannot_reach_the_inputs_gets_no_pages_and_fails_none() {
    let mut story = Story::begin(1, &[2]);
    story.joins(CHANDRA, "chandra", 2);
    let (_, unit) = story.units()[0];
    story.returns(CHANDRA, unit, MachineFault::InputLost);
    let outcome = Outcome::Stopped(StopReason::NoEngine(engines::CHANDRA));
    assert_eq!(story.actions.last(), Some(&Action::Finish { outcome }));
    assert_eq!(story.scheduler.counts().settled(), 0);
}

#[test]
fn in_a_run_without_the_second_engine_the_first_verdict_stands() {
    let mut story = Story::resume(without_second(1), &[1], Vec::new());
    story.joins(CHANDRA, "chandra", 1);
    let (_, unit) = story.units()[0];
    story.settles(CHANDRA, unit, page(0, 1), Verdict::Failed(FailureClass::Loop));
    story.assert_finished(Outcome::Complete);
    assert_eq!(story.scheduler.counts().failed[&FailureClass::Loop], 1);
}

#[test]
fn a_second_engine_that_is_lost_everywhere_ends_the_run_early_but_not_before_stage_one_is_done() {
    let mut story = Story::begin(2, &[2]);
    story.joins(CHANDRA, "chandra", 1);
    story.joins(DEEPSEEK, "deepseek", 1);
    let (_, unit) = story.units()[0];
    story.settles(CHANDRA, unit, page(0, 1), Verdict::Failed(FailureClass::Loop));
    let units = story.units();
    let of = |rank| units.iter().find(|(other, _)| *other == rank).unwrap().1;
    story.returns(DEEPSEEK, of(DEEPSEEK), MachineFault::ConnectionLost);
    let (_, again) = story.units()[0];
    story.happens(Event::EngineLost { rank: DEEPSEEK, engine: engines::DEEPSEEK });
    story.returns(DEEPSEEK, again, MachineFault::ConnectionLost);
    story.assert_quiet();
    story.settles(CHANDRA, of(CHANDRA), page(0, 2), Verdict::Read);
    story.assert_finished(Outcome::Stopped(StopReason::NoEngine(engines::DEEPSEEK)));
    assert_eq!(story.scheduler.counts().failed_total(), 0, "a fault of the machine fails no page");
}

/// A host that was lost took every rank with it that served the second engine.
#[test]
fn a_second_engine_that_the_run_is_to_have_and_no_rank_serves_fails_no_page() {
    let failed = restored(1, Verdict::Failed(FailureClass::Loop));
    for pages in [Vec::new(), vec![failed]] {
        let mut story = Story::resume(policy(1), &[2], pages);
        story.joins(CHANDRA, "chandra", 2);
        for (_, unit) in story.units() {
            for page in unit.pages() {
                story.settles(CHANDRA, unit, page, Verdict::Failed(FailureClass::Loop));
            }
        }
        story.assert_finished(Outcome::Stopped(StopReason::NoEngine(engines::DEEPSEEK)));
        assert_eq!(story.scheduler.counts().settled(), 0);
    }
}

#[test]
fn when_nobody_can_run_the_first_engine_the_run_stops_and_nothing_is_failed() {
    let mut story = Story::begin(1, &[3]);
    story.joins(CHANDRA, "chandra", 1);
    let (_, unit) = story.units()[0];
    story.returns(CHANDRA, unit, MachineFault::ConnectionLost);
    let (_, unit) = story.units()[0];
    story.happens(Event::EngineLost { rank: CHANDRA, engine: engines::CHANDRA });
    let asked: Vec<_> = story.actions.drain(..).collect();
    assert_eq!(asked, [Action::Recall { rank: CHANDRA }]);
    story.returns(CHANDRA, unit, MachineFault::Draining);
    story.assert_finished(Outcome::Stopped(StopReason::NoEngine(engines::CHANDRA)));
    assert_eq!(story.scheduler.counts().settled(), 0);
}

#[test]
fn before_the_deadline_dealing_stops_then_pages_are_called_back() {
    let deadline = Some(Deadline { end: seconds(100), reserve: Duration::from_secs(20) });
    let mut story = Story::resume(Policy { deadline, ..policy(1) }, &[9], Vec::new());
    story.joins(CHANDRA, "chandra", 2);
    let (_, first) = story.units()[0];
    story.now = Duration::from_secs(10);
    story.settles(CHANDRA, first, page(0, 1), Verdict::Read);
    let (_, second) = story.units()[0];
    // Pages take ten seconds: one dealt at 75 s would not come back before the recall at 80 s.
    story.now = Duration::from_secs(75);
    story.settles(CHANDRA, first, page(0, 2), Verdict::Read);
    story.assert_quiet();
    story.now = Duration::from_secs(80);
    story.happens(Event::Clock);
    assert_eq!(story.actions.drain(..).collect::<Vec<_>>(), [Action::Recall { rank: CHANDRA }]);
    story.happens(Event::Clock);
    story.assert_quiet();
    story.returns(CHANDRA, second, MachineFault::Draining);
    story.assert_finished(Outcome::Stopped(StopReason::Deadline));
    assert_eq!(story.scheduler.counts().failed_total(), 0);
}

#[test]
fn a_run_that_is_asked_to_stop_lets_pages_end_for_a_while_and_calls_the_rest_back() {
    let drain = Duration::from_secs(15);
    let mut story = Story::resume(Policy { drain, ..policy(1) }, &[9], Vec::new());
    story.joins(CHANDRA, "chandra", 2);
    let (_, unit) = story.units()[0];
    story.happens(Event::StopRequested { reason: StopReason::Requested });
    story.settles(CHANDRA, unit, page(0, 1), Verdict::Read);
    story.assert_quiet();
    story.now += drain;
    story.happens(Event::Clock);
    assert_eq!(story.actions.drain(..).collect::<Vec<_>>(), [Action::Recall { rank: CHANDRA }]);
    story.happens(Event::Returned {
        rank: CHANDRA,
        page: page(0, 2),
        lease: unit.lease,
        fault: MachineFault::Draining,
        attempts: Vec::new(),
        text: None,
    });
    story.assert_finished(Outcome::Stopped(StopReason::Requested));
    assert_eq!(story.scheduler.counts().read, 1);
}

#[test]
fn a_run_whose_processes_are_killed_soon_calls_pages_back_before_the_drain_is_over() {
    let mut story = Story::resume(Policy { drain: Duration::from_secs(15), ..policy(2) }, &[9], Vec::new());
    story.joins(CHANDRA, "chandra", 2);
    story.joins(RankId(1), "chandra", 2);
    story.now = Duration::from_secs(100);
    let deadline = |seconds| Deadline { end: Tick(Duration::from_secs(seconds)), reserve: Duration::from_secs(5) };
    story.scheduler.limit(deadline(108));
    story.scheduler.limit(deadline(500));
    let units = story.units();
    story.happens(Event::StopRequested { reason: StopReason::Requested });
    story.now = Duration::from_secs(103);
    story.happens(Event::Clock);
    assert_eq!(story.actions.drain(..).count(), 2, "both ranks are asked to give their pages back");
    for (rank, unit) in units.into_iter().filter(|(rank, _)| *rank == CHANDRA) {
        story.returns(rank, unit, MachineFault::Draining);
    }
    // The other rank has returned nothing when half of the time for sealing is over.
    story.now = Duration::from_millis(105_500);
    story.happens(Event::Clock);
    story.assert_finished(Outcome::Stopped(StopReason::Requested));
}

#[test]
fn a_rank_that_falls_silent_is_given_up_and_the_run_ends_so_that_another_start_goes_on() {
    let silence_limit = Some(Duration::from_secs(60));
    let mut story = Story::resume(Policy { silence_limit, ..policy(2) }, &[9], Vec::new());
    story.joins(CHANDRA, "chandra", 2);
    story.joins(RankId(1), "chandra", 2);
    let units = story.units();
    story.now = Duration::from_secs(50);
    story.happens(Event::Alive { rank: CHANDRA });
    story.happens(Event::Clock);
    story.assert_quiet();
    story.now = Duration::from_secs(70);
    story.happens(Event::Clock);
    assert!(story.scheduler.is_lost(RankId(1)) && !story.scheduler.is_lost(CHANDRA));
    assert_eq!(story.actions.drain(..).collect::<Vec<_>>(), [Action::Recall { rank: CHANDRA }]);
    for (rank, unit) in units.into_iter().filter(|(rank, _)| *rank == CHANDRA) {
        story.returns(rank, unit, MachineFault::Draining);
    }
    story.assert_finished(Outcome::Stopped(StopReason::RankSilent(RankId(1))));
    assert_eq!(story.scheduler.counts().settled(), 0);
    // The other one may fall silent while it seals: nobody waits for it either.
    story.now = Duration::from_secs(200);
    story.happens(Event::Clock);
    assert!(story.scheduler.is_lost(CHANDRA));
}

#[test]
fn a_rank_that_gives_nothing_back_is_left_behind_before_the_deadline() {
    let deadline = Some(Deadline { end: seconds(100), reserve: Duration::from_secs(20) });
    let mut story = Story::resume(Policy { deadline, ..policy(1) }, &[9], Vec::new());
    story.joins(CHANDRA, "chandra", 2);
    story.units();
    story.now = Duration::from_secs(80);
    story.happens(Event::Clock);
    assert_eq!(story.actions.drain(..).collect::<Vec<_>>(), [Action::Recall { rank: CHANDRA }]);
    story.now = Duration::from_secs(91);
    story.happens(Event::Clock);
    story.assert_finished(Outcome::Stopped(StopReason::Deadline));
    assert!(story.scheduler.is_lost(CHANDRA));
}

#[test]
fn a_rank_that_never_reports_is_given_up_after_several_limits() {
    let silence_limit = Some(Duration::from_secs(60));
    let mut story = Story::resume(Policy { silence_limit, ..policy(2) }, &[1], Vec::new());
    story.happens(Event::RankJoined { rank: CHANDRA, role: Role::One(engines::CHANDRA), credits: 1 });
    for now in [100, 200, 299] {
        story.now = Duration::from_secs(now);
        story.happens(Event::Alive { rank: CHANDRA });
        story.happens(Event::Clock);
        story.assert_quiet();
    }
    story.now = Duration::from_secs(301);
    story.happens(Event::Alive { rank: CHANDRA });
    story.happens(Event::Clock);
    story.assert_finished(Outcome::Stopped(StopReason::RankSilent(RankId(1))));
}

#[test]
fn a_second_start_knows_what_is_settled_and_what_waits_for_the_second_engine() {
    let failed = |number, class| restored(number, Verdict::Failed(class));
    let pages = vec![restored(1, Verdict::Read), failed(2, FailureClass::Loop), failed(3, FailureClass::RenderTimeout)];
    let mut story = Story::resume(policy(1), &[4], pages);
    story.joins(CHANDRA, "chandra+deepseek", 4);
    let sealed: Vec<_> = story
        .actions
        .iter()
        .flat_map(|action| match action {
            Action::Assign { priors, .. } => priors.iter().map(|prior| (prior.page, prior.sealed)).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(sealed, [(page(0, 2), Some(place(2)))], "its record of stage 1 goes with it");
    let mut units = story.units();
    units.sort_by_key(|(_, unit)| unit.first);
    let dealt: Vec<_> = units.iter().map(|(_, unit)| (unit.first, unit.engine)).collect();
    assert_eq!(dealt, [(page(0, 2), engines::DEEPSEEK), (page(0, 4), engines::CHANDRA)]);
    assert!(units.iter().all(|(_, unit)| unit.lease > LeaseId(100)), "leases go on where the last start ended");
    for (rank, unit) in units {
        story.reads(rank, unit);
    }
    story.assert_finished(Outcome::Complete);
    assert_eq!(story.scheduler.counts().restored, 2);
}

#[test]
fn settled_pages_that_are_wanted_again_are_read_again_and_keep_what_they_had_where_that_fails() {
    let again = |number, verdict| Restored { again: true, ..restored(number, verdict) };
    let class = FailureClass::Rejected;
    let pages = vec![
        again(1, Verdict::Read),
        again(2, Verdict::Failed(FailureClass::Loop)),
        again(3, Verdict::Read),
        restored(4, Verdict::Read),
    ];
    let mut story = Story::resume(without_second(1), &[4], pages);
    story.joins(CHANDRA, "chandra", 4);
    let [Action::Assign { unit, priors, .. }] = &story.actions[..] else { panic!("one unit of three pages") };
    assert_eq!((unit.first, unit.count), (page(0, 1), 3));
    assert_eq!(priors.iter().map(|prior| prior.sealed).collect::<Vec<_>>(), [1, 2, 3].map(|row| Some(place(row))));
    let (_, unit) = story.units()[0];
    story.settles(CHANDRA, unit, page(0, 1), Verdict::Failed(class));
    story.settles(CHANDRA, unit, page(0, 2), Verdict::Failed(class));
    story.settles(CHANDRA, unit, page(0, 3), Verdict::Read);
    story.assert_finished(Outcome::Complete);
    let counts = story.scheduler.counts();
    assert_eq!((counts.read, counts.failed[&class], counts.restored), (3, 1, 1));
}

/// Chandra read one page and DeepSeek-OCR the other. Both fail on both engines when they are read again.
#[test]
fn a_page_that_keeps_its_text_is_credited_to_the_engine_that_gave_it() {
    let again = |number| Restored { again: true, ..restored(number, Verdict::Read) };
    let by_second = Restored { engine: Some(engines::DEEPSEEK), ..again(2) };
    let mut story = Story::resume(policy(2), &[2], vec![again(1), by_second]);
    story.joins(CHANDRA, "chandra", 2);
    story.joins(DEEPSEEK, "deepseek", 2);
    for _ in 0..2 {
        for (rank, unit) in story.units() {
            for page in unit.pages() {
                story.settles(rank, unit, page, Verdict::Failed(FailureClass::Loop));
            }
        }
    }
    story.assert_finished(Outcome::Complete);
    let counts = story.scheduler.counts();
    assert_eq!((counts.read, counts.recovered), (2, 1));
}

#[test]
fn what_an_earlier_start_failed_stays_failed_where_no_rank_can_do_better() {
    let failed = restored(1, Verdict::Failed(FailureClass::Loop));
    let mut story = Story::resume(without_second(1), &[1], vec![failed]);
    story.joins(CHANDRA, "chandra", 4);
    story.assert_finished(Outcome::Complete);
    let counts = story.scheduler.counts();
    assert_eq!((counts.failed_total(), counts.restored), (1, 1), "this start did nothing");
}

#[test]
fn a_run_without_pages_is_over_at_once() {
    let mut story = Story::begin(1, &[0, 0]);
    story.joins(CHANDRA, "chandra", 4);
    story.assert_finished(Outcome::Complete);
}

#[test]
fn the_scheduler_names_no_clock_no_file_and_no_driver() {
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/schedule")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for word in
            ["std::fs", "std::net", "std::thread", "Instant", "SystemTime", "tokio", "mpi::", "reqwest", "HashMap"]
        {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}

#[test]
fn a_page_goes_through_three_engines_in_their_order_and_then_to_the_first_again() {
    let mut story = Story::resume(Policy { engines: engines::three().all(), ..policy(3) }, &[1], Vec::new());
    let failed = Verdict::Failed(FailureClass::Loop);
    let roles = ["chandra", "deepseek", "surya-2"];
    (0..).zip(roles).for_each(|(rank, role)| story.joins(RankId(rank), role, 1));
    let ways = [(0, "chandra+deepseek+surya-2"), (1, "chandra+surya-2"), (2, "chandra"), (0, "")];
    for (way, (rank, remaining)) in ways.into_iter().enumerate() {
        let [Action::Assign { rank: to, unit, priors }] = &story.actions.drain(..).collect::<Vec<_>>()[..] else {
            panic!("one assignment")
        };
        assert_eq!((*to, unit.engine.position()), (RankId(rank), rank as usize), "way {way}");
        let stage = priors.first().map_or(Stage::FIRST, |prior| prior.stage);
        assert_eq!(stage, if way == 3 { Stage::FirstAgain } else { Stage::On(unit.engine) });
        story.settles_with(*to, *unit, page(0, 1), failed, remaining);
    }
    story.assert_finished(Outcome::Complete);
    assert_eq!(story.scheduler.counts().failed_total(), 1);
}

#[test]
fn a_run_of_one_engine_asks_it_twice_and_no_other() {
    let mut story = Story::resume(without_second(1), &[1], Vec::new());
    story.joins(CHANDRA, "chandra", 1);
    for remaining in ["chandra+deepseek", ""] {
        let [(_, unit)] = story.units()[..] else { panic!("one unit") };
        story.settles_with(CHANDRA, unit, page(0, 1), Verdict::Failed(FailureClass::Loop), remaining);
    }
    story.assert_finished(Outcome::Complete);
}
