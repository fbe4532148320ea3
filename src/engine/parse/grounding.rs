//! DeepSeek-OCR's answer: `<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|>` followed by Markdown, once for
//! each block (`docs/facts/deepseek.md`, "Answer"); or, without grounding, Markdown alone.

use pulldown_cmark::{CowStr, Event, Options, Parser};

use crate::{
    engine::Dialect,
    model::{BBox, Block},
};

use super::{
    brackets::{escape_text, text_brackets},
    html::{Reading, escape, has_open_table},
    label,
};

const REF: &str = "<|ref|>";
const REF_END: &str = "<|/ref|>";
const DET: &str = "<|det|>";
const DET_END: &str = "<|/det|>";
/// Present where the request told the server to keep special tokens.
const END_OF_SENTENCE: &str = "<｜end▁of▁sentence｜>";

/// Parses an answer. With [`Dialect::Free`] the whole text is one block without a box. Otherwise text without any tag
/// is a fault. A table that is not closed is a fault in both cases.
pub fn parse(raw: &str, dialect: Dialect) -> Reading {
    let raw = raw.trim().trim_end_matches(END_OF_SENTENCE).trim();
    let mut reading = Reading::default();
    if raw.is_empty() {
        return reading;
    }
    let scale = match dialect {
        Dialect::Grounding { box_scale } | Dialect::Divs { box_scale } => box_scale,
        Dialect::Free => {
            reading.blocks.push(block("text", None, raw));
            reading.fault = open_table(&reading.blocks);
            return reading;
        }
    };
    let Some(first) = raw.find(REF) else {
        reading.fault = Some("the answer has no <|ref|> tag".into());
        return reading;
    };
    if !raw[..first].trim().is_empty() {
        reading.blocks.push(block("text", None, &raw[..first]));
    }
    for piece in raw[first..].split(REF).skip(1) {
        match parse_piece(piece, scale) {
            Ok(block) => reading.blocks.push(block),
            Err(fault) => {
                reading.fault = Some(fault);
                break;
            }
        }
    }
    reading.fault = reading.fault.or_else(|| open_table(&reading.blocks));
    reading
}

fn open_table(blocks: &[Block]) -> Option<String> {
    blocks.iter().any(|block| has_open_table(&block.html)).then(|| "a table is not closed".into())
}

/// `label<|/ref|><|det|>[[…]]<|/det|>` and the Markdown up to the next tag.
fn parse_piece(piece: &str, scale: u16) -> Result<Block, String> {
    let (label, rest) = piece.split_once(REF_END).ok_or("a <|ref|> tag is not closed")?;
    let rest = rest.trim_start().strip_prefix(DET).ok_or_else(|| format!("no <|det|> tag after `{label}`"))?;
    let (boxes, markdown) =
        rest.split_once(DET_END).ok_or_else(|| format!("the <|det|> tag of `{label}` is not closed"))?;
    let bbox = parse_boxes(boxes, scale).ok_or_else(|| format!("`{boxes}` are no coordinates of `{label}`"))?;
    Ok(block(label.trim(), Some(bbox), markdown))
}

/// Parses `[[x1, y1, x2, y2], …]` strictly, and joins several boxes. (DeepSeek's own code reads this with `eval`.)
fn parse_boxes(text: &str, scale: u16) -> Option<BBox> {
    let boxes: Vec<[f64; 4]> = serde_json::from_str(text.trim()).ok()?;
    boxes.into_iter().map(|coordinates| BBox::from_scale(coordinates, f64::from(scale))).reduce(|one, two| BBox {
        left: one.left.min(two.left),
        top: one.top.min(two.top),
        right: one.right.max(two.right),
        bottom: one.bottom.max(two.bottom),
    })
}

fn block(label: &str, bbox: Option<BBox>, markdown: &str) -> Block {
    Block { label: label::clean(chandra_label(label)), bbox, html: to_html(markdown.trim()) }
}

/// The label in Chandra's vocabulary; an unknown one stays as it is.
fn chandra_label(label: &str) -> &str {
    match label {
        "title" | "sub_title" => "Section-Header",
        "text" => "Text",
        "table" => "Table",
        "image" => "Image",
        "figure" => "Figure",
        "list" => "List-Group",
        "equation" | "formula" => "Equation-Block",
        "code" => "Code-Block",
        "image_caption" | "table_caption" | "figure_caption" | "code_caption" => "Caption",
        "footnote" | "table_footnote" | "image_footnote" | "page_footnote" => "Footnote",
        "header" => "Page-Header",
        "footer" | "page_number" => "Page-Footer",
        other => other,
    }
}

