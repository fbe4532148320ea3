//! The output of models is not trusted: every format of the export is made from sanitised HTML. Shards keep the
//! original.

use ammonia::Builder;

use crate::model::{Block, FORMULA_TAGS, Language, PageRecord, Part};

/// Tags of Chandra's HTML (`docs/facts/chandra.md`, "Answer") that the library does not allow by default, besides those
/// of formulas.
const TAGS: [&str; 3] = ["input", "u", "big"];

/// Allows tables with spans, superscripts, lists, formulas and check boxes. Removes scripts, styles, event handlers,
/// links that run or load something, and the sources of pictures, because a model has no picture to link to.
pub(super) struct Sanitiser {
    html: Builder<'static>,
    /// For pages in Arabic: the columns of their tables run from right to left.
    arabic: Builder<'static>,
    markdown: fn(&Block) -> String,
}

impl Sanitiser {
    /// `markdown` converts one block to Markdown.
    pub(super) fn new(markdown: fn(&Block) -> String) -> Self {
        let mut arabic = builder();
        arabic.set_tag_attribute_value("table", "dir", "rtl");
        Sanitiser { html: builder(), arabic, markdown }
    }
    /// The record with sanitised HTML and Markdown in its parts.
    pub(super) fn record(&self, record: PageRecord) -> PageRecord {
        self.with(&self.html, record)
    }

    /// The sanitised record as readers are to see it: tables of a page in Arabic from right to left.
    pub(super) fn with_direction(&self, record: PageRecord) -> PageRecord {
        if record.language == Language::Arabic { self.with(&self.arabic, record) } else { record }
    }

    fn with(&self, builder: &Builder<'_>, record: PageRecord) -> PageRecord {
        PageRecord { parts: record.parts.into_iter().map(|part| self.part(builder, part)).collect(), ..record }
    }

    fn part(&self, builder: &Builder<'_>, part: Part) -> Part {
        let clean = |html: &str| builder.clean(html).to_string();
        let clean_block = |block: Block| Block { html: clean(&block.html), ..block };
        let blocks: Vec<Block> = part.blocks.into_iter().map(clean_block).collect();
        let html = clean(&part.html);
        let whole = [Block { label: String::new(), bbox: None, html: html.clone() }];
        let pieces = if blocks.is_empty() { &whole[..] } else { &blocks };
        let pieces: Vec<String> = pieces.iter().map(self.markdown).filter(|piece| !piece.is_empty()).collect();
        Part { html, markdown: pieces.join("\n\n"), blocks, ..part }
    }
}

