//! The state machine.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    model::{
        Answer, Attempt, AttemptOutcome, Counts, Engine, EngineSet, LeaseId, MachineFault, Outcome, PageRef, RankId,
        RecordPlace, StopReason, Verdict, Visit,
    },
    retry::{
        escalation::{Course, after_visit},
        state::RETURNS_LIMIT,
    },
};

use super::{
    ending::{Deadline, Phase},
    lease::{Closed, Leases},
    ledger::{Ledger, PageStage},
    page_times::{PageTimes, RankTimes},
    protocol::{Action, Event, Settlement, Tick},
    queue::{PageQueue, PageRange},
    ranks::Ranks,
    role_switch::{HandedOn, TurnTimes},
};

/// What the scheduler is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Number of ranks that will report themselves.
    pub ranks: u32,
    /// Engines that the run is to have: one that no rank serves now is missing by a fault of the machine.
    pub engines: EngineSet,
    /// Most pages of one unit.
    pub unit_pages: u32,
    /// When the run must have ended.
    pub deadline: Option<Deadline>,
    /// How long pages in flight may go on once the run is asked to stop.
    pub drain: Duration,
    /// What turning a rank over to its other engine takes, while none has done so.
    pub turn_cost: Duration,
    /// A rank that is not heard of for this long is lost; `None` where the driver tells of losses itself.
    pub silence_limit: Option<Duration>,
}

/// A page that an earlier start of the run has a durable record of.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// The page.
    pub page: PageRef,
    /// Its final verdict so far.
    pub verdict: Verdict,
    /// The engine that gave it, if one saw the page.
    pub engine: Option<Engine>,
    /// For a failed page, the engines that it may yet be given to.
    pub ahead: EngineSet,
    /// Where its latest record lies.
    pub place: RecordPlace,
    /// Whether the page is to be read again all the same. If it is not read then either, this verdict stays.
    pub again: bool,
}

/// A page that was in flight when its engine died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspect {
    /// Deaths at which it was alone.
    pub(super) deaths: u8,
    /// Where the last death was. It is tried there: one rank loses its server by it, not one after the other.
    pub(super) rank: RankId,
}

/// The state machine of rank 0. See the module's header.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) policy: Policy,
    pub(super) ledger: Ledger,
    pub(super) leases: Leases,
    pub(super) ranks: Ranks,
    pub(super) queues: BTreeMap<Engine, PageQueue>,
    /// Pages that were in flight when their engine died.
    pub(super) suspects: BTreeMap<PageRef, Suspect>,
    /// Pages beyond their first visit.
    pub(super) courses: BTreeMap<PageRef, Course>,
    /// How often unsettled pages came back for a fault of their connection.
    returns: BTreeMap<PageRef, u8>,
    /// Attempts of pages that are not settled yet, to be sent along with them.
    pub(super) histories: BTreeMap<PageRef, Vec<Attempt>>,
    /// The best texts of visits that go on elsewhere.
    pub(super) texts: BTreeMap<PageRef, Answer>,
    /// Records of earlier starts, whose attempts belong before those.
    pub(super) sealed: BTreeMap<PageRef, RecordPlace>,
    /// Verdicts that pages to be read again keep if they are not read this time.
    pub(super) kept: BTreeMap<PageRef, Verdict>,
    pub(super) page_times: PageTimes,
    pub(super) rank_times: BTreeMap<Engine, RankTimes>,
    pub(super) turn_times: TurnTimes,
    pub(super) handed_on: HandedOn,
    counts: Counts,
    pub(super) phase: Phase,
    finished: bool,
}

impl Scheduler {
    /// A run over documents with these page counts (0 for a refused one). `last_lease` is the highest lease that
    /// the run directory has ever seen.
    pub fn new(policy: Policy, page_counts: &[u32], restored: Vec<Restored>, last_lease: LeaseId) -> Self {
        let mut scheduler = Scheduler {
            policy,
            ledger: Ledger::new(page_counts),
            leases: Leases::new(last_lease),
            ranks: Ranks::new(policy.ranks),
            queues: Engine::ALL.into_iter().map(|engine| (engine, PageQueue::default())).collect(),
            suspects: BTreeMap::new(),
            courses: BTreeMap::new(),
            returns: BTreeMap::new(),
            histories: BTreeMap::new(),
            texts: BTreeMap::new(),
            sealed: BTreeMap::new(),
            kept: BTreeMap::new(),
            page_times: PageTimes::default(),
            rank_times: BTreeMap::new(),
            turn_times: TurnTimes::default(),
            handed_on: HandedOn::default(),
            counts: Counts::default(),
            phase: Phase::Dealing,
            finished: false,
        };
        scheduler.counts.pages = scheduler.ledger.len() as u64;
        for page in restored {
            scheduler.restore(page);
        }
        scheduler.fill_first_queue();
        scheduler
    }

