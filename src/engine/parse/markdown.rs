//! Converts blocks to the two forms that people read: HTML with labels and boxes, and Markdown.

use std::{borrow::Cow, iter};

use htmd::{
    Element, HtmlToMarkdown,
    element_handler::{HandlerResult, Handlers},
    options::{BulletListMarker, Options},
};
use html5gum::Token;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::model::Block;

use super::html::{escape, tokens};

/// Normalises the text of a piece of HTML to NFC, and presentation forms to letters: `ﻻ` becomes `لا`, `ﷲ` becomes
/// `الله`, `ﬁ` becomes `fi`. Presentation forms are shapes of letters; no search finds them, and fonts draw the shapes
/// themselves. The raw answer keeps them. Tags are normalised apart from the text, so that a combining mark after a tag
/// does not combine with its bracket.
pub fn normalise(html: &str) -> Cow<'_, str> {
    if is_nfc(html) && !html.contains(is_presentation_form) {
        return Cow::Borrowed(html);
    }
    let mut normal = String::with_capacity(html.len());
    for run in html.split_inclusive(['<', '>']) {
        let text = run.strip_suffix(['<', '>']).unwrap_or(run);
        normal.extend(in_letters(text).nfc());
        normal.push_str(&run[text.len()..]);
    }
    Cow::Owned(normal)
}

fn is_presentation_form(character: char) -> bool {
    matches!(character, '\u{FB00}'..='\u{FB06}' | '\u{FB50}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}')
}

/// The text with letters in place of presentation forms. A form that stands for several words (`ﷺ`) is separated by a
/// space from letters beside it.
fn in_letters(text: &str) -> String {
    let is_words = |character: char| matches!(character, '\u{FDFA}' | '\u{FDFB}');
    let mut whole = String::with_capacity(text.len());
    let mut previous = ' ';
    for character in text.chars() {
        let joins = previous.is_alphanumeric() && character.is_alphanumeric();
        if joins && (is_words(previous) || is_words(character)) {
            whole.push(' ');
        }
        whole.extend(letters(character));
        previous = character;
    }
    whole
}

/// The letters of a presentation form; any other character unchanged. The form of an isolated vowel sign decomposes to
/// a space and the sign; the space is not part of the text.
fn letters(character: char) -> impl Iterator<Item = char> {
    let form = is_presentation_form(character);
    let (mapped, plain) =
        (form.then(|| iter::once(character).nfkc().skip_while(|&c| c == ' ')), (!form).then_some(character));
    mapped.into_iter().flatten().chain(plain)
}

/// All blocks as HTML, headers and footers included: one div for each block, with its label and its box in thousandths.
pub fn to_html(blocks: &[Block]) -> String {
    let mut html = String::new();
    for block in blocks {
        let label = escape(&block.label).replace('"', "&quot;");
        let bbox = block
            .bbox
            .map_or(String::new(), |b| format!(" data-bbox=\"{} {} {} {}\"", b.left, b.top, b.right, b.bottom));
        html.push_str(&format!("<div data-label=\"{label}\"{bbox}>{}</div>\n", block.html));
    }
    html
}

/// All blocks as Markdown, headers and footers included.
pub fn to_markdown(blocks: &[Block]) -> String {
    let pieces: Vec<String> = blocks.iter().map(block_to_markdown).filter(|piece| !piece.is_empty()).collect();
    pieces.join("\n\n")
}

/// One block as Markdown: ATX headings, tables as HTML, maths as `$…$` and `$$…$$`, `sup` and `sub` as tags
/// (`docs/facts/chandra.md`, "Markdown"). Empty where the block has no content. No text becomes a tag. Links lose their
/// targets: a gazette has none.
pub fn block_to_markdown(block: &Block) -> String {
    let parts = SetAside::from(&without_noncharacters(&block.html));
    // htmd reads from memory, so it returns no error.
    let markdown = converter().convert(&parts.html).unwrap_or_default();
    parts.put_back(markdown.trim())
}

