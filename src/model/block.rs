//! Blocks: the common form of an answer of any engine.

use serde::{Deserialize, Serialize};

use super::BBox;

/// Elements of MathML and of chemical formulas that engines write.
pub const FORMULA_TAGS: [&str; 21] = [
    "math",
    "semantics",
    "mrow",
    "mi",
    "mn",
    "mo",
    "ms",
    "mspace",
    "msub",
    "msup",
    "msubsup",
    "mfrac",
    "msqrt",
    "mroot",
    "mover",
    "munder",
    "munderover",
    "mtable",
    "mtr",
    "mtd",
    "chem",
];

/// A piece of a page in reading order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The label in Chandra's vocabulary (`Text`, `Section-Header`, `Table`, `Page-Header`, …). An unknown label is
    /// kept unchanged.
    pub label: String,
    /// Its place on the page; `None` if the engine gave no usable box.
    pub bbox: Option<BBox>,
    /// Inner HTML as the engine wrote it, but that a `<` or `&` of the text is escaped. It is not sanitised; the export
    /// does that.
    pub html: String,
}

impl Block {
    /// Whether this is a page header or footer. Both are kept in JSONL and left out of running text.
    pub fn is_header_or_footer(&self) -> bool {
        matches!(self.label.as_str(), "Page-Header" | "Page-Footer")
    }
}
