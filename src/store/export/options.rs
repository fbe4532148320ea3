//! The options of an export.

use std::{num::NonZeroUsize, path::PathBuf};

use crate::model::Block;

/// A format of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum ExportFormat {
    /// Markdown, one file for each document.
    Md,
    /// HTML, one file for each document.
    Html,
    /// JSON lines, one file for each document, one line for each part of a page.
    Jsonl,
}

impl ExportFormat {
    /// All formats.
    pub const ALL: [ExportFormat; 3] = [Self::Md, Self::Html, Self::Jsonl];

    /// The name of the format's folder and the ending of its files.
    pub fn ending(self) -> &'static str {
        match self {
            ExportFormat::Md => "md",
            ExportFormat::Html => "html",
            ExportFormat::Jsonl => "jsonl",
        }
    }
}

/// The options of an export.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// The formats to write.
    pub formats: Vec<ExportFormat>,
    /// The folder for `documents.jsonl` and a folder for each format.
    pub output: PathBuf,
    /// Whether Markdown and HTML have running heads and feet too; JSONL always has them.
    pub headers: bool,
    /// Whether Markdown and HTML have the partial text of failed pages too; JSONL always has it.
    pub partial: bool,
    /// Number of threads that format documents.
    pub threads: NonZeroUsize,
    /// Converts one block to Markdown, because Markdown is made again from sanitised HTML. The function is in the
    /// module `engine`.
    pub markdown: fn(&Block) -> String,
}
