//! Converts the Markdown of answers to HTML.

use std::{borrow::Cow, iter};

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag};

use crate::engine::Formulas;

use super::{
    brackets::{escape_text, text_brackets},
    html::escape,
};

/// Converts Markdown to HTML. Tables as HTML stay, and those of Markdown become HTML; `\(…\)` and `\[…\]`, and with
/// [`Formulas::Dollars`] also `$…$` and `$$…$$`, become Chandra's `<math>`. Any other dollar sign is text, and so is a `<`
/// that opens no known tag: it makes no link and no HTML.
pub fn to_html(markdown: &str, formulas: Formulas) -> String {
    let bracketed = match formulas {
        Formulas::Brackets => Cow::Borrowed(markdown),
        Formulas::Dollars => Cow::Owned(dollars_to_brackets(markdown)),
    };
    let markdown = &*with_marked_brackets(&bracketed);
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

/// Rewrites `$…$` as `\(…\)` and `$$…$$` as `\[…\]`. A single dollar sign opens a formula only on its line, before a
/// mark that is no blank, and closes it only behind one and not before a digit: `100 $ et 200 $` has none.
fn dollars_to_brackets(markdown: &str) -> String {
    let mut whole = String::with_capacity(markdown.len());
    let mut rest = markdown;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        whole.push_str(before);
        let escaped = whole.len() - whole.trim_end_matches('\\').len();
        let double = from.strip_prefix("$$").and_then(|inner| inner.split_once("$$"));
        let single = || {
            let inner = &from[1..];
            let line = &inner[..inner.find('\n').unwrap_or(inner.len())];
            let close = line.match_indices('$').map(|(at, _)| at).find(|&at| {
                !line[..at].ends_with(['\\', ' ', '$'])
                    && !line[at + 1..].starts_with(|c: char| c.is_ascii_digit() || c == '$')
            })?;
            let opens = close > 0 && !line.starts_with(char::is_whitespace);
            opens.then(|| (&line[..close], &inner[close + 1..]))
        };
        rest = match (escaped % 2, double) {
            (0, Some((inner, behind))) => {
                whole.extend(["\\[", inner, "\\]"]);
                behind
            }
            (0, None) if let Some((inner, behind)) = single() => {
                whole.extend(["\\(", inner, "\\)"]);
                behind
            }
            _ => {
                whole.push('$');
                &from[1..]
            }
        };
    }
    whole + rest
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
    let markdown = with_bare_labels(&with_wide_tables(&line_breaks(markdown)))
        .replace("\\$", "$")
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
    // What follows a fence and is no language is text of the page.
    let events = events.flat_map(|event| match event {
        Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(words))) => {
            let text = (!LANGUAGES.contains(&&*words)).then(|| Event::Text(format!("{words}\n").into()));
            iter::once(Event::Start(Tag::CodeBlock(CodeBlockKind::Indented))).chain(text)
        }
        other => iter::once(other).chain(None),
    });
    let mut html = String::with_capacity(markdown.len() * 2);
    pulldown_cmark::html::push_html(&mut html, events);
    html.trim().replace(BRACKET, "[")
}