/// Noncharacters of Unicode, never in text; used as placeholders during the conversion.
const NONCHARACTERS: std::ops::RangeInclusive<char> = '\u{FDD0}'..='\u{FDEF}';
/// Marks the place of a piece that was set aside.
const MARK: char = '\u{FDD0}';
const MARK_END: char = '\u{FDD1}';
/// Stands for a dollar sign of the text.
const DOLLAR: char = '\u{FDD2}';
/// Stands for a `<` of the text, which could open a tag together with the Markdown after it.
const LESS: char = '\u{FDD3}';

fn without_noncharacters(text: &str) -> String {
    text.replace(|c| NONCHARACTERS.contains(&c), "")
}

/// HTML from which tables and maths were taken out, because Markdown's escapes must not change them.
struct SetAside {
    html: String,
    pieces: Vec<String>,
}

impl SetAside {
    fn from(source: &str) -> SetAside {
        let mut aside = SetAside { html: String::with_capacity(source.len()), pieces: Vec::new() };
        let mut copied = 0;
        let mut depth = 0_usize;
        let mut open: Option<(Vec<u8>, usize, usize, bool)> = None;
        for token in tokens(source) {
            match (token, &open) {
                (Token::StartTag(tag), None) if matches!(tag.name.as_slice(), b"table" | b"math") => {
                    aside.copy(&source[copied..tag.span.start]);
                    let block = tag.attributes.get(b"display".as_slice()).is_some_and(|v| v.as_slice() == b"block");
                    depth = 1;
                    open = Some((tag.name.0.clone(), tag.span.start, tag.span.end, block));
                }
                (Token::StartTag(tag), Some((name, ..))) if tag.name.0 == *name => depth += 1,
                (Token::EndTag(tag), Some((name, start, inner, block))) if tag.name.0 == *name => {
                    depth -= 1;
                    if depth == 0 {
                        let is_table = name.as_slice() == b"table";
                        let piece = if is_table {
                            table(&source[*start..tag.span.end])
                        } else {
                            math(&source[*inner..tag.span.start], *block)
                        };
                        aside.mark(piece, is_table);
                        copied = tag.span.end;
                        open = None;
                    }
                }
                _ => {}
            }
        }
        aside.copy(&source[copied..]);
        aside
    }

    fn copy(&mut self, html: &str) {
        let stand_in = |character| match character {
            '$' => DOLLAR,
            '<' => LESS,
            _ => character,
        };
        for token in tokens(html) {
            match token {
                Token::StartTag(tag) => self.html.push_str(&html[tag.span.start..tag.span.end]),
                Token::EndTag(tag) => self.html.push_str(&html[tag.span.start..tag.span.end]),
                Token::String(text) => {
                    let text = without_noncharacters(&String::from_utf8_lossy(&text));
                    self.html.push_str(&escape(&text.chars().map(stand_in).collect::<String>()));
                }
                _ => {}
            }
        }
    }

    fn mark(&mut self, piece: String, block: bool) {
        let mark = format!("{MARK}{}{MARK_END}", self.pieces.len());
        self.html.push_str(&if block { format!("<div>{mark}</div>") } else { mark });
        self.pieces.push(piece);
    }

    fn put_back(&self, markdown: &str) -> String {
        let mut whole = String::with_capacity(markdown.len());
        let mut rest = markdown;
        while let Some((before, (number, after))) =
            rest.split_once(MARK).and_then(|(before, tail)| Some((before, tail.split_once(MARK_END)?)))
        {
            whole.push_str(before);
            whole.push_str(number.parse().ok().and_then(|at: usize| self.pieces.get(at)).map_or("", String::as_str));
            rest = after;
        }
        whole.push_str(rest);
        with_less(&whole).replace(DOLLAR, "\\$")
    }
}

/// Puts every `<` of the text back, escaped where it could open a tag. After a backslash it becomes a character
/// reference: `\\<` would be an escaped backslash and a bare bracket.
fn with_less(markdown: &str) -> String {
    let mut pieces = markdown.split(LESS);
    let mut whole = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let opens_nothing = piece.starts_with(|c: char| c == ' ' || c.is_ascii_digit());
        whole.push_str(match (opens_nothing, whole.ends_with('\\')) {
            (true, _) => "<",
            (false, true) => "&lt;",
            (false, false) => "\\<",
        });
        whole.push_str(piece);
    }
    whole
}