/// Converts Markdown to HTML. Tables come as HTML and stay; `\(…\)` and `\[…\]` become Chandra's `<math>`; a dollar
/// sign is text, and so is a `<` that opens no known tag: it makes no link and no HTML.
fn to_html(markdown: &str) -> String {
    let markdown = &*with_marked_brackets(markdown);
    let mut html = String::with_capacity(markdown.len() * 2);
    let mut rest = markdown;
    // CommonMark leaves the HTML of a table untouched, with the formulas in it. So tables are converted separately.
    while let Some(start) = rest.find("<table") {
        let end = rest[start..].find("</table>").map_or(rest.len(), |length| start + length + "</table>".len());
        html.push_str(&prose_to_html(&rest[..start]));
        html.push_str(&escape_text(&formulas_to_math(&rest[start..end])));
        rest = &rest[end..];
    }
    html.push_str(&prose_to_html(rest));
    html.trim().replace(LESS, "&lt;")
}

/// The Markdown with [`LESS`] for every `<` of the text. A `<` after a backslash is text already.
fn with_marked_brackets(markdown: &str) -> String {
    let mut marked = String::with_capacity(markdown.len());
    let mut copied = 0;
    for at in text_brackets(markdown) {
        let before = &markdown[copied..at];
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        if backslashes.is_multiple_of(2) {
            marked.push_str(before);
            marked.push(LESS);
            copied = at + 1;
        }
    }
    marked + &markdown[copied..]
}

/// Converts the formulas of an HTML fragment; its other text stays as it is.
fn formulas_to_math(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = rest.find("\\(").into_iter().chain(rest.find("\\[")).min() {
        let (open, close) = match rest.as_bytes()[start + 1] {
            b'(' => ("<math>", "\\)"),
            _ => ("<math display=\"block\">", "\\]"),
        };
        let Some(length) = rest[start + 2..].find(close) else { break };
        let latex = &rest[start + 2..start + 2 + length];
        out.push_str(&rest[..start]);
        out.push_str(&format!("{open}{}</math>", escape(latex.trim())));
        rest = &rest[start + 2 + length + 2..];
    }
    out.push_str(rest);
    out
}

fn prose_to_html(markdown: &str) -> String {
    // `\\` is a line break within a formula. It is replaced first, so that its second half is not read as `\(` or `\[`.
    let line_breaks = |text: &str| text.replace("\\\\", &LINE_BREAK.to_string());
    let markdown = line_breaks(markdown)
        .replace('$', "\\$")
        .replace("\\coloneqq", ":=")
        .replace("\\eqqcolon", "=:")
        .replace("\\(", "$")
        .replace("\\)", "$")
        .replace("\\[", "$$")
        .replace("\\]", "$$")
        .replace(LINE_BREAK, "\\\\");
    let events = Parser::new_ext(&markdown, Options::ENABLE_MATH | Options::ENABLE_TABLES).map(|event| match event {
        Event::InlineMath(latex) => math("<math>", &latex),
        Event::DisplayMath(latex) => math("<math display=\"block\">", &latex),
        other => other,
    });
    let mut html = String::with_capacity(markdown.len() * 2);
    pulldown_cmark::html::push_html(&mut html, events);
    html.trim().into()
}

/// A noncharacter of Unicode, never in text; stands for `\\` during the conversion.
const LINE_BREAK: char = '\u{FDD2}';

/// A noncharacter, too; stands for a `<` of the text.
const LESS: char = '\u{FDD4}';