    /// Takes in what happened and pushes what must be done.
    pub fn step(&mut self, now: Tick, event: Event, out: &mut Vec<Action>) {
        if let Some(rank) = event.speaker() {
            self.ranks.heard(rank, now);
        }
        if self.finished {
            // A rank may fall silent while it seals: nothing is dealt any more, but nobody must wait for it.
            if event == Event::Clock {
                self.notice_silence(now);
            }
            return;
        }
        match event {
            Event::RankJoined { rank, role, credits } => self.ranks.join(rank, role, credits, now),
            Event::EngineReady { rank, engine } => {
                if let Some(turned) = self.ranks.engine_ready(rank, engine, now) {
                    self.turn_times.add(engine, turned);
                }
            }
            Event::EngineLost { rank, engine } => self.ranks.server_lost(rank, engine),
            Event::Settled { rank, settlement } => self.settled(rank, settlement, now),
            Event::Returned { rank, page, lease, fault, attempts, text } => {
                self.returned(rank, page, lease, fault, attempts, text);
            }
            Event::RankLost { rank } => self.rank_lost(rank),
            Event::StopRequested { reason } => self.stop(reason, now),
            Event::Clock => {
                self.notice_silence(now);
                self.leave_behind(now);
            }
            Event::Alive { .. } => {}
        }
        self.stop_if_unserved(now);
        self.advance(now, out);
        if self.phase == Phase::Dealing {
            self.deal(now, out);
            if self.turn_ranks(now, out) {
                self.deal(now, out);
            }
        }
        self.finish_if_over(out);
    }

    /// How many pages ended how.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Pages that are out at ranks.
    pub fn in_flight(&self) -> u64 {
        self.ranks.iter().map(|(_, state)| u64::from(state.held)).sum()
    }

    /// How long each turn took, from the order until its engine was ready.
    pub fn turns(&self) -> &[Duration] {
        self.turn_times.all()
    }

    /// Whether nobody turns to the engine any more, since it could not be started on several ranks, and on none ever was.
    pub fn is_given_up(&self, engine: Engine) -> bool {
        self.ranks.is_given_up(engine)
    }

    /// Whether the rank has been given up.
    pub fn is_lost(&self, rank: RankId) -> bool {
        self.ranks.is_gone(rank)
    }

    /// Where a page stands; `None` if it is not in the plan.
    pub fn stage(&self, page: PageRef) -> Option<PageStage> {
        self.ledger.contains(page).then(|| self.ledger.stage(page))
    }

    fn restore(&mut self, restored: Restored) {
        let Restored { page, verdict, engine, ahead, place, again } = restored;
        if !self.ledger.contains(page) {
            return;
        }
        if again {
            self.sealed.insert(page, place);
            self.kept.insert(page, verdict);
            return;
        }
        if matches!(verdict, Verdict::Failed(_))
            && let Some(visit) = after_visit(ahead, self.has_second())
        {
            self.sealed.insert(page, place);
            self.send_on(page, Course { visit, ahead });
            return;
        }
        self.counts.restored += 1;
        self.settle(page, verdict, engine == Some(Engine::DeepSeek));
    }

    fn fill_first_queue(&mut self) {
        let mut ranges: Vec<PageRange> = Vec::new();
        for (page, stage) in self.ledger.iter() {
            if stage != PageStage::Waiting(Engine::Chandra) || self.courses.contains_key(&page) {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.document == page.document && last.first + last.count == page.page.0 => {
                    last.count += 1
                }
                _ => ranges.push(PageRange { document: page.document, first: page.page.0, count: 1 }),
            }
        }
        for range in ranges {
            self.queue(Engine::Chandra).push_back(range);
        }
    }

    fn settled(&mut self, rank: RankId, settlement: Settlement, now: Tick) {
        let Settlement { page, lease, verdict, attempts, ahead } = settlement;
        let Some(Closed { engine, assigned, .. }) = self.close(rank, page, lease) else { return };
        self.time_page(engine, assigned, now);
        self.suspects.remove(&page);
        self.returns.remove(&page);
        self.texts.remove(&page);
        // An engine that had nothing left for the page on an earlier visit has nothing left now.
        let ahead = self.courses.get(&page).map_or(ahead, |course| course.ahead.and(ahead));
        let next = match verdict {
            Verdict::Failed(_) => after_visit(ahead, self.has_second()),
            Verdict::Read | Verdict::Blank => None,
        };
        if engine == Engine::Chandra {
            self.handed_on.add(next == Some(Visit::Second));
        }
        match next {
            Some(visit) => {
                self.histories.insert(page, attempts);
                self.send_on(page, Course { visit, ahead });
            }
            None => self.settle(page, verdict, engine == Engine::DeepSeek),
        }
    }

