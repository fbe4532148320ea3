//! What the judge's cases and its bench share: streaming a text, and writing pages in the engines' dialects.

#![allow(dead_code, reason = "each uses a part")]

use std::{fs, path::Path};

use bulletin_ocr::engine::{Judge, Judgement, Loop};

/// A loop, and the characters that had come when it was seen.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    pub seen: usize,
    pub found: Loop,
}

/// Streams a text in pieces of the size of tokens.
pub fn cut(text: &str) -> Option<Cut> {
    let mut judge = Judge::default();
    let characters: Vec<char> = text.chars().collect();
    let mut seen = 0;
    for piece in characters.chunks(4) {
        seen += piece.len();
        if let Judgement::Loop(found) = judge.push(&piece.iter().collect::<String>()) {
            return Some(Cut { seen, found });
        }
    }
    match judge.finish() {
        Judgement::Continue => None,
        Judgement::Loop(found) => Some(Cut { seen, found }),
    }
}

/// Every `.txt` below a folder, in order of name.
pub fn pages(folder: &Path) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages.extend(self::pages(&path));
        } else if path.extension().is_some_and(|ending| ending == "txt") {
            pages.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    pages.sort();
    pages
}

/// A name, and what makes it of a page's text.
pub type Form = (&'static str, fn(&str) -> String);

/// A page as an engine might write it: as it stands, or its lines as paragraphs, rows or blocks.
pub const FORMS: [Form; 10] = [
    ("plain", str::to_owned),
    ("chandra, one block", |text| div("Text", &lines(text, |line| format!("<p>{line}</p>\n")))),
    ("chandra, a block a line", |text| lines(text, |line| div("Text", &format!("<p>{line}</p>")))),
    ("chandra, table", |text| div("Table", &format!("<table><tbody>\n{}</tbody></table>", rows(text)))),
    ("deepseek, one block", |text| grounded("text", text, 1)),
    ("deepseek, a block a line", |text| numbered_lines(text, |line, n| grounded("text", line, n))),
    ("deepseek, table", |text| grounded("table", &format!("<table>{}</table>", rows(text)), 1)),
    ("layout JSON, an element a line", |text| numbered_lines(text, element)),
    ("DocTags, an element a line", |text| {
        numbered_lines(text, |line, n| {
            format!("<text><loc_40><loc_{}><loc_460><loc_{}>{line}</text>\n", n * 4, n * 4 + 3)
        })
    }),
    ("Markdown, table", |text| lines(text, |line| format!("| {} |\n", cells(line).join(" | ")))),
];

/// One of Chandra's blocks.
pub fn div(label: &str, html: &str) -> String {
    format!("<div data-bbox=\"80 100 920 960\" data-label=\"{label}\">{html}</div>\n")
}

/// One of DeepSeek's blocks.
pub fn grounded(label: &str, markdown: &str, n: usize) -> String {
    format!("<|ref|>{label}<|/ref|><|det|>[[80, {}, 920, {}]]<|/det|>\n{markdown}\n\n", n * 9, n * 9 + 8)
}

/// A line a row; where a line has wide gaps or leaders, the columns are cells.
pub fn rows(text: &str) -> String {
    let cell = |text: &str| format!("<td>{text}</td>");
    lines(text, |line| format!("<tr>{}</tr>\n", cells(line).into_iter().map(cell).collect::<String>()))
}

/// An element of layout JSON.
fn element(text: &str, n: usize) -> String {
    let text = serde_json::Value::from(text);
    format!("{{\"bbox\": [80, {}, 920, {}], \"category\": \"Text\", \"text\": {text}}}, ", n * 9, n * 9 + 8)
}

fn cells(line: &str) -> Vec<&str> {
    line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

fn lines(text: &str, write: impl Fn(&str) -> String) -> String {
    numbered_lines(text, |line, _| write(line))
}

fn numbered_lines(text: &str, write: impl Fn(&str, usize) -> String) -> String {
    let filled = text.lines().map(str::trim).filter(|line| !line.is_empty());
    filled.enumerate().map(|(n, line)| write(line, n)).collect()
}
