//! Markdown, HTML and JSONL from a run directory.

mod html;
mod jsonl;
mod markdown;
mod names;
mod options;
mod sanitise;
mod write;

pub use options::{ExportFormat, ExportOptions};
pub use write::{ExportSummary, export};
