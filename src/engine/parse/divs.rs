//! Chandra's answer: a flat sequence of `<div data-bbox=… data-label=…>inner HTML</div>` (`docs/facts/chandra.md`,
//! "Answer").

use html5gum::{HtmlString, Token};

use crate::model::{BBox, Block};

use super::{
    brackets::{cut_tag, escape_text},
    html::{Reading, has_open_table, text_of, tokens},
    label,
};

/// Parses an answer whose boxes run from 0 to `box_scale`.
///
/// Only top-level divs count, and each keeps its inner HTML; what opens no known tag is escaped, because it is text of
/// the page. Boxes are read leniently (`docs/facts/chandra.md`, "Boxes"), labels are kept but for control characters and excess length. A last div that is
/// not closed is a fault, and is not repaired: the answer was cut. Its content is kept, for a page of which there is
/// nothing better. The same holds for a table that is not closed.
pub fn parse(answer: &str, box_scale: u16) -> Reading {
    let cut = cut_tag(answer);
    let raw = &*escape_text(&answer[..cut.unwrap_or(answer.len())]);
    let mut reading = Reading::default();
    let mut depth = 0_usize;
    let mut open: Option<OpenDiv> = None;
    for token in tokens(raw) {
        match token {
            Token::StartTag(tag) if tag.name.as_slice() == b"div" => {
                if depth == 0 {
                    let attribute = |name: &[u8]| tag.attributes.get(name).map(|value| text(&value.value));
                    let bbox = attribute(b"data-bbox").and_then(|value| parse_box(&value, box_scale));
                    open = Some(OpenDiv { label: attribute(b"data-label"), bbox, inner: tag.span.end });
                }
                depth += 1;
            }
            Token::EndTag(tag) if tag.name.as_slice() == b"div" => {
                depth = depth.saturating_sub(1);
                if depth == 0
                    && let Some(div) = open.take()
                {
                    div.close(&raw[div.inner..tag.span.start], &mut reading);
                }
            }
            Token::String(string) if depth == 0 => reading.stray += text(&string.value).trim().chars().count(),
            _ => {}
        }
    }
    if let Some(div) = &open {
        let inner = &raw[div.inner..];
        if !inner.trim().is_empty() {
            div.close(inner, &mut reading);
        }
    }
    reading.fault = fault(raw, &reading, open.as_ref(), cut.is_some());
    reading
}

/// Most characters outside every block, such as a code fence around the answer. More would be text of the page that no
/// block holds and that would be lost.
const STRAY_LIMIT: usize = 40;

struct OpenDiv {
    label: Option<String>,
    bbox: Option<BBox>,
    inner: usize,
}

impl OpenDiv {
    fn close(&self, inner: &str, reading: &mut Reading) {
        let label = self.label.as_deref().map_or("Text", str::trim);
        if label == "Blank-Page" && text_of(inner).trim().is_empty() {
            reading.blank = true;
        } else {
            reading.blocks.push(Block { label: label::clean(label), bbox: self.bbox, html: inner.trim().into() });
        }
    }
}

fn fault(raw: &str, reading: &Reading, open: Option<&OpenDiv>, in_tag: bool) -> Option<String> {
    if let Some(div) = open {
        return Some(format!(
            "the {} block at byte {} is not closed",
            div.label.as_deref().unwrap_or("last"),
            div.inner
        ));
    }
    if in_tag {
        return Some("the answer ends within a tag".into());
    }
    if !raw.trim().is_empty() && reading.blocks.is_empty() && !reading.blank {
        return Some("the answer has no top-level div".into());
    }
    if let Some(block) = reading.blocks.iter().find(|block| has_open_table(&block.html)) {
        return Some(format!("a table in the {} block is not closed", block.label));
    }
    (reading.stray > STRAY_LIMIT).then(|| format!("{} characters are outside of every block", reading.stray))
}

/// Reads four numbers, whatever is between them: `[1, 2, 3, 4]`, `1 2 3 4`, floats, doubled spaces.
fn parse_box(value: &str, scale: u16) -> Option<BBox> {
    let numbers: Vec<f64> = value
        .split(|c: char| c.is_whitespace() || "[](),;".contains(c))
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().ok().filter(|number: &f64| number.is_finite()))
        .collect::<Option<_>>()?;
    let coordinates: [f64; 4] = numbers.try_into().ok()?;
    Some(BBox::from_scale(coordinates, f64::from(scale)))
}

