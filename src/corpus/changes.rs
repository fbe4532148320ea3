//! How the inputs have changed since they were planned.

use super::Plan;
use crate::model::DocumentId;

/// Names that a line shows before it counts the rest.
const SHOWN: usize = 3;

/// The changes that an update of a plan found. Ids are of the updated plan, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// New files.
    pub added: Vec<DocumentId>,
    /// Documents whose files have other bytes now; each with the document that replaces it.
    pub replaced: Vec<(DocumentId, DocumentId)>,
    /// Documents whose files no longer exist or can no longer be read. They stay planned or refused as before.
    pub vanished: Vec<DocumentId>,
    /// Documents whose files were found at another path.
    pub moved: Vec<DocumentId>,
    /// Documents that were refused before and can be read now, and folders that could not be listed before.
    pub mended: Vec<DocumentId>,
    /// See [`Changes::must_be_written`].
    pub(super) differs: bool,
}

impl Changes {
    /// Whether the updated plan differs from the plan before, even if only in a time or a reason.
    pub fn must_be_written(&self) -> bool {
        self.differs
    }

    /// One line for the user for each kind of change, with the number of documents and some names. `plan` is the
    /// updated plan.
    pub fn lines(&self, plan: &Plan) -> Vec<String> {
        let replaced: Vec<_> = self.replaced.iter().map(|(old, _)| *old).collect();
        let kinds = [
            (&self.added, "new"),
            (&replaced, "changed, to be read anew"),
            (&self.vanished, "gone from the inputs, their records are kept"),
            (&self.moved, "found at another path"),
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
