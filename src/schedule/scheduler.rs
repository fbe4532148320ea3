//! The scheduler: the state machine of rank 0.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    model::{
        Answer, Attempt, AttemptOutcome, Counts, Engine, EngineSet, LeaseId, MachineFault, Outcome, PageRef, RankId,
        RecordPlace, Settlement, Stage, StopReason, Verdict,
    },
    retry::{
        escalation::{Escalation, next_stage},
        folding::folded,
        state::RETURNS_LIMIT,
    },
};

use super::{
    ending::{Deadline, Phase},
    failures::EngineFailures,
    lease::{Closed, Leases},
    ledger::{Ledger, PageState},
    open_page::{GivenVerdict, OpenPage, OpenPages},
    page_times::{PageTimes, RankTimes},
    protocol::{Action, Event, Tick},
    queue::{PageQueue, PageRange},
    ranks::Ranks,
    role_switch::{FallbackRates, SwitchTimes},
};

/// Settings of the scheduler. They do not change during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Number of ranks expected to report.
    pub ranks: u32,
    /// Engines that the run should have, the first among them. One that no rank serves now is missing because of a
    /// machine fault.
    pub engines: EngineSet,
    /// Maximum number of pages in a unit.
    pub unit_pages: u32,
    /// When the run must have ended; `None` without a limit.
    pub deadline: Option<Deadline>,
    /// How long pages in flight may continue after a stop request.
    pub drain: Duration,
    /// Assumed duration of a role switch, until one has been measured.
    pub turn_cost: Duration,
    /// A rank that sends no message for this long is lost; `None` disables the check.
    pub silence_limit: Option<Duration>,
    /// Minimum duration of a lease. At least the time of a page that uses all its attempts of a stage, on a rank whose
    /// server is restarted meanwhile.
    pub lease_floor: Duration,
    /// Whether the last pages are also asked on idle ranks.
    pub races: bool,
}

/// A page that an earlier start of the run has a durable record of.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// The page.
    pub page: PageRef,
    /// Its final verdict so far.
    pub verdict: Verdict,
    /// The engine that gave the verdict; `None` if no engine saw the page.
    pub engine: Option<Engine>,
    /// For a failed page: the engines that it may still be given to.
    pub remaining: EngineSet,
    /// Where its latest record is stored.
    pub place: RecordPlace,
    /// Whether the page is to be read again. If the new reading fails, this verdict stays.
    pub again: bool,
}

/// The state machine of rank 0. See the module header.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) policy: Policy,
    pub(super) ledger: Ledger,
    pub(super) leases: Leases,
    pub(super) ranks: Ranks,
    pub(super) queues: BTreeMap<Engine, PageQueue>,
    /// Waiting pages that are in no queue, because each of them is dealt by itself.
    pub(super) apart: BTreeMap<Engine, BTreeSet<PageRef>>,
    /// Pages that have a history: see [`OpenPage`].
    pub(super) open: OpenPages,
    pub(super) page_times: PageTimes,
    pub(super) rank_times: BTreeMap<Engine, RankTimes>,
    pub(super) turn_times: SwitchTimes,
    pub(super) fallbacks: FallbackRates,
    /// Engines that read pages in an earlier start of the run.
    pub(super) read_before: EngineSet,
    /// Failures of each engine since any of its servers read a page.
    pub(super) failures: BTreeMap<Engine, EngineFailures>,
    /// Engines that are given up because all their servers failed all pages.
    pub(super) failed_engines: EngineSet,
    /// Pages whose recorded failure does not count, because their servers may be at fault.
    pub(super) taken_back: BTreeSet<PageRef>,
    /// When a page was last settled.
    pub(super) last_settled: Option<Tick>,
    /// Pages that are also asked on an idle rank, with the lease there.
    pub(super) races: BTreeMap<PageRef, LeaseId>,
    /// All pages that were raced so far.
    pub(super) raced: BTreeSet<PageRef>,
    /// Number of leases that expired.
    pub(super) expired: u64,
    pub(super) counts: Counts,
    pub(super) phase: Phase,
    pub(super) finished: bool,
}

