//! Markdown, HTML and JSONL from a run directory.

mod html;
mod jsonl;
mod markdown;
mod names;
mod sanitise;
mod write;

pub use write::{ExportFormat, ExportOptions, ExportSummary, export};
