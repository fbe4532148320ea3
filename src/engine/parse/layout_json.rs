//! The answer of dots.ocr and its kin: a JSON list of elements with box, category and text
//! (`docs/facts/engines.md`, "Layout JSON").

use serde::Deserialize;
use serde_json::Value;

use crate::{
    engine::Formulas,
    model::{BBox, Block, PixelSize},
};

use super::{
    brackets::escape_text,
    html::{Reading, escape, has_open_table},
    label, prose,
};

/// An element as the models write it, with the names that the kin of dots.ocr give its fields.
#[derive(Debug, Deserialize)]
struct Element {
    #[serde(default, alias = "bbox_2d")]
    bbox: Value,
    #[serde(default, alias = "label", alias = "type")]
    category: Value,
    #[serde(default, alias = "content")]
    text: Value,
}

/// Parses an answer whose boxes run from 0 to `box_scale`; without it they are pixels of the sent `image`.
///
/// An empty list is a blank page. What is no element, or a list without an end, is a fault: the blocks before it are
/// kept, and the text of a last element that was cut.
pub fn parse(answer: &str, box_scale: Option<u16>, image: PixelSize) -> Reading {
    let mut reading = Reading::default();
    let text = without_fence(answer.trim());
    if text.is_empty() {
        return reading;
    }
    let list = text.strip_prefix('[').map(str::trim_start);
    let mut rest = list.unwrap_or(text);
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if !rest.starts_with('{') {
            break;
        }
        let mut elements = serde_json::Deserializer::from_str(rest).into_iter::<Element>();
        match elements.next() {
            Some(Ok(element)) => {
                rest = &rest[elements.byte_offset()..];
                reading.blocks.push(block(&element, box_scale, image));
            }
            Some(Err(error)) => {
                let element = reading.blocks.len() + 1;
                reading.blocks.extend(cut_element(rest));
                reading.fault = Some(format!("element {element} is not whole JSON: {error}"));
                return reading;
            }
            None => break,
        }
    }
    let behind = match (list, rest.strip_prefix(']')) {
        (Some(_), Some(behind)) => behind,
        (Some(_), None) => {
            reading.fault = Some("the list of elements has no end".into());
            rest
        }
        (None, _) if reading.blocks.is_empty() => {
            reading.fault = Some("the answer is no list of elements".into());
            rest
        }
        (None, _) => rest,
    };
    if !behind.trim().is_empty() {
        reading.fault.get_or_insert_with(|| "text follows the list of elements".into());
        reading.blocks.push(text_block("Text", None, behind));
    }
    reading.blank = reading.blocks.is_empty() && reading.fault.is_none();
    let open = reading.blocks.iter().any(|block| has_open_table(&block.html));
    reading.fault = reading.fault.or_else(|| open.then(|| "a table is not closed".into()));
    reading
}

/// The text without a code fence around it.
fn without_fence(text: &str) -> &str {
    let inner = || Some(text.strip_prefix("```")?.split_once('\n')?.1.trim_end_matches('`').trim());
    inner().unwrap_or(text)
}

