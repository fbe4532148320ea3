//! Blocks: the common form of an answer of any engine.

use serde::{Deserialize, Serialize};

use super::BBox;

/// A piece of a page in reading order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The label in Chandra's vocabulary (`Text`, `Section-Header`, `Table`, `Page-Header`, …). An unknown label is
    /// kept unchanged.
    pub label: String,
    /// Its place on the page; `None` if the engine gave no usable box.
    pub bbox: Option<BBox>,
    /// Inner HTML as the engine wrote it. It is not sanitised; the export does that.
    pub html: String,
}

impl Block {
    /// Whether this is a page header or footer. Both are kept in JSONL and left out of running text.
    pub fn is_header_or_footer(&self) -> bool {
        matches!(self.label.as_str(), "Page-Header" | "Page-Footer")
    }
}
