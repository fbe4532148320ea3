//! Pages that were in flight when their engine died: which of them kills it, if any.
//!
//! * Most deaths are the fault of no page. So the pages are tried again among others, on the rank of the death.
//! * If the engine dies with them again, they are tried in isolation: half of them, then half of the half that it died
//!   with, until one is alone. Pages outside the half that it died with are tried among others again. One page that
//!   kills is so found in about log2(n) + 3 deaths.
//! * A page alone at [`crate::retry::state::POISON_DEATHS`] deaths fails.
//! * Where the engine has read no page yet, single pages are tried until it reads one. If it dies with each, it is at fault
//!   and not they, and its rank gives it up: see [`crate::server::StartBudget`].
//! * After a death, the server reads another page before the next trial in isolation, as long as one waits: a server that
//!   cannot read that either is at fault. If none waits, another rank tries them.
//! * A rank with pages to be tried in isolation is not refilled, so that it drains.
//! * If a rank loses the engine, its death was no page's fault: other ranks read the pages as any others.

use crate::model::{Engine, MachineFault, PageRef, RankId, Trial};

use super::{
    open_page::Suspect,
    protocol::{Action, Tick},
    scheduler::Scheduler,
};

/// The number of deaths in trials of a page that is next tried alone, whatever came before.
const NEXT_ALONE: u8 = u8::MAX;

/// What a rank does next for waiting suspects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextTrial {
    /// It gets suspects to be tried like this.
    Of(Trial),
    /// It gets a single one, because nothing shows that its engine reads any page.
    Single,
    /// It gets a page that is no suspect, to see whether its server reads any.
    ControlPage,
    /// It gets suspects once it holds no pages.
    OnceIdle,
    /// Another rank gets them.
    ByAnotherRank,
}

impl NextTrial {
    /// Whether the rank gets no other pages now.
    fn sets_rank_aside(self) -> bool {
        match self {
            NextTrial::Of(trial) => trial.is_isolated(),
            NextTrial::Single | NextTrial::ControlPage | NextTrial::OnceIdle => true,
            NextTrial::ByAnotherRank => false,
        }
    }
}

impl Scheduler {
    /// The engine died with the page in flight.
    pub(super) fn suspect_after_death(&mut self, rank: RankId, engine: Engine, page: PageRef, trial: Option<Trial>) {
        self.ranks.server_died(rank, engine);
        let earlier = self.open.suspect(page);
        let Suspect { mut deaths_in_trials, mut deaths_alone, .. } =
            earlier.unwrap_or(Suspect { deaths_in_trials: 0, deaths_alone: 0, rank });
        if let (Some(_), Some(trial)) = (earlier, trial) {
            deaths_in_trials = deaths_in_trials.saturating_add(1);
            deaths_alone = deaths_alone.saturating_add(u8::from(trial.deaths_alone().is_some()));
            self.relieve_others(rank, engine, deaths_in_trials);
        }
        self.open.entry(page).suspect = Some(Suspect { deaths_in_trials, deaths_alone, rank });
    }

    /// The page has come back so often, for faults that other pages do not have, that it is tried alone.
    pub(super) fn suspect_alone(&mut self, rank: RankId, page: PageRef, trial: Option<Trial>, fault: MachineFault) {
        let deaths_alone = match trial.and_then(Trial::deaths_alone) {
            // A server that refuses requests for a while has not died of the page.
            Some(deaths) if fault == MachineFault::Overloaded => deaths,
            Some(deaths) => deaths.saturating_add(1),
            None => 0,
        };
        self.open.entry(page).suspect = Some(Suspect { deaths_in_trials: NEXT_ALONE, deaths_alone, rank });
    }

    /// The engine died in a trial of a part of the suspects: the others are tried among other pages again.
    fn relieve_others(&mut self, rank: RankId, engine: Engine, deaths_in_trials: u8) {
        let waiting: Vec<_> = self.waiting_apart(engine).collect();
        for page in waiting {
            if let Some(suspect) = &mut self.open.entry(page).suspect
                && suspect.rank == rank
                && suspect.deaths_in_trials < deaths_in_trials
            {
                suspect.deaths_in_trials = 0;
            }
        }
    }

    /// The rank has lost the engine: no page is suspected any more because of a death there.
    pub(super) fn clear_suspects_of(&mut self, rank: RankId, engine: Engine) {
        let of_rank = |page: &PageRef| self.open.suspect(*page).is_some_and(|suspect| suspect.rank == rank);
        let pages: Vec<_> = self.waiting_apart(engine).filter(of_rank).collect();
        for page in pages {
            self.apart.entry(engine).or_default().remove(&page);
            self.open.entry(page).suspect = None;
            self.wait_again(page, engine);
        }
    }

    /// The same for a page that the rank returns after that.
    pub(super) fn clear_if_lost(&mut self, rank: RankId, engine: Engine, page: PageRef) {
        let has_engine = self.ranks.get(rank).is_some_and(|state| state.engines.contains(engine));
        if !has_engine && self.open.suspect(page).is_some_and(|suspect| suspect.rank == rank) {
            self.open.entry(page).suspect = None;
        }
    }

