//! Verdicts: a page goes on to its next stage, or is settled.

use crate::{
    model::{Engine, FailureClass, PageRef, RankId, Settlement, Verdict},
    retry::escalation::{Escalation, next_stage},
};

use super::{
    failures::failed_by_its_answer,
    lease::Closed,
    ledger::PageState,
    open_page::GivenVerdict,
    protocol::{Action, Tick},
    scheduler::Scheduler,
    server_trust::PageBefore,
};

impl Scheduler {
    pub(super) fn settled(&mut self, rank: RankId, settlement: Settlement, now: Tick, out: &mut Vec<Action>) {
        let Settlement { page, lease, verdict, engine: by, .. } = settlement;
        let given_up = self.open.get(page).is_some_and(|open| open.given_up);
        if !given_up {
            self.ranks.answered(rank, now);
        }
        let Some(Closed { engine, assigned, .. }) = self.close(rank, page, lease) else {
            return self.settled_late(rank, page, lease, GivenVerdict { verdict, engine: by });
        };
        if !given_up {
            self.time_page(engine, assigned, now);
        }
        match (self.other_lease(page, lease), verdict) {
            (Some(_), Verdict::Failed(_)) => return,
            (Some(other), Verdict::Read | Verdict::Incomplete | Verdict::Blank) => self.drop_lease(page, other, out),
            (None, _) => {}
        }
        if failed_by_its_answer(verdict) {
            self.server_failed(rank, engine, settlement, out);
        } else {
            if verdict.is_read() {
                self.server_read(rank, engine);
            }
            self.conclude_stage(engine, settlement);
        }
    }

    /// Sends a page to its next stage, or settles it.
    pub(super) fn conclude_stage(&mut self, engine: Engine, settlement: Settlement) {
        let Settlement { page, verdict, engine: by, attempts, remaining, .. } = settlement;
        // An engine that had nothing left to try on an earlier stage has nothing left now.
        let escalation = self.open.get(page).and_then(|open| open.escalation);
        let remaining = escalation.map_or(remaining, |escalation| escalation.remaining.and(remaining));
        let read_late = self.open.get(page).is_some_and(|open| open.late.is_some());
        let next = match verdict {
            Verdict::Failed(_) if read_late => None,
            Verdict::Failed(_) => next_stage(remaining, self.policy.engines),
            Verdict::Read | Verdict::Incomplete | Verdict::Blank => None,
        };
        self.fallbacks.add(engine, next);
        match next {
            Some(stage) => {
                let open = self.open.entry(page);
                (open.suspect, open.returns, open.text) = (None, 0, None);
                open.history = attempts;
                self.send_on(page, Escalation { stage, remaining });
            }
            None => {
                let has_failed = matches!(verdict, Verdict::Failed(_)) && !read_late;
                let taken_back = self.open.get(page).and_then(|open| open.taken_back.clone()).filter(|_| has_failed);
                match taken_back {
                    Some(before) => self.reopen(PageBefore { page, open: *before }),
                    None => self.settle_page(page, GivenVerdict { verdict, engine: by }),
                }
            }
        }
    }

    /// Settles a page. A failure does not replace a late verdict, nor one that the page keeps if it cannot be read again.
    pub(super) fn settle_page(&mut self, page: PageRef, given: GivenVerdict) {
        let open = self.open.remove(page).unwrap_or_default();
        self.taken_back.remove(&page);
        let engine = open.stage().engine();
        let kept = open.kept.filter(|kept| !matches!(kept.verdict, Verdict::Failed(_)));
        let given = match given.verdict {
            Verdict::Failed(_) => open.late.or(kept).unwrap_or(given),
            Verdict::Read | Verdict::Incomplete | Verdict::Blank => given,
        };
        self.count(given);
        self.ledger.set(page, PageState::Settled(given.verdict));
        // Afterwards, because it may take failures back, and this page may be among them.
        if let Some(doubt) = open.doubt {
            self.resolve_doubt(page, engine, &doubt.failed_by, given.verdict.is_read());
        }
    }

    fn count(&mut self, given: GivenVerdict) {
        match given.verdict {
            Verdict::Read | Verdict::Incomplete => {
                self.counts.read += 1;
                self.counts.recovered += u64::from(given.engine.is_some_and(|engine| engine != Engine::FIRST));
                self.counts.incomplete += u64::from(given.verdict == Verdict::Incomplete);
            }
            Verdict::Blank => self.counts.blank += 1,
            Verdict::Failed(class) => *self.counts.failed.entry(class).or_default() += 1,
        }
    }

    /// A page that had failed with `class` is not failed any more.
    pub(super) fn uncount_failure(&mut self, class: FailureClass) {
        if let Some(failed) = self.counts.failed.get_mut(&class) {
            *failed = failed.saturating_sub(1);
        }
        self.counts.failed.retain(|_, failed| *failed > 0);
    }

    /// Corrects the counts: a page that had failed with `class` was read after all.
    pub(super) fn correct(&mut self, page: PageRef, class: FailureClass, given: GivenVerdict) {
        self.uncount_failure(class);
        self.count(given);
        self.ledger.set(page, PageState::Settled(given.verdict));
    }
}
