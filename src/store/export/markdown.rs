//! Markdown of a document: the text of each page after a comment with the page number.

use std::fmt::{self, Write};

use super::{
    html,
    jsonl::{given_by, is_partial},
    options::ExportOptions,
};
use crate::model::{Document, PageRecord, Part, ServerKind};

/// Writes a whole document; `records` are its settled pages in order.
pub(super) fn document(
    document: &Document,
    records: &[PageRecord],
    options: &ExportOptions,
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let mut records = records.iter().peekable();
    for page in 0..document.pages() {
        match records.next_if(|record| record.page.page.0 == page) {
            Some(record) => self::page(&mut out, record, options)?,
            None => writeln!(out, "<!-- page {}: unsettled -->\n", page + 1)?,
        }
    }
    Ok(out)
}

fn page(out: &mut String, record: &PageRecord, options: &ExportOptions) -> fmt::Result {
    write!(out, "<!-- page {}", record.page.page.number())?;
    match record.verdict {
        crate::model::Verdict::Read => {}
        verdict => write!(out, ": {verdict}")?,
    }
    let given_by = given_by(record, record.parts.first());
    if options.partial && is_partial(record) {
        write!(out, ", partial text{}", given_by.map_or(String::new(), |given_by| format!(" of {}", given_by.engine)))?;
    }
    if let Some(server) = given_by.map(|given_by| given_by.server).filter(|server| *server != ServerKind::Model) {
        write!(out, " (by {})", server.name())?;
    }
    out.push_str(" -->\n\n");
    if html::is_text(record, options) {
        for part in &record.parts {
            let text = text(part, options);
            if !text.trim().is_empty() {
                write!(out, "{}\n\n", text.trim())?;
            }
        }
    }
    Ok(())
}

/// The Markdown of a part. It contains running heads and feet: if they are not wanted, the Markdown is made again from
/// the other blocks.
fn text(part: &Part, options: &ExportOptions) -> String {
    if options.headers || !part.blocks.iter().any(|block| block.is_header_or_footer()) {
        return part.markdown.clone();
    }
    let pieces = html::running(part, false).map(|block| (options.markdown)(block)).filter(|piece| !piece.is_empty());
    pieces.collect::<Vec<_>>().join("\n\n")
}
