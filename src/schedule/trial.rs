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
        for engine in Engine::ALL {
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
                let ranks_left = ready.len() - index;
                let (dealt, is_set_aside) = self.deal_suspects_to(rank, engine, &of_rank, ranks_left, now, out);
                waiting.retain(|page| !dealt.contains(page));
                if is_set_aside {
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

    /// Deals suspects to a rank. Gives those dealt, and whether the rank gets no other pages now.
    fn deal_suspects_to(
        &mut self,
        rank: RankId,
        engine: Engine,
        pages: &[PageRef],
        ranks_left: usize,
        now: Tick,
        out: &mut Vec<Action>,
    ) -> (Vec<PageRef>, bool) {
        let suspected = self.most_suspected(pages);
        let (Some(state), Some((page, first))) = (self.ranks.get(rank), suspected.first().copied()) else {
            return (Vec::new(), false);
        };
        let free = state.capacity().saturating_sub(state.held) as usize;
        let (is_idle, is_isolated, died) = (state.held == 0, state.is_isolated, state.died.contains(engine));
        let reads_pages = state.has_read.contains(engine) || self.read_before.contains(engine);
        let is_new = first.deaths_in_trials == 0;
        // Its server has died and read nothing since, so that another death may be its own fault.
        let is_unsure = died && !(reads_pages && is_new);
        let is_only = is_idle && suspected.len() == 1 && self.waiting(engine) == 0;
        let half = if first.deaths_in_trials == NEXT_ALONE { 1 } else { suspected.len().div_ceil(2).min(free) };
        let (dealt, trial) = if reads_pages && is_new && !is_isolated && !is_only {
            (suspected.len().div_ceil(ranks_left).min(free), Trial::AmongOthers)
        } else if !is_idle || is_unsure && self.deal_control_page(rank, engine, now, out) {
            return (Vec::new(), true);
        } else if is_unsure && self.another_may_try(rank, engine, page) {
            return (Vec::new(), false);
        } else if !reads_pages {
            // Nothing shows that the engine reads any page, so its death proves nothing of this one.
            return (self.deal_least_suspected(rank, engine, pages, now, out), true);
        } else if half == 1 {
            (1, Trial::Alone { deaths: first.deaths_alone })
        } else {
            (half, Trial::Together)
        };
        let dealt: Vec<_> = suspected.into_iter().take(dealt).map(|(page, _)| page).collect();
        for page in &dealt {
            self.deal_apart(rank, engine, *page, Some(trial), now, out);
        }
        (dealt, trial.is_isolated())
    }

    /// Whether another rank may try the page whose server has not died since it last read one.
    fn another_may_try(&self, rank: RankId, engine: Engine, page: PageRef) -> bool {
        let mut ready = self.ranks.ready(engine).into_iter().filter(|other| *other != rank);
        ready.any(|other| {
            let is_sound = self.ranks.get(other).is_some_and(|state| !state.died.contains(engine));
            is_sound && self.may_be_tried_on(other, engine, page)
        })
    }

    /// Deals the page with which the engine died least often, by itself.
    fn deal_least_suspected(
        &mut self,
        rank: RankId,
        engine: Engine,
        pages: &[PageRef],
        now: Tick,
        out: &mut Vec<Action>,
    ) -> Vec<PageRef> {
        let deaths = |page: &PageRef| self.open.suspect(*page).map(|suspect| suspect.deaths_in_trials);
        // Of several the last, because a run reads the first pages first.
        let least = pages.iter().rev().copied().min_by_key(deaths);
        if let Some(page) = least {
            self.deal_apart(rank, engine, page, Some(Trial::AmongOthers), now, out);
        }
        least.into_iter().collect()
    }

    /// The pages with which the engine died most often since they were first tried again.
    fn most_suspected(&self, pages: &[PageRef]) -> Vec<(PageRef, Suspect)> {
        let mut suspects: Vec<_> = pages.iter().filter_map(|page| Some((*page, self.open.suspect(*page)?))).collect();
        let most = suspects.iter().map(|(_, suspect)| suspect.deaths_in_trials).max();
        suspects.retain(|(_, suspect)| Some(suspect.deaths_in_trials) == most);
        suspects
    }

    /// Deals one page that is no suspect, to see whether the server reads any; false if none waits.
    fn deal_control_page(&mut self, rank: RankId, engine: Engine, now: Tick, out: &mut Vec<Action>) -> bool {
        let Some(range) = self.queue(engine).take_last() else { return false };
        self.deal_range(rank, engine, range, now, out);
        true
    }
}
