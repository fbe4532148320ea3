//! DeepSeek-OCR's answer: `<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|>` followed by Markdown, once for
//! each block (`docs/facts/deepseek.md`, "Answer").

use crate::{
    engine::Formulas,
    model::{BBox, Block},
};

use super::{
    html::{Reading, has_open_table},
    label, prose,
};

const REF: &str = "<|ref|>";
const REF_END: &str = "<|/ref|>";
const DET: &str = "<|det|>";
const DET_END: &str = "<|/det|>";
/// Present where the request told the server to keep special tokens.
const END_OF_SENTENCE: &str = "<｜end▁of▁sentence｜>";

/// Parses an answer whose boxes run from 0 to `box_scale`. Text without any tag is a fault, and so is a table that is
/// not closed.
pub fn parse(raw: &str, box_scale: u16) -> Reading {
    let raw = raw.trim().trim_end_matches(END_OF_SENTENCE).trim();
    let mut reading = Reading::default();
    if raw.is_empty() {
        return reading;
    }
    let Some(first) = raw.find(REF) else {
        reading.fault = Some("the answer has no <|ref|> tag".into());
        return reading;
    };
    if !raw[..first].trim().is_empty() {
        reading.blocks.push(block("text", None, &raw[..first]));
    }
    for piece in raw[first..].split(REF).skip(1) {
        match parse_piece(piece, box_scale) {
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
    Block { label: label::clean(label::common(label)), bbox, html: prose::to_html(markdown.trim(), Formulas::Brackets) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUNDING: u16 = 999;

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
        assert!(parse(table, GROUNDING).fault.is_some());
        assert_eq!(parse(table, GROUNDING).blocks.len(), 1);
    }

    #[test]
    fn text_before_the_first_tag_is_kept() {
        let reading = parse("avant\n<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\naprès", GROUNDING);
        assert_eq!(reading.blocks[0], Block { label: "Text".into(), bbox: None, html: "<p>avant</p>".into() });
    }
}
