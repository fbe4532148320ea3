//! What is exported, and how.

use std::{num::NonZeroUsize, path::PathBuf};

use crate::model::Block;

/// A form of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum ExportFormat {
    /// Markdown, a file a document.
    Md,
    /// HTML, a file a document.
    Html,
    /// JSON lines, a file a document, a line for each part of a page.
    Jsonl,
}

impl ExportFormat {
    /// All forms.
    pub const ALL: [ExportFormat; 3] = [Self::Md, Self::Html, Self::Jsonl];

    /// Name of its folder and ending of its files.
    pub fn ending(self) -> &'static str {
        match self {
            ExportFormat::Md => "md",
            ExportFormat::Html => "html",
            ExportFormat::Jsonl => "jsonl",
        }
    }
}

/// What is exported, and how.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// The forms wanted.
    pub formats: Vec<ExportFormat>,
    /// Folder that gets a folder for each form, and `documents.jsonl`.
    pub output: PathBuf,
    /// Running heads and feet in Markdown and HTML too; JSONL always has them.
    pub headers: bool,
    /// The partial text of failed pages in Markdown and HTML too; JSONL always has it.
    pub partial: bool,
    /// Threads that format documents.
    pub threads: NonZeroUsize,
    /// One block as Markdown: the stored Markdown is made anew of sanitised HTML. The module `engine` has the function.
    pub markdown: fn(&Block) -> String,
}
