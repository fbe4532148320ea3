//! Exports the records of a run directory as Markdown, HTML and JSONL.

mod html;
mod jsonl;
mod markdown;
mod names;
mod options;
mod sanitise;
mod write;

pub use options::{ExportFormat, ExportOptions};
pub use write::{ExportSummary, export};
