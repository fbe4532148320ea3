//! HTML of a document: one `<section data-page>` a page, sanitised.

use std::fmt::{self, Write};

use ammonia::Builder;

use super::{
    jsonl::{given_by, is_partial},
    write::ExportOptions,
};
use crate::model::{Block, Document, Language, PageRecord, Part, ServedBy, Verdict};

/// Sanitises engine output. Tables with spans, superscripts, lists and the `<math>`, `<chem>` and check boxes of
/// Chandra's dialect survive; scripts, styles, event handlers and foreign links' opener do not.
pub(super) struct Sanitiser(Builder<'static>);

impl Sanitiser {
    pub(super) fn new() -> Self {
        let mut builder = Builder::default();
        builder
            .add_tags([
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
                "input",
                "u",
            ])
            .add_generic_attributes(["dir"])
            .add_tag_attributes("math", ["display"])
            .add_tag_attributes("input", ["type", "checked", "value"])
            .link_rel(Some("noopener noreferrer nofollow"));
        Sanitiser(builder)
    }

    pub(super) fn clean(&self, html: &str) -> String {
        self.0.clean(html).to_string()
    }
}

/// The page's blocks without running heads and feet, unless asked for.
pub(super) fn running(part: &Part, headers: bool) -> impl Iterator<Item = &Block> {
    part.blocks.iter().filter(move |block| headers || !block.is_header_or_footer())
}

/// Whether a page's text belongs in the running text: that of a failed page is kept in JSONL and in the shard only.
pub(super) fn is_text(record: &PageRecord, options: &ExportOptions) -> bool {
    match record.verdict {
        Verdict::Read => true,
        Verdict::Blank => false,
        Verdict::Failed(_) => options.partial,
    }
}

/// Writes a whole document; `records` are its settled pages in order.
pub(super) fn document(
    document: &Document,
    records: &[PageRecord],
    options: &ExportOptions,
    sanitiser: &Sanitiser,
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let language = main_language(records);
    writeln!(out, "<!DOCTYPE html>\n<html{}>", language_attributes(language))?;
    writeln!(out, "<head>\n<meta charset=\"utf-8\">\n<title>{}</title>\n</head>\n<body>", escape(&document.name))?;
    let mut records = records.iter().peekable();
    for page in 0..document.pages() {
        match records.next_if(|record| record.page.page.0 == page) {
            Some(record) => section(&mut out, record, options, sanitiser)?,
            None => writeln!(out, "<section data-page=\"{}\" data-verdict=\"unsettled\"></section>", page + 1)?,
        }
    }
    out.push_str("</body>\n</html>\n");
    Ok(out)
}

fn section(out: &mut String, record: &PageRecord, options: &ExportOptions, sanitiser: &Sanitiser) -> fmt::Result {
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
    writeln!(out, "{}>", language_attributes(record.language))?;
    if is_text(record, options) {
        for part in &record.parts {
            if part.blocks.is_empty() && !part.html.is_empty() {
                writeln!(out, "{}", sanitiser.clean(&part.html))?;
            }
            for block in running(part, options.headers) {
                writeln!(out, "<div data-label=\"{}\">{}</div>", escape(&block.label), sanitiser.clean(&block.html))?;
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

/// The language of most pages that have one.
fn main_language(records: &[PageRecord]) -> Language {
    let pages = |language| records.iter().filter(|record| record.language == language).count();
    let languages = [Language::French, Language::Arabic, Language::Mixed];
    let main = languages.into_iter().max_by_key(|language| pages(*language));
    main.filter(|language| pages(*language) > 0).unwrap_or(Language::Unknown)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_maths_and_scripts_survive_and_dangers_do_not() {
        let sanitiser = Sanitiser::new();
        for kept in [
            r#"<table><tbody><tr><td colspan="2" rowspan="3">المادة</td></tr></tbody></table>"#,
            "<math>x^2</math>",
            r#"<math display="block"><mfrac><mi>a</mi><mn>2</mn></mfrac></math>"#,
            "n<sup>o</sup> H<sub>2</sub>O",
            "<chem>H2O</chem>",
            r#"<p dir="rtl">ظهير شريف</p>"#,
        ] {
            assert_eq!(sanitiser.clean(kept), kept);
        }
        let hostile = r#"<p onclick="x()">a<script>alert(1)</script><style>*{}</style><a href="javascript:x">b</a></p>
            <math><mtext><table><mglyph><style><img src=x onerror=alert(1)></table></math>"#;
        let clean = sanitiser.clean(hostile);
        for gone in ["script", "onclick", "onerror", "<style"] {
            assert!(!clean.contains(gone), "{gone} in {clean}");
        }
    }
}
