//! A page in Markdown, as olmOCR, LightOnOCR, GLM-OCR and Nanonets-OCR write it; that of olmOCR has front matter
//! (`docs/facts/engines.md`, "Markdown").

use html5gum::Token;

use crate::{engine::Formulas, model::Block};

use super::{
    html::{Reading, has_open_table, text_of, tokens},
    prose,
};

/// Line before and after front matter.
const RULE: &str = "---";
/// Keys of olmOCR's front matter.
const KEYS: [&str; 5] = ["primary_language", "is_rotation_valid", "rotation_correction", "is_table", "is_diagram"];
/// Tags of Nanonets-OCR around text of the page.
const MARKS: [&str; 4] = ["<page_number>", "</page_number>", "<watermark>", "</watermark>"];
/// Control tokens at which models end, which a server may leave in the text.
const ENDS: [&str; 4] = ["<｜end▁of▁sentence｜>", "<|im_end|>", "<|endoftext|>", "<|user|>"];

/// Parses an answer: one block without a box for each heading, paragraph, list or table. A table that is not closed is a
/// fault. If the answer should have front matter, its absence is a fault, and nothing behind it means a blank page.
pub fn parse(answer: &str, front_matter: bool, formulas: Formulas) -> Reading {
    let mut text = answer.trim();
    while let Some(rest) = ENDS.iter().find_map(|end| text.strip_suffix(end)) {
        text = rest.trim_end();
    }
    let mut reading = Reading::default();
    let body = without_fence(text);
    let body = match (front_matter, behind_front_matter(body)) {
        (false, _) => body,
        (true, Some(body)) => {
            reading.blank = matches!(body.trim(), "" | "null");
            if reading.blank { "" } else { body }
        }
        (true, None) => {
            let missing = || "the answer does not begin with whole front matter".to_owned();
            reading.fault = (!body.is_empty()).then(missing);
            body
        }
    };
    let body = MARKS.iter().fold(body.trim().to_owned(), |body, mark| body.replace(mark, " "));
    reading.blocks = split(&prose::to_html(&body, formulas));
    let open = reading.blocks.iter().any(|block| has_open_table(&block.html));
    reading.fault = reading.fault.or_else(|| open.then(|| "a table is not closed".into()));
    reading
}

/// The text without a code fence around all of it.
fn without_fence(text: &str) -> &str {
    let inner = || {
        let (language, inner) = text.strip_prefix("```")?.strip_suffix("```")?.split_once('\n')?;
        (["", "markdown", "md"].contains(&language.trim()) && !inner.contains("```")).then_some(inner.trim())
    };
    inner().unwrap_or(text)
}

/// The text behind front matter; `None` if it does not begin with front matter that has an end.
fn behind_front_matter(text: &str) -> Option<&str> {
    let mut rest = text.strip_prefix(RULE)?.strip_prefix('\n')?;
    loop {
        let (line, behind) = rest.split_once('\n').unwrap_or((rest, ""));
        if line.trim_end() == RULE {
            return Some(behind);
        }
        let (key, _) = line.split_once(':')?;
        if !KEYS.contains(&key) {
            return None;
        }
        rest = behind;
    }
}

/// Elements that make a block of their own, and its label.
const BLOCKS: [(&str, &str); 12] = [
    ("h1", "Section-Header"),
    ("h2", "Section-Header"),
    ("h3", "Section-Header"),
    ("h4", "Section-Header"),
    ("h5", "Section-Header"),
    ("h6", "Section-Header"),
    ("p", "Text"),
    ("table", "Table"),
    ("ul", "List-Group"),
    ("ol", "List-Group"),
    ("pre", "Code-Block"),
    ("blockquote", "Text"),
];

