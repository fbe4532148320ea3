//! Writes a page as an engine does: as Chandra's divs with either box scale, or with DeepSeek-OCR's grounding
//! (`docs/facts/chandra.md`, "Answer", and `docs/facts/deepseek.md`, "Answer").

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::family::Engine;

/// Tags that are special tokens of DeepSeek-OCR.
pub const SPECIAL_TOKENS: [&str; 4] = ["<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>"];

/// Scale and spelling of Chandra's boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
pub enum BoxScale {
    /// Chandra 2: `data-bbox="x0 y0 x1 y1"`, 0 to 1000.
    #[default]
    #[value(name = "1000")]
    Thousand,
    /// Chandra 1: `data-bbox="[x0, y0, x1, y1]"`, 0 to 1024.
    #[value(name = "1024")]
    Binary,
}

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

/// The grammar of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Top-level divs with `data-bbox` and `data-label`.
    Chandra(BoxScale),
    /// `<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>`, 0 to 999.
    DeepSeek,
}

impl Dialect {
    /// The dialect of `engine`; DeepSeek-OCR has only one box scale.
    pub fn of(engine: Engine, scale: BoxScale) -> Self {
        match engine {
            Engine::Chandra => Dialect::Chandra(scale),
            Engine::DeepSeek => Dialect::DeepSeek,
        }
    }

    /// The raw answer for a page. Only Chandra 2's dialect can say that a page is blank; in the others the answer for a
    /// blank page is empty.
    pub fn write(self, blocks: &[PageBlock]) -> String {
        let mut answer = String::new();
        match self {
            Dialect::Chandra(BoxScale::Thousand) if blocks.is_empty() => {
                answer.push_str("<div data-bbox=\"0 0 1000 1000\" data-label=\"Blank-Page\"></div>");
            }
            Dialect::Chandra(scale) => {
                for block in blocks {
                    write_div(&mut answer, scale, block);
                }
            }
            Dialect::DeepSeek => {
                for block in blocks {
                    write_grounded(&mut answer, block);
                }
            }
        }
        answer.truncate(answer.trim_end().len());
        answer
    }
}

fn write_div(answer: &mut String, scale: BoxScale, block: &PageBlock) {
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

fn write_grounded(answer: &mut String, block: &PageBlock) {
    let [x0, y0, x1, y1] = scaled(block.bounds, 999.0);
    let label = match block.kind {
        BlockKind::Text => "text",
        BlockKind::PageHeader => "header",
    };
    let text = block.paragraphs.join("\n");
    let _ = write!(answer, "<|ref|>{label}<|/ref|><|det|>[[{x0}, {y0}, {x1}, {y1}]]<|/det|>\n{text}\n\n");
}

fn chandra_box(scale: BoxScale, bounds: [f64; 4]) -> String {
    match scale {
        BoxScale::Thousand => {
            let [x0, y0, x1, y1] = scaled(bounds, 1000.0);
            format!("{x0} {y0} {x1} {y1}")
        }
        BoxScale::Binary => {
            let [x0, y0, x1, y1] = scaled(bounds, 1024.0);
            format!("[{x0}, {y0}, {x1}, {y1}]")
        }
    }
}

fn scaled(bounds: [f64; 4], scale: f64) -> [u32; 4] {
    bounds.map(|fraction| (fraction.clamp(0.0, 1.0) * scale).round() as u32)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let second = Dialect::Chandra(BoxScale::Thousand).write(&page());
        assert_eq!(
            second,
            "<div data-bbox=\"100 0 900 50\" data-label=\"Page-Header\"><p>BULLETIN OFFICIEL</p></div>\n\
             <div data-bbox=\"100 100 500 1000\" data-label=\"Text\"><p>a &lt; b &amp; c</p><p>الجريدة</p></div>"
        );
        let first = Dialect::Chandra(BoxScale::Binary).write(&page());
        assert!(first.starts_with("<div data-bbox=\"[102, 0, 922, 51]\" data-label="), "{first}");
    }

    #[test]
    fn deepseek_grounds_every_block() {
        let answer = Dialect::DeepSeek.write(&page());
        assert_eq!(
            answer,
            "<|ref|>header<|/ref|><|det|>[[100, 0, 899, 50]]<|/det|>\nBULLETIN OFFICIEL\n\n\
             <|ref|>text<|/ref|><|det|>[[100, 100, 500, 999]]<|/det|>\na < b & c\nالجريدة"
        );
    }

    #[test]
    fn a_page_without_words_is_blank_in_each_engines_way() {
        let blank = Dialect::Chandra(BoxScale::Thousand).write(&[]);
        assert_eq!(blank, "<div data-bbox=\"0 0 1000 1000\" data-label=\"Blank-Page\"></div>");
        assert_eq!(Dialect::Chandra(BoxScale::Binary).write(&[]), "");
        assert_eq!(Dialect::DeepSeek.write(&[]), "");
    }
}