/// Removes blank lines from a table: a blank line would end the HTML block in Markdown.
fn table(source: &str) -> String {
    let lines: Vec<&str> = source.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

fn math(inner: &str, block: bool) -> String {
    let mut latex = String::new();
    for token in tokens(inner) {
        if let Token::String(text) = token {
            latex.push_str(&String::from_utf8_lossy(&text));
        }
    }
    // Spaces mean nothing in LaTeX. A `<` before a space opens no tag in Markdown readers that do not know formulas.
    let latex = latex.trim().replace('<', "< ").replace("<  ", "< ");
    if block { format!("$${latex}$$") } else { format!("${latex}$") }
}

fn converter() -> HtmlToMarkdown {
    let options = Options {
        bullet_list_marker: BulletListMarker::Dash,
        ul_bullet_spacing: 1,
        ol_number_spacing: 1,
        ..Options::default()
    };
    HtmlToMarkdown::builder()
        .options(options)
        .add_handler(vec!["sup", "sub"], |handlers: &dyn Handlers, element: Element| {
            let content = handlers.walk_children(element.node).content;
            Some(HandlerResult::from(format!("<{tag}>{content}</{tag}>", tag = element.tag)))
        })
        .add_handler(vec!["a"], |handlers: &dyn Handlers, element: Element| {
            Some(HandlerResult::from(handlers.walk_children(element.node).content))
        })
        .add_handler(vec!["img"], |_: &dyn Handlers, element: Element| {
            let alt = attribute(&element, "alt").unwrap_or_default().replace(['[', ']', '<', '\\', '\n'], " ");
            (!alt.trim().is_empty()).then(|| format!("![{}]()", alt.trim()).into())
        })
        .add_handler(vec!["input"], |_: &dyn Handlers, element: Element| {
            Some(match attribute(&element, "type").as_deref() {
                Some("checkbox" | "radio") if attribute(&element, "checked").is_some() => "[x] ".into(),
                Some("checkbox" | "radio") => "[ ] ".into(),
                _ => {
                    let value = attribute(&element, "value").unwrap_or_default();
                    let mut escaped = String::with_capacity(value.len());
                    for character in value.chars() {
                        match character {
                            '\\' | '[' | ']' | '`' => escaped.extend(['\\', character]),
                            '<' => escaped.push(LESS),
                            '\n' | '\r' => escaped.push(' '),
                            _ => escaped.push(character),
                        }
                    }
                    escaped.into()
                }
            })
        })
        .build()
}

fn attribute(element: &Element, name: &str) -> Option<String> {
    let found = element.attrs.iter().find(|attribute| &*attribute.name.local == name)?;
    Some(without_noncharacters(&found.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BBox;
    use proptest::prelude::*;

    fn block(html: &str) -> Block {
        Block { label: "Text".into(), bbox: Some(BBox { left: 1, top: 2, right: 3, bottom: 4 }), html: html.into() }
    }

    fn markdown(html: &str) -> String {
        block_to_markdown(&block(html))
    }

    #[test]
    fn html_becomes_markdown() {
        let table = [
            ("<h2>Arrêté n° 1</h2><p>Vu la <b>loi</b></p>", "## Arrêté n° 1\n\nVu la **loi**"),
            ("texte nu", "texte nu"),
            ("<ul><li>un</li><li>deux</li></ul>", "- un\n- deux"),
            ("<p>1<sup>er</sup> alinéa, H<sub>2</sub>O</p>", "1<sup>er</sup> alinéa, H<sub>2</sub>O"),
            ("<p>soit <math>a_1 &lt; b*c</math></p>", "soit $a_1 < b*c$"),
            ("<math display=\"block\">\\frac{a}{b}</math>", "$$\\frac{a}{b}$$"),
            ("<p>100 $ et 5 $</p>", "100 \\$ et 5 \\$"),
            ("<p>المادة الأولى، « نص »</p>", "المادة الأولى، « نص »"),
            ("<math>a&lt;b \\le c</math>", "$a< b \\le c$"),
            ("<math>&lt;img src=x onerror=alert(1)&gt;</math>", "$< img src=x onerror=alert(1)>$"),
            ("<img alt=\"<b>Sceau</b>\"/>", "![b>Sceau /b>]()"),
            ("<input value=\"<b onclick=x>\"/>", "\\<b onclick=x>"),
            ("<p>&lt;script&gt;</p>", "\\<script>"),
            ("<p>taille &lt; 10 cm, &lt;5</p>", "taille < 10 cm, <5"),
            ("<p>&lt;<u></u>b onclick=x&gt;</p>", "\\<b onclick=x>"),
            ("<input value=\"\\&lt;b onclick=x&gt;\"/>", "\\\\&lt;b onclick=x>"),
            ("<p>&#xFDD3;b&gt; &#xFDD0;0&#xFDD1;</p>", "b> 0"),
            ("<p>Voir <a href=\"http://x/> <b>\" title='\"> <b'>le <i>site</i></a></p>", "Voir le *site*"),
            ("<img alt=\"Sceau du Royaume\"/>", "![Sceau du Royaume]()"),
            ("<p><input type=\"checkbox\" checked/> oui</p>", "[x] oui"),
            ("<p>Ville : <input type=\"text\" value=\"Casablanca\"/></p>", "Ville : Casablanca"),
            ("", ""),
        ];
        for (html, expected) in table {
            assert_eq!(markdown(html).replace("]  oui", "] oui"), expected, "{html}");
        }
    }

    #[test]
    fn tables_stay_html_between_blank_lines() {
        let source =
            "<p>avant</p><table>\n\n<tr><td rowspan=\"2\">a*b_c</td><td><math>x</math></td></tr></table><p>après</p>";
        let expected =
            "avant\n\n<table>\n<tr><td rowspan=\"2\">a*b_c</td><td><math>x</math></td></tr></table>\n\naprès";
        assert_eq!(markdown(source), expected);
        let nested = "<table><tr><td><table><tr><td>x</td></tr></table></td></tr></table>";
        assert_eq!(markdown(nested), nested);
    }

    #[test]
    fn blocks_keep_label_and_box_in_html() {
        let blocks = [block("<p>un</p>"), Block { label: "a\"b".into(), bbox: None, html: "deux".into() }];
        assert_eq!(
            to_html(&blocks),
            "<div data-label=\"Text\" data-bbox=\"1 2 3 4\"><p>un</p></div>\n<div data-label=\"a&quot;b\">deux</div>\n"
        );
        assert_eq!(to_markdown(&blocks), "un\n\ndeux");
    }

    #[test]
    fn text_is_normalised_and_tags_are_safe() {
        assert_eq!(normalise("<p>e\u{301}te\u{301}</p>"), "<p>été</p>");
        assert_eq!(normalise("<p>\u{338}x e\u{301}</p>"), "<p>\u{338}x é</p>");
    }

    #[test]
    fn presentation_forms_become_letters() {
        let table = [
            ("<p>اﻷولى ﻻ</p>", "<p>الأولى لا</p>"),
            ("ﺍﻟﻤﺎﺩﺓ ﺍﻷﻭﻟﻰ", "المادة الأولى"),
            ("ﷲ ﷺ", "الله صلى الله عليه وسلم"),
            ("مﹸحﱠمد", "م\u{64F}ح\u{64E}\u{651}مد"),
            ("﴾1﴿", "﴾1﴿"),
            ("محمدﷺقال ﷺ.", "محمد صلى الله عليه وسلم قال صلى الله عليه وسلم."),
            ("l’aﬀaire ﬁnale", "l’affaire finale"),
        ];
        for (shapes, letters) in table {
            assert_eq!(normalise(shapes), letters, "{shapes}");
        }
    }

    proptest! {
        #[test]
        fn no_mark_is_left_in_any_markdown(html in "(<table>|</table>|<math>|</math>|<tr><td>|\\$|\u{FDD0}|\u{FDD1}|7|é|<p>){0,20}") {
            let text = markdown(&html);
            prop_assert!(!text.contains(['\u{FDD0}', '\u{FDD1}', '\u{FDD2}', '\u{FDD3}']), "{}", text);
        }
    }
}