    /// Deals waiting suspects: to the rank where the server died, or to any rank if that one no longer serves the engine
    /// or no other page waits. Gives the ranks that get no other pages meanwhile.
    pub(super) fn deal_suspects(&mut self, now: Tick, out: &mut Vec<Action>) -> Vec<RankId> {
        let mut set_aside = Vec::new();
        for engine in self.policy.engines.iter() {
            let is_suspect = |page: &PageRef| self.open.suspect(*page).is_some();
            let mut waiting: Vec<_> = self.waiting_apart(engine).filter(is_suspect).collect();
            if waiting.is_empty() {
                continue;
            }
            let ready = self.ranks.ready(engine);
            for (index, rank) in ready.iter().copied().enumerate() {
                if set_aside.contains(&rank) {
                    continue;
                }
                let of_rank: Vec<_> =
                    waiting.iter().copied().filter(|page| self.may_be_tried_on(rank, engine, *page)).collect();
                if of_rank.is_empty() {
                    continue;
                }
                let (next, of_next) = self.next_trial(rank, engine, &of_rank, ready.len() - index);
                self.deal_trial(rank, engine, next, &of_next, now, out);
                waiting.retain(|page| !of_next.contains(page));
                if next.sets_rank_aside() {
                    set_aside.push(rank);
                    // They wait for this rank, and no other rank is to wait for them too.
                    waiting.retain(|page| !of_rank.contains(page));
                }
            }
        }
        set_aside
    }

    fn may_be_tried_on(&self, rank: RankId, engine: Engine, page: PageRef) -> bool {
        let Some(open) = self.open.get(page) else { return false };
        let Some(Suspect { rank: home, .. }) = open.suspect else { return false };
        let home_serves = self.ranks.get(home).is_some_and(|state| state.serves(engine));
        let anywhere = !home_serves || self.waiting(engine) == 0;
        (home == rank || anywhere) && !open.was_failed_by(rank)
    }

    /// What the rank does for waiting suspects, and with which of them.
    fn next_trial(
        &self,
        rank: RankId,
        engine: Engine,
        pages: &[PageRef],
        ranks_left: usize,
    ) -> (NextTrial, Vec<PageRef>) {
        let suspected = self.most_suspected(pages);
        let first = |number: usize| suspected.iter().take(number).map(|(page, _)| *page).collect();
        let none = |next| (next, Vec::new());
        let (Some(state), Some((page, suspect))) = (self.ranks.get(rank), suspected.first().copied()) else {
            return none(NextTrial::ByAnotherRank);
        };
        let free = state.capacity().saturating_sub(state.held) as usize;
        let (is_idle, waits) = (state.held == 0, self.waiting(engine) > 0);
        let reads_pages = state.has_read.contains(engine) || self.read_before.contains(engine);
        let is_new = suspect.deaths_in_trials == 0;
        let is_only = is_idle && suspected.len() == 1 && !waits;
        if reads_pages && is_new && !state.is_isolated && !is_only {
            let share = suspected.len().div_ceil(ranks_left).min(free);
            return (NextTrial::Of(Trial::AmongOthers), first(share));
        }
        if !is_idle {
            return none(NextTrial::OnceIdle);
        }
        // Its server has died and read nothing since, so that another death may be its own fault.
        if state.died.contains(engine) && !(reads_pages && is_new) {
            if waits {
                return none(NextTrial::ControlPage);
            }
            if self.another_may_try(rank, engine, page) {
                return none(NextTrial::ByAnotherRank);
            }
        }
        if !reads_pages {
            return (NextTrial::Single, self.least_suspected(pages).into_iter().collect());
        }
        let is_alone = suspect.deaths_in_trials == NEXT_ALONE;
        match if is_alone { 1 } else { suspected.len().div_ceil(2).min(free) } {
            1 => (NextTrial::Of(Trial::Alone { deaths: suspect.deaths_alone }), first(1)),
            half => (NextTrial::Of(Trial::Together), first(half)),
        }
    }

    fn deal_trial(
        &mut self,
        rank: RankId,
        engine: Engine,
        next: NextTrial,
        pages: &[PageRef],
        now: Tick,
        out: &mut Vec<Action>,
    ) {
        let trial = match next {
            NextTrial::Of(trial) => trial,
            // Its death proves nothing of this page.
            NextTrial::Single => Trial::AmongOthers,
            NextTrial::ControlPage => {
                if let Some(range) = self.queue(engine).take_last() {
                    self.deal_range(rank, engine, range, now, out);
                }
                return;
            }
            NextTrial::OnceIdle | NextTrial::ByAnotherRank => return,
        };
        for page in pages {
            self.deal_apart(rank, engine, *page, Some(trial), now, out);
        }
    }

    /// Whether another rank may try the page whose server has not died since it last read one.
    fn another_may_try(&self, rank: RankId, engine: Engine, page: PageRef) -> bool {
        let mut ready = self.ranks.ready(engine).into_iter().filter(|other| *other != rank);
        ready.any(|other| {
            let is_sound = self.ranks.get(other).is_some_and(|state| !state.died.contains(engine));
            is_sound && self.may_be_tried_on(other, engine, page)
        })
    }

    /// The page with which the engine died least often: of several the last, because a run reads the first pages first.
    fn least_suspected(&self, pages: &[PageRef]) -> Option<PageRef> {
        let deaths = |page: &PageRef| self.open.suspect(*page).map(|suspect| suspect.deaths_in_trials);
        pages.iter().rev().copied().min_by_key(deaths)
    }

    /// The pages with which the engine died most often since they were first tried again.
    fn most_suspected(&self, pages: &[PageRef]) -> Vec<(PageRef, Suspect)> {
        let mut suspects: Vec<_> = pages.iter().filter_map(|page| Some((*page, self.open.suspect(*page)?))).collect();
        let most = suspects.iter().map(|(_, suspect)| suspect.deaths_in_trials).max();
        suspects.retain(|(_, suspect)| Some(suspect.deaths_in_trials) == most);
        suspects
    }
}
