//! HTML of a document: one `<section data-page>` for each page.

use std::fmt::{self, Write};

use super::{
    jsonl::{given_by, is_partial},
    options::ExportOptions,
};
use crate::model::{Block, Document, Language, PageRecord, Part, ServedBy, Verdict};

/// The blocks of a part; running heads and feet only if `headers` is set.
pub(super) fn running(part: &Part, headers: bool) -> impl Iterator<Item = &Block> {
    part.blocks.iter().filter(move |block| headers || !block.is_header_or_footer())
}

/// Whether a page's text is exported as HTML and Markdown. The text of a failed page is by default only in the JSONL
/// and in the shard.
pub(super) fn is_text(record: &PageRecord, options: &ExportOptions) -> bool {
    match record.verdict {
        Verdict::Read | Verdict::Incomplete => true,
        Verdict::Blank => false,
        Verdict::Failed(_) => options.partial,
    }
}

/// Writes a whole document; `records` are its settled pages in order.
pub(super) fn document(
    document: &Document,
    records: &[PageRecord],
    options: &ExportOptions,
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let language = main_language(records);
    writeln!(out, "<!DOCTYPE html>\n<html{}>", language_attributes(language))?;
    writeln!(out, "<head>\n<meta charset=\"utf-8\">\n<title>{}</title>\n</head>\n<body>", escape(&document.name))?;
    let mut records = records.iter().peekable();
    for page in 0..document.pages() {
        match records.next_if(|record| record.page.page.0 == page) {
            Some(record) => section(&mut out, record, options)?,
            None => writeln!(out, "<section data-page=\"{}\" data-verdict=\"unsettled\"></section>", page + 1)?,
        }
    }
    out.push_str("</body>\n</html>\n");
    Ok(out)
}

fn section(out: &mut String, record: &PageRecord, options: &ExportOptions) -> fmt::Result {
    write!(out, "<section data-page=\"{}\" data-verdict=\"{}\"", record.page.page.number(), record.verdict.name())?;
    if let Some(class) = record.verdict.class() {
        write!(out, " data-class=\"{class}\"")?;
    }
    if let Some(ServedBy { engine, server, .. }) = given_by(record, record.parts.first()) {
        write!(out, " data-engine=\"{engine}\" data-server=\"{}\"", server.name())?;
    }
    if options.partial && is_partial(record) {
        write!(out, " data-partial=\"true\"")?;
    }
    let remarks = record.parts.iter().map(|part| record.remark_on(part)).filter(|remark| !remark.is_empty());
    let remarks = remarks.collect::<Vec<_>>().join("; ");
    if !remarks.is_empty() {
        write!(out, " data-remark=\"{}\"", escape(&remarks))?;
    }
    writeln!(out, "{}>", language_attributes(record.language))?;
    if is_text(record, options) {
        for part in &record.parts {
            if part.blocks.is_empty() && !part.html.is_empty() {
                writeln!(out, "{}", part.html)?;
            }
            for block in running(part, options.headers) {
                // Its first letter decides: pages have blocks in both languages.
                writeln!(out, "<div data-label=\"{}\" dir=\"auto\">{}</div>", escape(&block.label), block.html)?;
            }
        }
    }
    out.push_str("</section>\n");
    Ok(())
}

fn language_attributes(language: Language) -> &'static str {
    match language {
        Language::Arabic => " lang=\"ar\" dir=\"rtl\"",
        Language::French => " lang=\"fr\"",
        Language::Mixed => " dir=\"auto\"",
        Language::Unknown => "",
    }
}

/// The most frequent language of the pages that have one.
fn main_language(records: &[PageRecord]) -> Language {
    let pages = |language| records.iter().filter(|record| record.language == language).count();
    let languages = [Language::French, Language::Arabic, Language::Mixed];
    let main = languages.into_iter().max_by_key(|language| pages(*language));
    main.filter(|language| pages(*language) > 0).unwrap_or(Language::Unknown)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