fn block(element: &Element, box_scale: Option<u16>, image: PixelSize) -> Block {
    let label = label::clean(label::common(element.category.as_str().unwrap_or("Text")));
    let bbox = coordinates(&element.bbox).map(|[x0, y0, x1, y1]| match box_scale {
        Some(scale) => BBox::from_scale([x0, y0, x1, y1], f64::from(scale)),
        None => {
            let (width, height) = (f64::from(image.width.max(1)), f64::from(image.height.max(1)));
            BBox::from_scale([x0 / width, y0 / height, x1 / width, y1 / height], 1.0)
        }
    });
    let text = match &element.text {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    text_block(&label, bbox, &text)
}

/// The block of an element's text: LaTeX for a formula, HTML for a table, Markdown for all else.
fn text_block(label: &str, bbox: Option<BBox>, text: &str) -> Block {
    let text = text.trim();
    let html = match label {
        "Equation-Block" => math(text),
        "Table" if text.starts_with("<table") => escape_text(text).into_owned(),
        _ => prose::to_html(text, Formulas::Dollars),
    };
    Block { label: label.into(), bbox, html }
}

/// LaTeX without the signs that enclose it.
fn math(latex: &str) -> String {
    let enclosed = |open: &str, close: &str| latex.strip_prefix(open)?.strip_suffix(close);
    let inner = [("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$")]
        .iter()
        .find_map(|(open, close)| enclosed(open, close));
    let latex = inner.unwrap_or(latex).trim();
    if latex.is_empty() { String::new() } else { format!("<math display=\"block\">{}</math>", escape(latex)) }
}

fn coordinates(value: &Value) -> Option<[f64; 4]> {
    let numbers: Vec<f64> = value.as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// The text of an element that was cut within it.
fn cut_element(json: &str) -> Option<Block> {
    let (_, behind) = json.split_once("\"text\"").or_else(|| json.split_once("\"content\""))?;
    let text = behind.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    // What is lost at the end is the half of an escape sequence, at most `\uD83D\uDE0`.
    let whole = text.char_indices().rev().map(|(at, _)| at).take(12);
    let text = std::iter::once(text.len())
        .chain(whole)
        .find_map(|end| serde_json::from_str::<String>(&format!("\"{}\"", text[..end].replace('\n', "\\n"))).ok())?;
    (!text.trim().is_empty()).then(|| text_block("Text", None, &text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::text_of;
    use proptest::prelude::*;

    const IMAGE: PixelSize = PixelSize { width: 1000, height: 2000 };

    fn parse(answer: &str) -> Reading {
        super::parse(answer, None, IMAGE)
    }

    #[test]
    fn elements_become_blocks_with_boxes_in_thousandths() {
        let answer = r##"[{"bbox": [100, 40, 900, 100], "category": "Page-header", "text": "BULLETIN OFFICIEL"},
            {"bbox": [100, 200, 900, 400], "category": "Title", "text": "# Décret n° 2-15"},
            {"bbox": [100, 400, 500, 1000.5], "category": "Text", "text": "Vu la **loi** $x_1 < 2$ à 100 $ <NOM>\nالمملكة"},
            {"bbox": [1, 2, 3, 4], "category": "Table", "text": "<table><tr><td colspan=\"2\">12</td></tr></table>"},
            {"bbox": [1, 2, 3, 4], "category": "Formula", "text": "$$a < b$$"},
            {"bbox": [0, 0, 2000, 9000], "category": "Picture"},
            {"category": "List-item", "text": "- un"}]"##;
        let reading = parse(answer);
        assert_eq!(reading.fault, None);
        let blocks: Vec<(&str, &str)> =
            reading.blocks.iter().map(|block| (block.label.as_str(), block.html.as_str())).collect();
        assert_eq!(
            blocks,
            [
                ("Page-Header", "<p>BULLETIN OFFICIEL</p>"),
                ("Section-Header", "<h1>Décret n° 2-15</h1>"),
                ("Text", "<p>Vu la <strong>loi</strong> <math>x_1 &lt; 2</math> à 100 $ &lt;NOM&gt;\nالمملكة</p>"),
                ("Table", "<table><tr><td colspan=\"2\">12</td></tr></table>"),
                ("Equation-Block", "<math display=\"block\">a &lt; b</math>"),
                ("Image", ""),
                ("List-Group", "<ul>\n<li>un</li>\n</ul>"),
            ]
        );
        assert_eq!(reading.blocks[0].bbox, Some(BBox { left: 100, top: 20, right: 900, bottom: 50 }));
        assert_eq!(reading.blocks[5].bbox, Some(BBox { left: 0, top: 0, right: 1000, bottom: 1000 }));
        assert_eq!(reading.blocks[6].bbox, None);
    }

    #[test]
    fn the_kin_has_other_names_and_another_scale() {
        let answer = r#"```json
[{"bbox_2d": [0, 500, 1000, 1000], "label": "text", "content": "un"}]
```"#;
        let reading = super::parse(answer, Some(1000), IMAGE);
        assert_eq!(reading.fault, None);
        assert_eq!(
            reading.blocks,
            [Block {
                label: "Text".into(),
                bbox: Some(BBox { left: 0, top: 500, right: 1000, bottom: 1000 }),
                html: "<p>un</p>".into()
            }]
        );
    }

    #[test]
    fn an_empty_list_is_a_blank_page_and_nothing_is_nothing() {
        assert!(parse("[]").blank);
        assert_eq!(parse(""), Reading::default());
    }

    #[test]
    fn what_is_cut_or_foreign_is_a_fault_and_keeps_what_it_had() {
        let whole = "[{\"bbox\": [1, 2, 3, 4], \"category\": \"Text\", \"text\": \"un\"}";
        for (tail, last) in [
            ("", "un"),
            (", {\"bbox\": [1, 2", "un"),
            (", {\"bbox\": [1, 2, 3, 4], \"category\": \"Text\", \"text\": \"deux \\u06", "deux"),
            (", {\"bbox\": [1, 2, 3, 4], \"category\": \"Text\", \"text\": \"deux", "deux"),
            (", {\"bbox\": [1, 2, 3, 4], \"category\": \"Table\", \"text\": \"<table><tr><td>3\"}]", "3"),
            ("] et la suite", "et la suite"),
        ] {
            let reading = parse(&format!("{whole}{tail}"));
            assert!(reading.fault.is_some(), "{tail}");
            assert_eq!(text_of(&reading.blocks.last().unwrap().html).trim(), last, "{tail}");
        }
        let prose = parse("I cannot read this page.");
        assert!(prose.fault.is_some() && prose.blocks.len() == 1, "{prose:?}");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(raw in "([\\[\\]{},:\"\\\\]|\"bbox\": |\"text\": \"|é|نص|\\\\u06|12|```json\n){0,40}") {
            parse(&raw);
        }

        #[test]
        fn no_letter_of_an_element_is_lost(text in "(é|نص|[$]|<|<b>|</b>|\\\\|\n|[*]|# |\"|&){0,30}", category in "Text|Title|Formula|Table") {
            let answer = serde_json::json!([{ "bbox": [1, 2, 3, 4], "category": category, "text": text }]).to_string();
            for end in (0..=answer.len()).filter(|end| answer.is_char_boundary(*end)) {
                parse(&answer[..end]);
            }
            let reading = parse(&answer);
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic() && !c.is_ascii()).count();
            let read: String = reading.blocks.iter().map(|block| text_of(&block.html)).collect();
            prop_assert_eq!(letters(&read), letters(&text), "{:?}", read);
        }
    }
}