fn builder() -> Builder<'static> {
    let mut html = Builder::default();
    html.add_tags(TAGS)
        .add_tags(FORMULA_TAGS)
        .add_generic_attributes(["dir", "data-label", "data-bbox"])
        .add_tag_attributes("math", ["display"])
        .add_tag_attributes("input", ["type", "checked", "value"])
        .rm_tag_attributes("img", ["src"])
        .url_schemes(["http", "https", "mailto"].into())
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"));
    html
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Options, Parser, Tag};

    use super::*;

    fn clean(html: &str) -> String {
        builder().clean(html).to_string()
    }

    #[test]
    fn what_a_page_is_made_of_passes_unchanged() {
        for kept in [
            r#"<table><tbody><tr><td colspan="2" rowspan="3">المادة</td></tr></tbody></table>"#,
            "<math>x^2</math>",
            r#"<math display="block"><mfrac><mi>a</mi><mn>2</mn></mfrac></math>"#,
            "n<sup>o</sup> H<sub>2</sub>O <small>a</small> <big>b</big> <del>c</del>",
            "<chem>H2O</chem>",
            r#"<p dir="rtl">ظهير شريف</p>"#,
            r#"<input type="checkbox" checked="">"#,
            r#"<img alt="Sceau">"#,
            r#"<div data-label="Text" data-bbox="1 2 3 4">Vu la loi</div>"#,
        ] {
            assert_eq!(clean(kept), kept);
        }
    }

    const HOSTILE: &[&str] = &[
        "<p onclick=\"x()\">a</p>",
        "<script>alert(1)</script>",
        "<style>*{}</style>",
        "<p style=\"background:url(https://evil/)\">a</p>",
        "<a href=\"javascript:alert(1)\">b</a>",
        "<a href=\" jAvAsCrIpT:alert(1)\">b</a>",
        "<a href=\"data:text/html,evil\">b</a>",
        "<a href=\"//evil/\">b</a>",
        "<img src=\"https://evil/pixel.png\">",
        "<img src=x onerror=alert(1)>",
        "<img src=\"data:image/png;base64,evil\">",
        "<iframe src=\"https://evil/\"></iframe>",
        "<svg onload=alert(1)><script>alert(1)</script></svg>",
        "<form action=\"https://evil/\"><input type=\"image\" src=\"https://evil/\" onfocus=alert(1)></form>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></table></math>",
        "<table background=\"https://evil/\"><tr><td onmouseover=alert(1)>1</td></tr></table>",
    ];

    /// Harmless as HTML; a wrong conversion to Markdown makes tags of them.
    const HOSTILE_IN_MARKDOWN: &[&str] = &[
        "<p>&lt;<span>img src=x onerror=alert(1)&gt;</span></p>",
        "<p>&lt;<u></u>img src=x onerror=alert(1)&gt;</p>",
        "<p>\\&lt;<b></b>img src=x onerror=alert(1)&gt;</p>",
        "<p>`&lt;img src=x onerror=alert(1)&gt;`</p><code>`&lt;img src=x onerror=alert(1)&gt;</code>",
        "<chem>&lt;</chem>img src=x onerror=alert(1)>",
        "<input type=\"text\" value=\"\\&lt;img src=x onerror=alert(1)&gt;\">",
        "<input type=\"text\" value=\"`\"><p>&lt;img src=x onerror=alert(1)&gt;`</p>",
        "<a href=\"http://x/> <script src=https://evil/></script>\">b</a>",
        "<a href=\"http://x/\" title='\"> <img src=x onerror=alert(1)>'>b</a>",
        "<img alt=\"]\\](x) &lt;img src=x onerror=alert(1)&gt;\">",
        "<sup>&lt;</sup>img src=x onerror=alert(1)>",
        "<p>[b](javascript:alert(1))</p>",
        "<p>&#xFDD3;img src=x onerror=alert(1)&gt;</p>",
        "<math>&lt;</math>img src=x onerror=alert(1)>",
    ];

    #[test]
    fn what_runs_or_loads_something_does_not_pass() {
        for hostile in HOSTILE {
            let clean = clean(hostile).to_lowercase();
            for gone in ["script", "alert", "onclick", "onerror", "onload", "style", "evil", "iframe", "<form"] {
                let escaped = clean.replace("&lt;img src=x onerror=alert(1)&gt;", "");
                assert!(!escaped.contains(gone), "{gone} in {clean} of {hostile}");
            }
        }
    }

    #[test]
    fn nothing_that_runs_or_loads_something_comes_back_in_the_markdown() {
        for hostile in HOSTILE.iter().chain(HOSTILE_IN_MARKDOWN) {
            let html = clean(hostile);
            let block = Block { label: "Text".into(), bbox: None, html };
            let markdown = crate::engine::block_to_markdown(&block);
            let mut live = String::new();
            for event in Parser::new_ext(&markdown, Options::all()) {
                match event {
                    Event::Html(html) | Event::InlineHtml(html) => live.push_str(&html),
                    Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => live.push_str(&dest_url),
                    _ => {}
                }
            }
            for gone in ["<img", "script", "alert", "onerror", "evil"] {
                assert!(!live.to_lowercase().contains(gone), "{gone} in {markdown} of {hostile}");
            }
        }
    }
}