/// The Markdown with [`BRACKET`] where a line would define the target of links, and show nothing.
fn with_bare_labels(markdown: &str) -> String {
    let lines = markdown.split('\n').map(|line| match line.find('[') {
        Some(at) if line.contains("]:") => format!("{}{BRACKET}{}", &line[..at], &line[at + 1..]),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The Markdown with as many columns in the head of each table as its widest row has cells: CommonMark's tables drop the
/// cells beyond their head.
fn with_wide_tables(markdown: &str) -> String {
    let mut lines: Vec<String> = markdown.split('\n').map(String::from).collect();
    let cells = |line: &str| {
        line.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "").matches('|').count() + 1
    };
    for rule in 1..lines.len() {
        let is_rule = lines[rule].contains("-") && lines[rule].chars().all(|c| "|-: \t".contains(c));
        if !is_rule || !lines[rule].contains('|') || !lines[rule - 1].contains('|') {
            continue;
        }
        let head = cells(&lines[rule - 1]);
        let widest = lines[rule + 1..].iter().take_while(|line| !line.trim().is_empty()).map(|line| cells(line)).max();
        let missing = widest.unwrap_or(0).saturating_sub(head);
        if missing > 0 && cells(&lines[rule]) == head {
            let closed = |line: &str| {
                if line.trim_end().ends_with('|') { line.trim_end().to_owned() } else { format!("{line} |") }
            };
            lines[rule - 1] = closed(&lines[rule - 1]) + &"  |".repeat(missing);
            lines[rule] = closed(&lines[rule]) + &"---|".repeat(missing);
        }
    }
    lines.join("\n")
}

/// Words behind a fence that name the language of the code.
const LANGUAGES: [&str; 8] = ["", "markdown", "md", "html", "latex", "json", "mermaid", "text"];

/// A noncharacter of Unicode, never in text; stands for `\\` during the conversion.
const LINE_BREAK: char = '\u{FDD2}';

/// A noncharacter, too; stands for a `[` of the text.
const BRACKET: char = '\u{FDD5}';

/// A noncharacter, too; stands for a `<` of the text.
const LESS: char = '\u{FDD4}';

fn math<'a>(open: &str, latex: &CowStr<'_>) -> Event<'a> {
    Event::InlineHtml(format!("{open}{}</math>", escape(latex.trim())).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::text_of;
    use proptest::prelude::*;

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
            assert_eq!(to_html(markdown, Formulas::Brackets), expected, "{markdown}");
        }
    }

    #[test]
    fn dollars_enclose_formulas_where_the_model_writes_them_so() {
        let table = [
            (
                "soit $x_1 < 2$ et $$\\frac{a}{b}$$",
                "<p>soit <math>x_1 &lt; 2</math> et <math display=\"block\">\\frac{a}{b}</math></p>",
            ),
            ("100 $ et 200 $", "<p>100 $ et 200 $</p>"),
            ("US$5 ou US$10", "<p>US$5 ou US$10</p>"),
            ("à \\$5$", "<p>à $5$</p>"),
            ("<table><tr><td>$a$</td></tr></table>", "<table><tr><td><math>a</math></td></tr></table>"),
        ];
        for (markdown, expected) in table {
            assert_eq!(to_html(markdown, Formulas::Dollars), expected, "{markdown}");
        }
    }

    #[test]
    fn a_table_of_markdown_becomes_html() {
        let html = to_html("| a | b |\n|---|---|\n| 1 | 2 |", Formulas::Brackets);
        assert_eq!(
            html.replace('\n', ""),
            "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>"
        );
    }

    #[test]
    fn what_markdown_would_hide_is_shown() {
        let table = [
            ("| a |\n|---|\n| 1 | 2 |", "a 1 2"),
            ("[1]: une note", "[1]: une note"),
            ("```\u{e9}t\u{e9}\nx\n```", "été x"),
            ("```html\nx\n```", "x"),
        ];
        for (markdown, shown) in table {
            let text = text_of(&to_html(markdown, Formulas::Brackets));
            assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), shown, "{markdown}");
        }
    }

    proptest! {
        #[test]
        fn no_word_is_lost(markdown in "(mot|نص|[$]|[$][$]|é| |\n|\\\\[(]|<|<b>|<table>|</table>|<td>|[|]|\n\n# |7|[*]|```|\\[é\\]: |\n[|]---[|]\n){0,30}", dollars: bool) {
            let formulas = if dollars { Formulas::Dollars } else { Formulas::Brackets };
            let text = text_of(&to_html(&markdown, formulas));
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic() && !c.is_ascii()).count();
            prop_assert_eq!(letters(&text), letters(&markdown), "{:?} {:?}", markdown, text);
        }
    }
}
