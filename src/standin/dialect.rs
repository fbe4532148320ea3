//! Writes a page in each dialect that engines have.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::model::PixelSize;

/// Tags that are special tokens of DeepSeek-OCR.
pub const SPECIAL_TOKENS: [&str; 4] = ["<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>"];

/// The kind of a block. It has only kinds that a stand-in can recognise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Running text.
    Text,
    /// The running head of a gazette's page.
    PageHeader,
}

/// A piece of a page in reading order.
#[derive(Debug, Clone, PartialEq)]
pub struct PageBlock {
    /// Kind of the block.
    pub kind: BlockKind,
    /// Left, top, right, bottom as fractions of the image, 0.0..=1.0.
    pub bounds: [f64; 4],
    /// Plain text, one string for each paragraph.
    pub paragraphs: Vec<String>,
}

/// The dialect of an answer, by the name that profiles give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Top-level divs with `data-bbox` and `data-label`, as Chandra and Surya 2 write
    #[serde(alias = "chandra")]
    #[value(alias = "chandra")]
    Divs,
    /// `<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>`, 0 to 999, as DeepSeek-OCR writes
    #[serde(alias = "deepseek")]
    #[value(alias = "deepseek")]
    Grounding,
    /// A JSON list of elements with box, category and text, as dots.ocr writes
    LayoutJson,
    /// Markdown, as olmOCR, LightOnOCR and GLM-OCR write
    Markdown,
    /// DocTags with places from 0 to 500, as Granite-Docling writes
    Doctags,
}

/// A dialect with what differs between its models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grammar {
    /// The dialect.
    pub dialect: Dialect,
    /// Coordinates run from 0 to this number; without it as the dialect's first model writes them, in layout JSON in
    /// pixels of the image.
    pub box_scale: Option<u16>,
    /// Whether Markdown begins with olmOCR's front matter.
    pub front_matter: bool,
}

impl Grammar {
    /// The raw answer for a page whose image has this size. For a blank page it is empty, except in Chandra 2's divs, in
    /// JSON, in DocTags, and behind front matter.
    pub fn write(self, blocks: &[PageBlock], size: PixelSize) -> String {
        let mut answer = String::new();
        match self.dialect {
            Dialect::Divs if self.box_scale != Some(CHANDRA_1) && blocks.is_empty() => {
                answer.push_str("<div data-bbox=\"0 0 1000 1000\" data-label=\"Blank-Page\"></div>");
            }
            Dialect::Divs => {
                for block in blocks {
                    write_div(&mut answer, self.box_scale.unwrap_or(1000), block);
                }
            }
            Dialect::Grounding => {
                for block in blocks {
                    write_grounded(&mut answer, self.box_scale.unwrap_or(999), block);
                }
            }
            Dialect::LayoutJson => answer = layout_json(blocks, self.box_scale, size),
            Dialect::Doctags => {
                answer.push_str("<doctag>");
                for block in blocks {
                    write_tagged(&mut answer, self.box_scale.unwrap_or(500), block);
                }
                answer.push_str("</doctag>");
            }
            Dialect::Markdown => {
                if self.front_matter {
                    answer.push_str(FRONT_MATTER);
                }
                for block in blocks {
                    let _ = write!(answer, "{}\n\n", markdown(&block.paragraphs.join("\n\n")));
                }
            }
        }
        answer.truncate(answer.trim_end().len());
        answer
    }
}

/// The scale of Chandra 1, which spells its boxes as lists.
const CHANDRA_1: u16 = 1024;
/// What olmOCR says of a page that stands upright and is no table.
const FRONT_MATTER: &str = "---\nprimary_language: fr\nis_rotation_valid: True\nrotation_correction: 0\nis_table: False\n\
                            is_diagram: False\n---\n";

fn write_tagged(answer: &mut String, scale: u16, block: &PageBlock) {
    let [x0, y0, x1, y1] = scaled(block.bounds, scale);
    let name = match block.kind {
        BlockKind::Text => "text",
        BlockKind::PageHeader => "page_header",
    };
    for paragraph in &block.paragraphs {
        let _ = writeln!(answer, "<{name}><loc_{x0}><loc_{y0}><loc_{x1}><loc_{y1}>{paragraph}</{name}>");
    }
}

fn layout_json(blocks: &[PageBlock], scale: Option<u16>, size: PixelSize) -> String {
    let (width, height) = scale.map_or((size.width, size.height), |scale| (scale.into(), scale.into()));
    let (width, height) = (f64::from(width), f64::from(height));
    let element = |block: &PageBlock| {
        let [x0, y0, x1, y1] = block.bounds.map(|fraction| fraction.clamp(0.0, 1.0));
        let category = match block.kind {
            BlockKind::Text => "Text",
            BlockKind::PageHeader => "Page-header",
        };
        let bbox = [x0 * width, y0 * height, x1 * width, y1 * height].map(|place| place.round() as u32);
        let text = markdown(&block.paragraphs.join("\n\n"));
        serde_json::json!({ "bbox": bbox, "category": category, "text": text })
    };
    serde_json::Value::from_iter(blocks.iter().map(element)).to_string()
}

/// Plain text as Markdown: no sign of it opens emphasis, a heading, a list or a tag.
fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut in_line = false;
    for character in text.chars() {
        let opens = "\\`*_[]<>&~$|".contains(character) || (!in_line && "#+-=".contains(character));
        // `1.` and `1)` at the beginning of a line open a list.
        let ends_number = ".)".contains(character)
            && escaped
                .rsplit('\n')
                .next()
                .is_some_and(|line| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()));
        if opens || ends_number {
            escaped.push('\\');
        }
        escaped.push(character);
        in_line = character != '\n' && (in_line || !character.is_whitespace());
    }
    escaped
}

