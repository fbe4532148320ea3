//! Pages that servers fail by their answers: whether the page is at fault, its server, or every server of the engine.
//!
//! * A few failures of a server among many pages that it reads are believed. Others are in doubt: another server of the
//!   engine tries the page before its failure counts. The failure counts if that server is believed, if several servers have
//!   failed the page, or if no other is left.
//! * A server gets no more pages while several of its failures are in doubt.
//! * A server that fails pages in a row that others then read is suspended, and restarted once its rank holds no pages.
//!   The failures of that row that were believed are taken back. It then gets single pages until it reads one. If others
//!   read these pages too, it is given up.
//! * So only servers that fail the same pages as others are compared, and no damaged document harms a good server.
//! * If no server of an engine reads a page any more, single pages of other documents are tried. If these fail as well,
//!   the failures are taken back, and all ranks lose the engine, which ends the run early.
//!
//! A failure that is taken back stays in its rank's files. The record of a later lease replaces it; a run that stops
//! before that has the next start read the page again.

use std::collections::BTreeSet;

use crate::model::{DocumentId, Engine, FailureClass, PageRef, RankId, Remedy, Settlement, Stage, Verdict};

use super::{
    ending::Phase,
    ledger::PageState,
    open_page::{Doubt, OpenPage},
    protocol::{Action, Tick},
    scheduler::Scheduler,
    server_trust::{PageBefore, Standing},
};

/// Failures of an engine since any of its servers read a page.
#[derive(Debug, Default)]
pub(super) struct EngineFailures {
    pages: Vec<PageBefore>,
    documents: BTreeSet<DocumentId>,
}

/// A failure counts at the latest when this many servers have failed the page.
const SERVERS: usize = 3;

impl EngineFailures {
    /// Number of pages from which on only pages of other documents are tried.
    const DOUBT: usize = 4;
    /// The run stops at this number of pages, if they are of at least [`EngineFailures::DOCUMENTS`] documents.
    const PAGES: usize = 12;
    const DOCUMENTS: usize = 4;

    /// The documents of the pages, if there are so many that pages of others are to be tried.
    pub(super) fn doubted_documents(&self) -> Option<&BTreeSet<DocumentId>> {
        Some(&self.documents).filter(|_| self.pages.len() >= Self::DOUBT)
    }

    fn add(&mut self, before: PageBefore) {
        self.documents.insert(before.page.document);
        self.pages.push(before);
    }

    fn are_of_the_engine(&self) -> bool {
        self.pages.len() >= Self::PAGES && self.documents.len() >= Self::DOCUMENTS
    }
}

/// Whether a page failed because of what the server answered. Otherwise its file is at fault, or it killed the engine.
pub(super) fn failed_by_its_answer(verdict: Verdict) -> bool {
    let by_answer = |class: FailureClass| class.remedy() != Remedy::Operator && class != FailureClass::Poison;
    verdict.class().is_some_and(by_answer)
}

/// Whether a failure says something about the engine. A page that has failed before is likely to fail again; but no page
/// makes a server refuse requests.
fn is_evidence(class: FailureClass, before: &OpenPage) -> bool {
    let is_new = before.stage() == Stage::FIRST && before.sealed.is_none();
    is_new || matches!(class, FailureClass::Rejected | FailureClass::ServerError | FailureClass::Stalled)
}

impl Scheduler {
    /// A server has read a page.
    pub(super) fn server_read(&mut self, rank: RankId, engine: Engine) {
        self.ranks.server_read(rank, engine);
        self.failures.remove(&engine);
    }

    /// A server has failed a page by its answer: the failure counts, or another server tries the page.
    pub(super) fn server_failed(&mut self, rank: RankId, engine: Engine, failure: Settlement, out: &mut Vec<Action>) {
        let page = failure.page;
        let believed = self.ranks.server_failed(rank, engine);
        let earlier = self.open.entry(page).doubt.take();
        let mut failed_by = earlier.map(|doubt| doubt.failed_by).unwrap_or_default();
        failed_by.insert(rank);
        let all_fail = self.failed_engines.contains(engine);
        let is_doubted = !believed && failed_by.len() < SERVERS && self.ranks.another_can_try(engine, &failed_by);
        self.open.entry(page).doubt = Some(Box::new(Doubt { failed_by, failure }));
        if all_fail || is_doubted {
            self.ranks.doubt(rank, engine, page);
            self.taken_back.insert(page);
            self.open.entry(page).suspect = None;
            self.wait_again(page, engine);
        } else {
            self.believe(rank, engine, page, out);
        }
    }