fn text(bytes: &HtmlString) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bbox(left: u16, top: u16, right: u16, bottom: u16) -> Option<BBox> {
        Some(BBox { left, top, right, bottom })
    }

    #[test]
    fn text_that_no_block_holds_is_a_fault_and_so_is_a_blank_page_with_text() {
        let outside = "<div data-bbox=\"0 0 1 1\" data-label=\"Text\"><p>un</p></div>";
        let long = "un texte de la page qui se trouve hors de tout bloc";
        assert!(parse(&format!("{outside}<p>{long}</p></div>"), 1000).fault.is_some());
        let blank = "<div data-bbox=\"0 0 1 1\" data-label=\"Blank-Page\"></div>";
        assert!(parse(blank, 1000).blank);
        assert!(parse(&format!("{blank}{long}"), 1000).fault.is_some());
        let full = parse("<div data-bbox=\"0 0 1 1\" data-label=\"Blank-Page\"><p>du texte</p></div>", 1000);
        assert!(!full.blank && full.blocks.len() == 1, "{full:?}");
    }

    #[test]
    fn both_box_dialects_are_read_leniently() {
        let table = [
            ("[0, 512, 1024, 1024]", 1024, bbox(0, 500, 1000, 1000)),
            ("100 200 900 300", 1000, bbox(100, 200, 900, 300)),
            ("[100,200,900,300]", 1000, bbox(100, 200, 900, 300)),
            ("100.4  200.0, 900 300 ", 1000, bbox(100, 200, 900, 300)),
            ("900 300 100 200", 1000, bbox(100, 200, 900, 300)),
            ("-5 0 2000 10", 1000, bbox(0, 0, 1000, 10)),
            ("1 2 3", 1000, None),
            ("1 2 3 4 5", 1000, None),
            ("a b c d", 1000, None),
            ("NaN 1 2 3", 1000, None),
            ("", 1000, None),
        ];
        for (text, scale, expected) in table {
            assert_eq!(parse_box(text, scale), expected, "{text}");
        }
    }

    #[test]
    fn a_page_becomes_blocks_with_their_exact_inner_html() {
        let raw = "<div data-bbox=\"[80, 40, 940, 90]\" data-label=\"Page-Header\">BULLETIN OFFICIEL</div>\r\n\
                   <div data-label='Text' data-bbox='[80,100,500,900]'><p>Vu la loi n° 5-96 &amp; l’article</p>\n\
                   <div class=\"x\"><b>niché</b></div></div>\
                   <DIV data-bbox=\"1 2 3 4\" data-label=\"Sceau\"><img alt=\"a > b\"/></DIV>\n\
                   <div data-bbox=\"oops\"><p>sans label</p></div>";
        let reading = parse(raw, 1024);
        assert_eq!(reading.fault, None);
        assert_eq!(reading.stray, 0);
        let labels: Vec<&str> = reading.blocks.iter().map(|block| block.label.as_str()).collect();
        assert_eq!(labels, ["Page-Header", "Text", "Sceau", "Text"]);
        assert_eq!(
            reading.blocks[1].html,
            "<p>Vu la loi n° 5-96 &amp; l’article</p>\n<div class=\"x\"><b>niché</b></div>"
        );
        assert_eq!(reading.blocks[2].html, "<img alt=\"a > b\"/>");
        assert_eq!(reading.blocks[3].bbox, None);
    }

    #[test]
    fn a_cut_answer_is_a_fault_and_keeps_what_it_had() {
        let whole = "<div data-bbox=\"1 2 3 4\" data-label=\"Text\"><p>un</p></div>";
        for (tail, last) in [
            ("<div data-bbox=\"1 2 3 4\" data-label=\"Table\"><table><tr><td>de", "<table><tr><td>de"),
            ("<div data-bbox=\"1 2", "<p>un</p>"),
            ("<div data-bbox=\"1 2 3 4\" data-label=\"Text\">", "<p>un</p>"),
            ("<div data-bbox=\"1 2 3 4\" data-label=\"Text\"><p>deux</p></d", "<p>deux</p>"),
        ] {
            let reading = parse(&format!("{whole}\n{tail}"), 1000);
            assert!(reading.fault.is_some(), "{tail}");
            assert_eq!(reading.blocks.last().unwrap().html, last, "{tail}");
        }
    }

    #[test]
    fn a_table_without_an_end_in_a_closed_div_is_a_fault() {
        let table = |html: &str| parse(&format!("<div data-bbox=\"1 2 3 4\" data-label=\"Table\">{html}</div>"), 1000);
        let open = table("<table><tr><td>1</td></tr>");
        assert_eq!(open.fault.as_deref(), Some("a table in the Table block is not closed"));
        assert_eq!(open.blocks.len(), 1, "its text is kept for the best partial answer");
        assert_eq!(table("<table><tr><td>1<td>2</table>").fault, None, "cells and rows need no end");
    }

    #[test]
    fn blank_and_foreign_answers() {
        let blank = parse("<div data-bbox=\"0 0 1000 1000\" data-label=\"Blank-Page\"></div>", 1000);
        assert!(blank.blank && blank.blocks.is_empty() && blank.fault.is_none());
        assert!(parse("I am sorry, I cannot read this page.", 1000).fault.is_some());
        assert!(parse("", 1000).fault.is_none(), "nothing at all is the judge's matter");
        let noted =
            parse("```html\n<div data-bbox=\"0 0 9 9\" data-label=\"Text\">the text of the page</div>\n```", 1000);
        assert_eq!((noted.fault, noted.stray), (None, 10));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_blocks_are_slices(raw in "(<div data-bbox=\"1 2 3 4\" data-label=\"Text\">|</div>|<p>|é&amp;|\r\n|<!--|-->|<|>|نص|\u{0}|\"){0,30}") {
            let escaped = escape_text(&raw[..cut_tag(&raw).unwrap_or(raw.len())]);
            for block in parse(&raw, 1000).blocks {
                prop_assert!(escaped.contains(&block.html));
            }
        }
    }
}