    fn returned(
        &mut self,
        rank: RankId,
        page: PageRef,
        lease: LeaseId,
        fault: MachineFault,
        attempts: Vec<Attempt>,
        text: Option<Answer>,
    ) {
        if matches!(fault, MachineFault::RendererLost | MachineFault::InputLost) {
            Engine::ALL.into_iter().for_each(|engine| self.ranks.engine_lost(rank, engine));
        }
        let Some(Closed { engine, trial, .. }) = self.close(rank, page, lease) else { return };
        let asked = attempts.last().is_some_and(|last| last.outcome == AttemptOutcome::Interrupted(fault));
        if !attempts.is_empty() {
            self.histories.insert(page, attempts);
        }
        self.texts.extend(text.map(|text| (page, text)));
        if fault == MachineFault::ServerDied || asked && self.comes_back_again(page, fault) {
            let deaths = trial.map_or(0, |deaths| deaths + 1);
            self.suspects.insert(page, Suspect { deaths, rank });
        }
        self.wait_again(page, engine);
    }

    /// Whether a page has come back so often, for faults that others do not have, that it must be tried alone.
    fn comes_back_again(&mut self, page: PageRef, fault: MachineFault) -> bool {
        if !matches!(fault, MachineFault::Aborted | MachineFault::ConnectionLost | MachineFault::Overloaded) {
            return false;
        }
        let returns = self.returns.entry(page).or_default();
        *returns += 1;
        *returns >= RETURNS_LIMIT
    }

    pub(super) fn rank_lost(&mut self, rank: RankId) {
        self.ranks.remove(rank);
        for lease in self.leases.revoke(rank).into_iter().rev() {
            for page in lease.open.into_iter().rev() {
                self.wait_again(page, lease.engine);
            }
        }
    }

    /// Closes a page of a lease and frees the credit; `None`, counted as stale, for an answer to an older lease.
    fn close(&mut self, rank: RankId, page: PageRef, lease: LeaseId) -> Option<Closed> {
        let closed = self.leases.close(lease, rank, page);
        match closed {
            None => self.counts.stale += 1,
            Some(Closed { trial, .. }) => self.ranks.release(rank, trial.is_some()),
        }
        closed
    }

    fn settle(&mut self, page: PageRef, verdict: Verdict, by_second: bool) {
        let verdict = match (verdict, self.kept.remove(&page)) {
            (Verdict::Failed(_), Some(kept @ (Verdict::Read | Verdict::Blank))) => kept,
            _ => verdict,
        };
        match verdict {
            Verdict::Read => self.counts.read += 1,
            Verdict::Blank => self.counts.blank += 1,
            Verdict::Failed(class) => *self.counts.failed.entry(class).or_default() += 1,
        }
        if by_second && verdict == Verdict::Read {
            self.counts.recovered += 1;
        }
        self.courses.remove(&page);
        self.histories.remove(&page);
        self.sealed.remove(&page);
        self.ledger.set(page, PageStage::Settled(verdict));
    }

    /// Lets a page wait for its next visit.
    fn send_on(&mut self, page: PageRef, course: Course) {
        let engine = course.visit.engine();
        self.courses.insert(page, course);
        self.ledger.set(page, PageStage::Waiting(engine));
        self.queue(engine).push_back(PageRange { document: page.document, first: page.page.0, count: 1 });
    }

    /// A page that was out waits first in line; a suspect waits in no line, since it runs alone.
    fn wait_again(&mut self, page: PageRef, engine: Engine) {
        self.ledger.set(page, PageStage::Waiting(engine));
        if !self.suspects.contains_key(&page) {
            self.queue(engine).push_front(page);
        }
    }

    pub(super) fn queue(&mut self, engine: Engine) -> &mut PageQueue {
        self.queues.entry(engine).or_default()
    }

    /// Whether the run is to have the second engine. Without it, a page goes back to the first or ends with its verdict.
    fn has_second(&self) -> bool {
        self.policy.engines.contains(Engine::DeepSeek)
    }

    /// Pages wait for an engine that nobody can serve, by a fault of the machine: the run stops early and they stay
    /// uncounted; for stage 2 not before everything else is done.
    fn stop_if_unserved(&mut self, now: Tick) {
        let unserved = |engine| self.all_waiting(engine) > 0 && !self.ranks.may_serve(engine);
        let nothing_else = self.all_waiting(Engine::Chandra) == 0 && self.leases.is_empty();
        if unserved(Engine::Chandra) {
            self.stop(StopReason::NoEngine(Engine::Chandra), now);
        } else if unserved(Engine::DeepSeek) && nothing_else {
            self.stop(StopReason::NoEngine(Engine::DeepSeek), now);
        }
    }

    /// Suspects that are not out at a rank, in page order.
    pub(super) fn waiting_suspects(&self, engine: Engine) -> impl Iterator<Item = PageRef> {
        let waiting = PageStage::Waiting(engine);
        self.suspects.keys().copied().filter(move |page| self.ledger.stage(*page) == waiting)
    }

    fn finish_if_over(&mut self, out: &mut Vec<Action>) {
        let outcome = if self.ledger.unsettled() == 0 {
            Outcome::Complete
        } else if let Some(reason) = self.phase.reason()
            && self.leases.is_empty()
        {
            Outcome::Stopped(reason)
        } else {
            return;
        };
        self.finished = true;
        out.push(Action::Finish { outcome });
    }
}