fn write_div(answer: &mut String, scale: u16, block: &PageBlock) {
    let label = match block.kind {
        BlockKind::Text => "Text",
        BlockKind::PageHeader => "Page-Header",
    };
    // Writing to a String cannot fail.
    let _ = write!(answer, "<div data-bbox=\"{}\" data-label=\"{label}\">", chandra_box(scale, block.bounds));
    for paragraph in &block.paragraphs {
        let _ = write!(answer, "<p>{}</p>", escape(paragraph));
    }
    answer.push_str("</div>\n");
}

fn write_grounded(answer: &mut String, scale: u16, block: &PageBlock) {
    let [x0, y0, x1, y1] = scaled(block.bounds, scale);
    let label = match block.kind {
        BlockKind::Text => "text",
        BlockKind::PageHeader => "header",
    };
    let text = block.paragraphs.join("\n");
    let _ = write!(answer, "<|ref|>{label}<|/ref|><|det|>[[{x0}, {y0}, {x1}, {y1}]]<|/det|>\n{text}\n\n");
}

fn chandra_box(scale: u16, bounds: [f64; 4]) -> String {
    let [x0, y0, x1, y1] = scaled(bounds, scale);
    match scale {
        CHANDRA_1 => format!("[{x0}, {y0}, {x1}, {y1}]"),
        _ => format!("{x0} {y0} {x1} {y1}"),
    }
}

fn scaled(bounds: [f64; 4], scale: u16) -> [u32; 4] {
    bounds.map(|fraction| (fraction.clamp(0.0, 1.0) * f64::from(scale)).round() as u32)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: PixelSize = PixelSize { width: 800, height: 1100 };

    fn write(dialect: Dialect, box_scale: Option<u16>, blocks: &[PageBlock]) -> String {
        Grammar { dialect, box_scale, front_matter: false }.write(blocks, SIZE)
    }

    fn page() -> Vec<PageBlock> {
        vec![
            PageBlock {
                kind: BlockKind::PageHeader,
                bounds: [0.1, 0.0, 0.9, 0.05],
                paragraphs: vec!["BULLETIN OFFICIEL".into()],
            },
            PageBlock {
                kind: BlockKind::Text,
                bounds: [0.1, 0.1, 0.5, 1.0],
                paragraphs: vec!["a < b & c".into(), "الجريدة".into()],
            },
        ]
    }

    #[test]
    fn chandra_writes_boxes_in_both_dialects() {
        let second = write(Dialect::Divs, None, &page());
        assert_eq!(
            second,
            "<div data-bbox=\"100 0 900 50\" data-label=\"Page-Header\"><p>BULLETIN OFFICIEL</p></div>\n\
             <div data-bbox=\"100 100 500 1000\" data-label=\"Text\"><p>a &lt; b &amp; c</p><p>الجريدة</p></div>"
        );
        let first = write(Dialect::Divs, Some(1024), &page());
        assert!(first.starts_with("<div data-bbox=\"[102, 0, 922, 51]\" data-label="), "{first}");
    }

    #[test]
    fn deepseek_grounds_every_block() {
        let answer = write(Dialect::Grounding, None, &page());
        assert_eq!(
            answer,
            "<|ref|>header<|/ref|><|det|>[[100, 0, 899, 50]]<|/det|>\nBULLETIN OFFICIEL\n\n\
             <|ref|>text<|/ref|><|det|>[[100, 100, 500, 999]]<|/det|>\na < b & c\nالجريدة"
        );
    }

    #[test]
    fn a_page_without_words_is_blank_in_each_engines_way() {
        let blank = write(Dialect::Divs, None, &[]);
        assert_eq!(blank, "<div data-bbox=\"0 0 1000 1000\" data-label=\"Blank-Page\"></div>");
        assert_eq!(write(Dialect::Divs, Some(1024), &[]), "");
        assert_eq!(write(Dialect::Grounding, None, &[]), "");
        assert_eq!(write(Dialect::Markdown, None, &[]), "");
        assert_eq!(write(Dialect::LayoutJson, None, &[]), "[]");
        assert_eq!(write(Dialect::Doctags, None, &[]), "<doctag></doctag>");
        let grammar = Grammar { dialect: Dialect::Markdown, box_scale: None, front_matter: true };
        assert!(grammar.write(&[], SIZE).ends_with("is_diagram: False\n---"));
    }

    #[test]
    fn json_has_the_boxes_in_pixels_and_markdown_escapes_the_text() {
        assert_eq!(
            write(Dialect::LayoutJson, None, &page()),
            "[{\"bbox\":[80,0,720,55],\"category\":\"Page-header\",\"text\":\"BULLETIN OFFICIEL\"},\
             {\"bbox\":[80,110,400,1100],\"category\":\"Text\",\"text\":\"a \\\\< b \\\\& c\\n\\nالجريدة\"}]"
        );
        assert_eq!(
            write(Dialect::Doctags, None, &page()),
            "<doctag><page_header><loc_50><loc_0><loc_450><loc_25>BULLETIN OFFICIEL</page_header>\n\
             <text><loc_50><loc_50><loc_250><loc_500>a < b & c</text>\n\
             <text><loc_50><loc_50><loc_250><loc_500>الجريدة</text>\n</doctag>"
        );
        assert!(write(Dialect::LayoutJson, Some(1000), &page()).contains("[100,100,500,1000]"));
        assert_eq!(markdown("1. *a*\n- 12) b-c 3."), "1\\. \\*a\\*\n\\- 12) b-c 3.");
    }
}