fn math<'a>(open: &str, latex: &CowStr<'_>) -> Event<'a> {
    Event::InlineHtml(format!("{open}{}</math>", escape(latex.trim())).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUNDING: Dialect = Dialect::Grounding { box_scale: 999 };

    #[test]
    fn a_grounded_page_becomes_blocks() {
        let raw = "<|ref|>title<|/ref|><|det|>[[100, 50, 899, 99]]<|/det|>\n# BULLETIN OFFICIEL\n\n\
                   <|ref|>text<|/ref|><|det|>[[0, 100, 499, 999], [500, 100, 999, 400]]<|/det|>\nVu la loi \\(x_1 < 2\\) à 100 $ et 200 $\n\n\
                   <|ref|>table<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n<table><tr><td>12</td><td></td></tr></table>\n\n\
                   <|ref|>image<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n\n\
                   <|ref|>sceau<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nالمملكة المغربية<｜end▁of▁sentence｜>";
        let reading = parse(raw, GROUNDING);
        assert_eq!(reading.fault, None);
        let labels: Vec<&str> = reading.blocks.iter().map(|block| block.label.as_str()).collect();
        assert_eq!(labels, ["Section-Header", "Text", "Table", "Image", "sceau"]);
        let htmls: Vec<&str> = reading.blocks.iter().map(|block| block.html.as_str()).collect();
        assert_eq!(htmls[0], "<h1>BULLETIN OFFICIEL</h1>");
        assert_eq!(htmls[1], "<p>Vu la loi <math>x_1 &lt; 2</math> à 100 $ et 200 $</p>");
        assert_eq!(htmls[2], "<table><tr><td>12</td><td></td></tr></table>");
        assert_eq!(htmls[3], "");
        assert_eq!(htmls[4], "<p>المملكة المغربية</p>");
        assert_eq!(reading.blocks[1].bbox, Some(BBox { left: 0, top: 100, right: 1000, bottom: 1000 }));
    }

    #[test]
    fn dollars_and_formulas_survive_in_tables_and_in_text() {
        let table = [
            (
                "<table><tr><td>100 $</td><td>\\(x_1 < 2\\)</td></tr></table>",
                "<table><tr><td>100 $</td><td><math>x_1 &lt; 2</math></td></tr></table>",
            ),
            ("<table><tr><td>1</td></tr></table>\nprix : 5 $", "<table><tr><td>1</td></tr></table><p>prix : 5 $</p>"),
            ("\\[a \\\\[2pt] b\\]", "<p><math display=\"block\">a \\\\[2pt] b</math></p>"),
        ];
        for (markdown, expected) in table {
            assert_eq!(to_html(markdown), expected, "{markdown}");
        }
    }

    #[test]
    fn what_is_not_the_grammar_is_a_fault() {
        let whole = "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nun\n";
        for tail in [
            "<|ref|>te",
            "<|ref|>text<|/ref|>",
            "<|ref|>text<|/ref|><|det|>[[1, 2, 3",
            "<|ref|>text<|/ref|><|det|>[[1, 2, 3]]<|/det|>\nx",
            "<|ref|>text<|/ref|><|det|>[[__import__('os'), 2, 3, 4]]<|/det|>\nx",
            "<|ref|>text<|/ref|><|det|>[]<|/det|>\nx",
            "<|ref|>text<|/ref|><|det|>[[1e999, 2, 3, 4]]<|/det|>\nx",
        ] {
            let reading = parse(&format!("{whole}{tail}"), GROUNDING);
            assert!(reading.fault.is_some(), "{tail}");
            assert_eq!(reading.blocks.len(), 1, "{tail}");
        }
        assert!(parse("Plain text.", GROUNDING).fault.is_some());
        let table = "<|ref|>table<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n<table><tr><td>12</td>";
        assert!(
            parse(table, GROUNDING).fault.is_some() && parse("<table><tr><td>12</td>", Dialect::Free).fault.is_some()
        );
        assert_eq!(parse(table, GROUNDING).blocks.len(), 1);
    }

    #[test]
    fn free_text_is_one_block_where_it_was_asked_for() {
        let reading = parse("## Arrêté\n\nle texte", Dialect::Free);
        assert_eq!(reading.fault, None);
        assert_eq!(reading.blocks.len(), 1);
        assert_eq!(reading.blocks[0].html, "<h2>Arrêté</h2>\n<p>le texte</p>");
        assert_eq!(parse(" <｜end▁of▁sentence｜>", Dialect::Free), Reading::default());
    }

    #[test]
    fn text_before_the_first_tag_is_kept() {
        let reading = parse("avant\n<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\naprès", GROUNDING);
        assert_eq!(reading.blocks[0], Block { label: "Text".into(), bbox: None, html: "<p>avant</p>".into() });
    }
}