    /// The failure of a page counts; `rank` is the last that failed it.
    fn believe(&mut self, rank: RankId, engine: Engine, page: PageRef, out: &mut Vec<Action>) {
        let Some(doubt) = self.open.entry(page).doubt.take() else { return };
        let Doubt { failed_by, failure } = *doubt;
        let open = self.open.get(page).cloned().unwrap_or_default();
        let Some(class) = failure.verdict.class() else { return };
        let is_evidence = is_evidence(class, &open);
        let reason = failure.attempts.last().map(|attempt| attempt.reason.clone()).unwrap_or_default();
        self.taken_back.remove(&page);
        self.resolve_doubt(page, engine, &failed_by, false);
        self.ranks.believe(rank, engine, PageBefore { page, open: open.clone() });
        self.conclude_stage(engine, failure);
        if is_evidence {
            self.failures.entry(engine).or_default().add(PageBefore { page, open });
            self.give_engine_up(engine, class, reason, out);
        }
    }

    /// Gives the engine up on all ranks, if all its servers fail all pages.
    fn give_engine_up(&mut self, engine: Engine, class: FailureClass, reason: String, out: &mut Vec<Action>) {
        let are_of_engine = self.failures.get(&engine).is_some_and(EngineFailures::are_of_the_engine);
        if !are_of_engine || !self.ranks.all_fail(engine) {
            return;
        }
        let Some(EngineFailures { pages, documents }) = self.failures.remove(&engine) else { return };
        let (page_count, document_count) = (pages.len(), documents.len());
        out.push(Action::AllServersFail { engine, pages: page_count, documents: document_count, class, reason });
        self.failed_engines = self.failed_engines.with(engine);
        self.ranks.all_lose(engine);
        pages.into_iter().for_each(|before| self.take_back(before));
    }

    /// Ends the doubt in the failures of these ranks: another server has read the page, or has failed it too.
    pub(super) fn resolve_doubt(&mut self, page: PageRef, engine: Engine, failed_by: &BTreeSet<RankId>, read: bool) {
        for rank in failed_by {
            if !self.ranks.get(*rank).is_some_and(|state| state.doubts(engine, page)) {
                continue;
            }
            if read {
                self.ranks.contradicted(*rank, engine, page).into_iter().for_each(|before| self.take_back(before));
            } else {
                self.ranks.confirmed(*rank, engine, page);
            }
        }
    }

    /// A failure that was believed does not count. If the page has gone on to another engine, that may still read it.
    fn take_back(&mut self, before: PageBefore) {
        let page = before.page;
        match self.ledger.stage(page) {
            PageState::Settled(Verdict::Failed(class)) => {
                self.uncount_failure(class);
                self.reopen(before);
            }
            PageState::Settled(Verdict::Read | Verdict::Incomplete | Verdict::Blank) => {}
            PageState::Waiting(_) | PageState::Leased(_) => {
                self.taken_back.insert(page);
                self.open.entry(page).taken_back = Some(Box::new(before.open));
            }
        }
    }

    /// Continues a page from before a failure that does not count.
    pub(super) fn reopen(&mut self, before: PageBefore) {
        let PageBefore { page, open } = before;
        let engine = open.stage().engine();
        self.taken_back.insert(page);
        self.open.insert(page, open);
        self.wait_again(page, engine);
    }

    /// Orders restarts of suspended servers, and gives servers up that failed after their restart, too.
    pub(super) fn handle_failing_servers(&mut self, out: &mut Vec<Action>) {
        if self.phase != Phase::Dealing {
            return;
        }
        for (rank, engine, standing) in self.ranks.failing() {
            if standing == Standing::GivenUp {
                self.ranks.engine_lost(rank, engine);
                out.push(Action::GiveServerUp { rank, engine });
            } else {
                self.ranks.restart_server(rank, engine);
                out.push(Action::RestartServer { rank, engine });
            }
        }
    }

    /// Deals pages whose failure is in doubt to servers that have not failed them. If there is none any more, the failure
    /// counts.
    pub(super) fn deal_doubted(&mut self, set_aside: &[RankId], now: Tick, out: &mut Vec<Action>) {
        for engine in self.policy.engines.iter() {
            let in_doubt = |page: PageRef| {
                let open = self.open.get(page).filter(|open| !open.given_up)?;
                Some((page, open.doubt.as_ref()?.failed_by.clone(), open.suspect.is_some()))
            };
            let pages: Vec<_> = self.waiting_apart(engine).filter_map(in_doubt).collect();
            for (page, failed_by, is_suspect) in pages {
                if let Some(last) = failed_by.last()
                    && !self.ranks.another_can_try(engine, &failed_by)
                {
                    self.apart.entry(engine).or_default().remove(&page);
                    self.believe(*last, engine, page, out);
                } else if !is_suspect && let Some(rank) = self.ranks.that_can_try(engine, &failed_by, set_aside) {
                    self.deal_apart(rank, engine, page, None, now, out);
                }
            }
        }
    }
}