/// One block for each element that stands alone, and for what is between them.
fn split(html: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut add = |label: &str, html: &str| {
        let html = html.trim();
        if text_of(html).trim().is_empty() && !html.contains("<img") {
            return;
        }
        let formula = html.starts_with("<p><math") && html.ends_with("</math></p>");
        let picture = html.contains("<img") && !text_of(html).contains(char::is_alphanumeric);
        let label = match label {
            "Text" if picture => "Image",
            "Text" if formula && html.matches("<math").count() == 1 => "Equation-Block",
            label => label,
        };
        blocks.push(Block { label: label.into(), bbox: None, html: html.into() });
    };
    let mut from = 0;
    let mut open: Option<(&(&str, &str), usize, usize)> = None;
    for token in tokens(html) {
        match (token, &mut open) {
            (Token::StartTag(tag), None) => {
                let known = BLOCKS.iter().find(|(name, _)| name.as_bytes() == tag.name.as_slice());
                if let Some(known) = known {
                    add("Text", &html[from..tag.span.start]);
                    open = Some((known, tag.span.start, 1));
                }
            }
            (Token::StartTag(tag), Some((known, _, depth))) if tag.name.as_slice() == known.0.as_bytes() => *depth += 1,
            (Token::EndTag(tag), Some((known, start, depth))) if tag.name.as_slice() == known.0.as_bytes() => {
                *depth -= 1;
                if *depth == 0 {
                    add(known.1, &html[*start..tag.span.end]);
                    (open, from) = (None, tag.span.end);
                }
            }
            _ => {}
        }
    }
    match open {
        Some((known, start, _)) => add(known.1, &html[start..]),
        None => add("Text", &html[from..]),
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(answer: &str) -> Reading {
        parse(answer, false, Formulas::Brackets)
    }

    fn blocks(reading: &Reading) -> Vec<(&str, &str)> {
        reading.blocks.iter().map(|block| (block.label.as_str(), block.html.as_str())).collect()
    }

    const FRONT: &str = "---\nprimary_language: fr\nis_rotation_valid: True\nrotation_correction: 0\nis_table: False\nis_diagram: False\n---\n";

    #[test]
    fn a_page_becomes_blocks_without_boxes() {
        let reading = plain(
            "# Arrêté n° 1\n\nVu la loi \\(x_1\\) ;\n\n- un\n- deux\n\n<table><tr><td>12</td></tr></table>\n\n\
             | a | b |\n|---|---|\n| 1 | 2 |\n\n\\[a = b\\]\n\n![Sceau](page_1_2_3_4.png)\n\nالمملكة",
        );
        assert_eq!(reading.fault, None);
        let labels: Vec<&str> = reading.blocks.iter().map(|block| block.label.as_str()).collect();
        let expected = ["Section-Header", "Text", "List-Group", "Table", "Table", "Equation-Block", "Image", "Text"];
        assert_eq!(labels, expected, "{reading:#?}");
        assert_eq!(reading.blocks[0].html, "<h1>Arrêté n° 1</h1>");
        assert_eq!(reading.blocks[3].html, "<table><tr><td>12</td></tr></table>");
        assert!(reading.blocks.iter().all(|block| block.bbox.is_none()));
    }

    #[test]
    fn front_matter_is_taken_off_where_it_belongs_and_demanded_there() {
        let olmocr = |text: &str| parse(text, true, Formulas::Brackets);
        let read = olmocr(&format!("{FRONT}Article premier"));
        assert_eq!((blocks(&read), read.fault.clone()), (vec![("Text", "<p>Article premier</p>")], None));
        for nothing in ["", "null", "\n"] {
            let blank = olmocr(&format!("{FRONT}{nothing}"));
            assert!(blank.blank && blank.blocks.is_empty() && blank.fault.is_none(), "{nothing:?}");
        }
        assert!(olmocr(FRONT.trim_end()).blank, "the last line may lack its end");
        for broken in ["Article premier", "---\nprimary_language: fr\nArticle premier", "---\nprimary_language: fr"] {
            assert!(olmocr(broken).fault.is_some(), "{broken}");
        }
        assert_eq!(olmocr(""), Reading::default(), "nothing at all is the matter of the acceptance");
        let rule = plain("---\nun\n---\ndeux");
        assert_eq!(rule.blocks.len(), 2, "without front matter a rule is a rule: {rule:?}");
    }

    #[test]
    fn what_surrounds_a_page_is_taken_off() {
        for answer in ["```markdown\nun\n```", "```\nun\n```", "un<|im_end|>", "un <｜end▁of▁sentence｜>"] {
            assert_eq!(blocks(&plain(answer)), [("Text", "<p>un</p>")], "{answer}");
        }
        let marked = plain("un <page_number>14</page_number> <watermark>COPIE</watermark>");
        assert_eq!(text_of(&marked.blocks[0].html).split_whitespace().collect::<Vec<_>>(), ["un", "14", "COPIE"]);
        assert_eq!(plain("```\nun\n```\ndeux\n```\ntrois\n```").blocks.len(), 3, "fences within a page stay");
    }

    #[test]
    fn a_cut_table_is_a_fault_and_keeps_what_it_had() {
        let cut = plain("un\n\n<table><tr><td>12</td>");
        assert!(cut.fault.is_some());
        assert_eq!(cut.blocks.len(), 2);
    }

    #[test]
    fn foreign_html_is_text() {
        let reading = plain("<script>alert(1)</script> <NOM> [x](javascript:y) <img src=x onerror=z>");
        assert!(!reading.blocks[0].html.contains("<script"), "{reading:?}");
        assert!(text_of(&reading.blocks[0].html).contains("<NOM>"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_no_letter_is_lost(
            raw in "(# |é|نص|\n|\n\n|---\n|- |```|<table>|</table>|<tr><td>|</td>|<p>|</p>|[|]|[$]|<b>|</b>|<|&|\\*|1[.] ){0,40}",
            front: bool,
        ) {
            let reading = parse(&raw, front, Formulas::Dollars);
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic() && !c.is_ascii()).count();
            let text: String = reading.blocks.iter().map(|block| text_of(&block.html)).collect();
            prop_assert_eq!(letters(&text), letters(&raw), "{:?}", text);
        }
    }
}
