//! What has happened to the inputs since they were planned.

use super::Plan;
use crate::model::DocumentId;

/// How many names a line shows.
const SHOWN: usize = 3;

/// What an update of a plan found. Ids are of the updated plan, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// New files.
    pub added: Vec<DocumentId>,
    /// Documents whose files hold other bytes now, with those that stand for these.
    pub replaced: Vec<(DocumentId, DocumentId)>,
    /// Documents whose files are gone, or cannot be read any more: planned or refused as before.
    pub vanished: Vec<DocumentId>,
    /// Documents whose files are found elsewhere.
    pub moved: Vec<DocumentId>,
    /// Documents that were refused and can be read now; also folders that could not be listed before.
    pub mended: Vec<DocumentId>,
    /// See [`Changes::must_be_written`].
    pub(super) differs: bool,
}

impl Changes {
    /// Whether the updated plan is another than the one before, be it only in a time or a reason.
    pub fn must_be_written(&self) -> bool {
        self.differs
    }

    /// For people: a line for each kind that there is, with its number and some names; `plan` is the updated one.
    pub fn lines(&self, plan: &Plan) -> Vec<String> {
        let replaced: Vec<_> = self.replaced.iter().map(|(old, _)| *old).collect();
        let kinds = [
            (&self.added, "new"),
            (&replaced, "changed, to be read anew"),
            (&self.vanished, "gone from the inputs, what was read of them is kept"),
            (&self.moved, "found in another place"),
            (&self.mended, "refused before, readable now"),
        ];
        kinds.iter().filter(|(ids, _)| !ids.is_empty()).map(|(ids, what)| line(ids, what, plan)).collect()
    }
}

/// `5 documents new: a.pdf, b.pdf, c.pdf and 2 more`.
fn line(ids: &[DocumentId], what: &str, plan: &Plan) -> String {
    let plural = if ids.len() == 1 { "" } else { "s" };
    let document = |id: &DocumentId| plan.documents.get(id.index()).map(|document| document.name.as_str());
    let names: Vec<_> = ids.iter().take(SHOWN).filter_map(document).collect();
    let more = match ids.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} document{plural} {what}: {}{more}", ids.len(), names.join(", "))
}
