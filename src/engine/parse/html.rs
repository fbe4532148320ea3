//! Reads the models' HTML without repairing it: tokens with their byte spans in the source.

use html5gum::{DefaultEmitter, Token, Tokenizer};

use crate::model::Block;

/// What a parser found in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// Blocks in reading order.
    pub blocks: Vec<Block>,
    /// Whether the engine said that the page is blank.
    pub blank: bool,
    /// Characters of text outside every block, which the grammar does not allow; only the raw answer has them.
    pub stray: usize,
    /// Why the answer does not follow the grammar; `blocks` then holds what came before.
    pub fault: Option<String>,
}

/// The tokens of a piece of HTML with their byte spans. The models write no `script` or `style`, so no tag changes how
/// the text after it is read.
pub(in crate::engine) fn tokens(html: &str) -> impl Iterator<Item = Token<usize>> {
    Tokenizer::new_with_emitter(html, DefaultEmitter::<usize>::new_with_span()).filter_map(Result::ok)
}

/// The text of a piece of HTML: without tags, with character references resolved, and with a space where a tag was.
pub fn text_of(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    for token in tokens(html) {
        match token {
            Token::String(string) => text.push_str(&String::from_utf8_lossy(&string)),
            Token::StartTag(_) | Token::EndTag(_) if !text.ends_with(' ') && !text.is_empty() => text.push(' '),
            _ => {}
        }
    }
    text
}

/// The lines of text that a piece of HTML shows: its paragraphs, items, rows, and what a line break divides.
pub(in crate::engine) fn lines_of(html: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for token in tokens(html) {
        match token {
            Token::String(string) => lines.last_mut().into_iter().for_each(|line| {
                line.push_str(&String::from_utf8_lossy(&string).replace('\n', " "));
            }),
            Token::StartTag(tag) if divides_lines(&tag.name) => lines.push(String::new()),
            Token::EndTag(tag) if divides_lines(&tag.name) => lines.push(String::new()),
            _ => lines.last_mut().into_iter().for_each(|line| line.push(' ')),
        }
    }
    lines.retain(|line| !line.trim().is_empty());
    lines
}

fn divides_lines(name: &[u8]) -> bool {
    [&b"br"[..], b"p", b"li", b"tr", b"div", b"h1", b"h2", b"h3", b"h4", b"h5", b"h6"].contains(&name)
}

/// Whether a table is opened and not closed. Rows, cells and paragraphs may stay open in HTML; after an open table it
/// is unknown which text belongs to the table.
pub(in crate::engine) fn has_open_table(html: &str) -> bool {
    let open = tokens(html).fold(0_usize, |open, token| match token {
        Token::StartTag(tag) if tag.name.as_slice() == b"table" => open + 1,
        Token::EndTag(tag) if tag.name.as_slice() == b"table" => open.saturating_sub(1),
        _ => open,
    });
    open > 0
}

/// The text with `&`, `<` and `>` escaped for HTML.
pub(in crate::engine) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_those_of_the_source() {
        let html = "<p>é &amp; ç</p>\r\n<div a=\"١ > 0\">نص</div>";
        let spans: Vec<&str> = tokens(html)
            .filter_map(|token| match token {
                Token::StartTag(tag) => Some(tag.span),
                Token::EndTag(tag) => Some(tag.span),
                _ => None,
            })
            .map(|span| &html[span.start..span.end])
            .collect();
        assert_eq!(spans, ["<p>", "</p>", "<div a=\"١ > 0\">", "</div>"]);
    }

    #[test]
    fn lines_end_where_a_reader_sees_them_end() {
        let html = "<p>un <b>deux</b><br/>trois</p><table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>";
        let lines: Vec<String> = lines_of(html).iter().map(|line| line.trim().to_owned()).collect();
        assert_eq!(lines, ["un  deux", "trois", "1  2", "3"].map(str::to_owned));
    }

    #[test]
    fn a_table_without_an_end_is_seen() {
        assert!(has_open_table("<table><tr><td>1"));
        assert!(has_open_table("<table><tr><td><table></table></td></tr>"));
        assert!(!has_open_table("<table><tr><td><TABLE></TABLE><tr></table></table><p>"));
    }

    #[test]
    fn text_is_without_tags_and_references() {
        assert_eq!(text_of("<td>a &lt; b</td><td>نص&nbsp;</td>").trim(), "a < b نص");
        assert_eq!(text_of("no tags"), "no tags");
    }
}