impl Scheduler {
    /// A run over documents with these page counts; a refused document counts 0. `last_lease` is the highest lease
    /// number found in the run directory.
    pub fn new(policy: Policy, page_counts: &[u32], restored: Vec<Restored>, last_lease: LeaseId) -> Self {
        let mut scheduler = Scheduler {
            policy,
            ledger: Ledger::new(page_counts),
            leases: Leases::new(last_lease),
            ranks: Ranks::new(policy.ranks, policy.engines),
            queues: policy.engines.iter().map(|engine| (engine, PageQueue::default())).collect(),
            apart: BTreeMap::new(),
            open: OpenPages::default(),
            page_times: PageTimes::default(),
            rank_times: BTreeMap::new(),
            turn_times: SwitchTimes::default(),
            fallbacks: FallbackRates::default(),
            read_before: EngineSet::default(),
            failures: BTreeMap::new(),
            failed_engines: EngineSet::default(),
            taken_back: BTreeSet::new(),
            last_settled: None,
            races: BTreeMap::new(),
            raced: BTreeSet::new(),
            expired: 0,
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

    /// Handles one event and appends the actions that follow from it to `out`.
    pub fn step(&mut self, now: Tick, event: Event, out: &mut Vec<Action>) {
        if let Some(rank) = event.speaker() {
            self.ranks.heard_from(rank, now);
        }
        if self.finished {
            match event {
                // A rank may become silent while it seals its shard. No page is dealt any more, but the run must not
                // wait for it.
                Event::Clock => self.handle_timeout(now, out),
                Event::Settled { rank, settlement: Settlement { page, lease, verdict, engine, .. } } => {
                    self.settled_late(rank, page, lease, GivenVerdict { verdict, engine });
                }
                _ => {}
            }
            return;
        }
        match event {
            Event::RankJoined { rank, role, credits } => {
                self.ranks.join(rank, role, credits, now);
                self.failed_engines.iter().for_each(|engine| self.ranks.engine_lost(rank, engine));
            }
            Event::EngineReady { rank, engine } => {
                if let Some(turned) = self.ranks.engine_ready(rank, engine, now) {
                    self.turn_times.add(engine, turned);
                }
            }
            Event::EngineLost { rank, engine } => {
                self.ranks.server_lost(rank, engine);
                self.clear_suspects_of(rank, engine);
            }
            Event::Settled { rank, settlement } => self.settled(rank, settlement, now, out),
            Event::Returned { rank, page, lease, fault, attempts, text } => {
                self.ranks.answered(rank, now);
                self.returned(rank, page, lease, fault, attempts, text);
            }
            Event::StopRequested { reason } => self.stop(reason, now),
            Event::Clock => self.handle_timeout(now, out),
            Event::Alive { .. } => {}
        }
        self.handle_failing_servers(out);
        self.stop_if_unserved(now);
        self.advance(now, out);
        if self.phase == Phase::Dealing {
            self.deal(now, out);
            self.give_up_or_stop(now, out);
        }
        if self.phase == Phase::Dealing && self.turn_ranks(now, out) {
            self.deal(now, out);
        }
        if self.phase == Phase::Dealing {
            self.deal_races(now, out);
        }
        self.finish_if_over(out);
    }

    /// Number of pages by verdict.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Number of pages assigned to ranks and not yet settled.
    pub fn in_flight(&self) -> u64 {
        self.ranks.iter().map(|(_, state)| u64::from(state.held)).sum()
    }

    /// Number of leases that expired.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// When a page was last settled in this start of the run.
    pub fn last_settled(&self) -> Option<Tick> {
        self.last_settled
    }

    /// Number of pages that were also asked on an idle rank.
    pub fn raced(&self) -> u64 {
        self.raced.len() as u64
    }

    /// Duration of each role switch, from the order until the engine was ready.
    pub fn role_switches(&self) -> &[Duration] {
        self.turn_times.all()
    }

    /// Whether no rank switches to the engine any more: it failed to start on several ranks and never started on any.
    pub fn is_given_up(&self, engine: Engine) -> bool {
        self.ranks.is_given_up(engine)
    }

    /// Unsettled pages of which a failure is recorded that does not count, because their servers may be at fault.
    pub fn taken_back(&self) -> Vec<PageRef> {
        self.taken_back.iter().copied().collect()
    }

    /// The highest lease number so far.
    pub fn last_lease(&self) -> LeaseId {
        self.leases.last()
    }

    /// Whether the rank is lost.
    pub fn is_lost(&self, rank: RankId) -> bool {
        self.ranks.is_gone(rank)
    }

    /// State of a page; `None` if it is not in the plan.
    pub fn stage(&self, page: PageRef) -> Option<PageState> {
        self.ledger.contains(page).then(|| self.ledger.stage(page))
    }

    /// The engines that a page may still be given to which an earlier engine has failed; `None` for any other page.
    pub fn remaining(&self, page: PageRef) -> Option<EngineSet> {
        Some(self.open.get(page)?.escalation?.remaining)
    }

    fn restore(&mut self, restored: Restored) {
        let Restored { page, verdict, engine, remaining, place, again } = restored;
        if !self.ledger.contains(page) {
            return;
        }
        if let Some(engine) = engine.filter(|_| verdict.is_read()) {
            self.read_before = self.read_before.with(engine);
        }
        if again {
            let open = self.open.entry(page);
            (open.sealed, open.kept) = (Some(place), Some(GivenVerdict { verdict, engine }));
            return;
        }
        let next = next_stage(remaining, self.policy.engines).filter(|_| matches!(verdict, Verdict::Failed(_)));
        if let Some(engine) = engine {
            self.add_restored_fallbacks(engine, next);
        }
        if let Some(stage) = next {
            self.open.entry(page).sealed = Some(place);
            self.send_on(page, Escalation { stage, remaining });
            return;
        }
        self.counts.restored += 1;
        self.settle_page(page, GivenVerdict { verdict, engine });
    }

    fn fill_first_queue(&mut self) {
        let mut ranges: Vec<PageRange> = Vec::new();
        for (page, stage) in self.ledger.iter() {
            if stage != PageState::Waiting(Engine::FIRST) || self.open.stage(page) != Stage::FIRST {
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
            self.queue(Engine::FIRST).push_back(range);
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
            self.policy.engines.iter().for_each(|engine| self.ranks.engine_lost(rank, engine));
        }
        let Some(Closed { engine, trial, .. }) = self.close(rank, page, lease) else {
            self.counts.stale += 1;
            return;
        };
        if self.other_lease(page, lease).is_some() {
            return;
        }
        let asked = attempts.last().is_some_and(|last| last.outcome == AttemptOutcome::Interrupted(fault));
        if !attempts.is_empty() {
            self.open.entry(page).history = folded(attempts);
        }
        if text.is_some() {
            self.open.entry(page).text = text.map(Box::new);
        }
        if fault == MachineFault::ServerDied {
            self.suspect_after_death(rank, engine, page, trial);
        } else if asked && self.comes_back_again(page, fault) {
            self.suspect_alone(rank, page, trial, fault);
        }
        self.clear_if_lost(rank, engine, page);
        self.wait_again(page, engine);
    }

    /// Whether a page has been returned so often, for faults that other pages do not have, that it must be tried alone.
    fn comes_back_again(&mut self, page: PageRef, fault: MachineFault) -> bool {
        if !matches!(fault, MachineFault::Aborted | MachineFault::ConnectionLost | MachineFault::Overloaded) {
            return false;
        }
        let open = self.open.entry(page);
        open.returns = open.returns.saturating_add(1);
        open.returns >= RETURNS_LIMIT
    }

    pub(super) fn rank_lost(&mut self, rank: RankId) {
        self.ranks.remove(rank);
        for (id, lease) in self.leases.revoke(rank).into_iter().rev() {
            for page in lease.open.into_iter().rev() {
                if self.other_lease(page, id).is_none() {
                    self.wait_again(page, lease.engine);
                }
            }
        }
    }

    /// Closes a page of a lease and frees the credit; `None` for an answer to an older lease.
    pub(super) fn close(&mut self, rank: RankId, page: PageRef, lease: LeaseId) -> Option<Closed> {
        let closed = self.leases.close(lease, rank, page)?;
        self.ranks.release(rank);
        Some(closed)
    }

    /// Puts a page in line for its next stage.
    pub(super) fn send_on(&mut self, page: PageRef, escalation: Escalation) {
        let engine = escalation.stage.engine();
        let open = self.open.entry(page);
        open.escalation = Some(escalation);
        let apart = open.waits_apart();
        self.ledger.set(page, PageState::Waiting(engine));
        if apart {
            self.apart.entry(engine).or_default().insert(page);
        } else {
            self.queue(engine).push_back(PageRange { document: page.document, first: page.page.0, count: 1 });
        }
    }

    /// Puts a page that was in flight at the front of its queue, or apart if it is dealt by itself. A page that was
    /// read under an earlier lease is settled instead.
    pub(super) fn wait_again(&mut self, page: PageRef, engine: Engine) {
        if let Some(late) = self.open.get(page).and_then(|open| open.late) {
            return self.settle_page(page, late);
        }
        self.ledger.set(page, PageState::Waiting(engine));
        if self.open.get(page).is_some_and(OpenPage::waits_apart) {
            self.apart.entry(engine).or_default().insert(page);
        } else {
            self.queue(engine).push_front(page);
        }
    }

    pub(super) fn queue(&mut self, engine: Engine) -> &mut PageQueue {
        self.queues.entry(engine).or_default()
    }

    /// Stops the run if pages wait for an engine that no rank can serve because of a machine fault. Those pages stay
    /// uncounted. For a later engine than the first the run stops only after all other work is done.
    fn stop_if_unserved(&mut self, now: Tick) {
        let mut waited_for = self.policy.engines.iter().filter(|engine| self.all_waiting(*engine) > 0);
        let is_unserved = |engine: &Engine| !self.ranks.may_serve(*engine);
        let Some(first) = waited_for.next().filter(is_unserved) else { return };
        if first != Engine::FIRST && !(self.leases.is_empty() && waited_for.all(|engine| is_unserved(&engine))) {
            return;
        }
        let failed = self.failed_engines.contains(first);
        self.stop(if failed { StopReason::AllServersFail(first) } else { StopReason::NoEngine(first) }, now);
    }

    /// Pages that wait for the engine outside its queue, in page order.
    pub(super) fn waiting_apart(&self, engine: Engine) -> impl Iterator<Item = PageRef> {
        self.apart.get(&engine).into_iter().flatten().copied()
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
