//! The assignment of a page on this rank. It does not change while the page is worked on.

use std::sync::Arc;

use super::super::context::Context;
use crate::model::{Document, EngineSet, FailureClass, PageRef, RecordPlace, Shown, Stage, Unit};

/// A page in progress on this rank.
pub(super) struct PageTask {
    pub(super) context: Arc<Context>,
    pub(super) unit: Unit,
    pub(super) page: PageRef,
    pub(super) stage: Stage,
    /// The engines that it may be given to. An engine with nothing left to try on an earlier stage is not among them.
    pub(super) remaining: EngineSet,
    /// Place of the page's record of an earlier start.
    pub(super) sealed: Option<RecordPlace>,
    /// The attempts of that record do not count: the page is read again from the start.
    pub(super) again: bool,
    /// Rank 0 has given the page up with this class: no engine is asked.
    pub(super) give_up: Option<FailureClass>,
}

impl PageTask {
    pub(super) fn document(&self) -> &Document {
        &self.context.documents[self.page.document.index()]
    }

    /// The id of a request, e.g. `BO_7500_Fr.p3.l17.a1.whole`, or `….a4.halves-2` for the second of several parts.
    /// `attempt` is the attempt's number in this start, from 1. The script of a stand-in finds its fault by the id. In
    /// the server's log the image's checksum follows: `….whole.i1a2b3c4d`.
    pub(super) fn request_id(&self, attempt: usize, shown: &Shown, parts: usize) -> String {
        let name = self.document().name.rsplit('/').next().unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let stem: String = stem.chars().map(plain).collect();
        let view = shown.view.name();
        let id = format!("{stem}.p{}.l{}.a{attempt}.{view}", self.page.page.number(), self.unit.lease.0);
        if parts == 1 { id } else { format!("{id}-{}", shown.part + 1) }
    }
}
