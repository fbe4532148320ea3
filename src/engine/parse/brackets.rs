//! Which `<` of an answer open tags, and which are text of the page: `<<mot>>`, `<a@b.ma>`, `<NOM>`, `a<b`.
//!
//! A `<` opens a tag only where a whole tag with a known name follows, its attributes are of HTML, and an element that
//! must be closed is closed. All else is text, comments too: the models write none.

use std::borrow::Cow;

use crate::model::FORMULA_TAGS;

/// Elements that are tags wherever they stand: they give the page its structure, and HTML lets most of them stay open.
const STRUCTURE: [&str; 30] = [
    "br", "caption", "col", "colgroup", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img",
    "input", "li", "ol", "p", "pre", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul", "wbr",
];

/// Elements whose names are also letters of a formula, or words: they are tags only in pairs.
const PAIRED: [&str; 41] = [
    "a",
    "abbr",
    "article",
    "aside",
    "b",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "body",
    "center",
    "cite",
    "code",
    "del",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "form",
    "header",
    "html",
    "i",
    "ins",
    "kbd",
    "label",
    "main",
    "mark",
    "mtext",
    "nav",
    "q",
    "s",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "tt",
    "u",
];

/// Attributes that may stand without a quoted value.
const ATTRIBUTES: [&str; 22] = [
    "align",
    "alt",
    "border",
    "cellpadding",
    "cellspacing",
    "checked",
    "class",
    "colspan",
    "dir",
    "disabled",
    "display",
    "height",
    "href",
    "id",
    "lang",
    "rowspan",
    "scope",
    "start",
    "style",
    "type",
    "valign",
    "width",
];

/// Most bytes of a tag. The longest describe a picture in `alt`.
const LONGEST_TAG: usize = 16 * 1024;

/// Most open elements among which the start of an element is searched.
const DEEPEST: usize = 256;

/// HTML in which every `<` opens a tag and every `&` a character reference; those of the text are escaped.
pub fn escape_text(html: &str) -> Cow<'_, str> {
    if !html.contains(['<', '&']) {
        return Cow::Borrowed(html);
    }
    let mut text = text_brackets(html).into_iter().peekable();
    let mut whole = String::with_capacity(html.len() + 64);
    let mut behind_tag = 0;
    for (at, character) in html.char_indices() {
        match character {
            '<' if text.next_if_eq(&at).is_some() => whole.push_str("&lt;"),
            // The attributes of a tag are left as they are.
            '<' if at >= behind_tag => {
                behind_tag = Tag::at(html, at).map_or(at, |tag| tag.end);
                whole.push('<');
            }
            '&' if at >= behind_tag && !opens_reference(&html[at + 1..]) => whole.push_str("&amp;"),
            _ => whole.push(character),
        }
    }
    Cow::Owned(whole)
}

/// The places of every `<` that opens no tag, in bytes.
pub fn text_brackets(source: &str) -> Vec<usize> {
    let mut text = Vec::new();
    let mut open: Vec<(usize, Tag<'_>)> = Vec::new();
    let mut behind_tag = 0;
    for (at, _) in source.match_indices('<') {
        if at < behind_tag {
            continue;
        }
        let Some(tag) = Tag::at(source, at) else {
            text.push(at);
            continue;
        };
        behind_tag = tag.end;
        if !is_one_of(&PAIRED, tag.name) && !is_one_of(&FORMULA_TAGS, tag.name) {
            continue;
        }
        match tag.form {
            Form::Start => open.push((at, tag)),
            Form::Empty => {}
            Form::End => {
                let nearest = open.len().saturating_sub(DEEPEST)..;
                let started = open[nearest.clone()].iter().rposition(|(_, start)| start.is_named(tag.name));
                if let Some(started) = started {
                    open.remove(nearest.start + started);
                }
            }
        }
    }
    text.extend(open.into_iter().map(|(at, _)| at));
    text.sort_unstable();
    text
}

/// Where the tag begins within which an answer ends; `None` if it ends elsewhere.
pub fn cut_tag(answer: &str) -> Option<usize> {
    let at = answer.rfind('<').filter(|at| !answer[*at..].contains('>'))?;
    answer[at + 1..].chars().next().is_none_or(|next| next == '/' || next.is_ascii_alphabetic()).then_some(at)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Start,
    /// Ends with `/>`.
    Empty,
    End,
}

/// A tag with a known name.
struct Tag<'a> {
    name: &'a str,
    form: Form,
    /// The first byte after it.
    end: usize,
}

impl<'a> Tag<'a> {
    fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The tag that the `<` at this place opens.
    fn at(source: &'a str, at: usize) -> Option<Tag<'a>> {
        let (is_end, from) = match source.as_bytes().get(at + 1)? {
            b'/' => (true, at + 2),
            _ => (false, at + 1),
        };
        let name = leading(&source[from..], |c| c.is_ascii_alphanumeric());
        let lists: [&[&str]; 3] = [&STRUCTURE, &PAIRED, &FORMULA_TAGS];
        if !lists.iter().any(|list| is_one_of(list, name)) {
            return None;
        }
        let mut rest = &source[from + name.len()..];
        if is_end {
            let rest = rest.trim_start().strip_prefix('>')?;
            return Some(Tag { name, form: Form::End, end: source.len() - rest.len() });
        }
        loop {
            let trimmed = rest.trim_start();
            if let Some(behind) = trimmed.strip_prefix('>') {
                return Some(Tag { name, form: Form::Start, end: source.len() - behind.len() });
            }
            if let Some(behind) = trimmed.strip_prefix("/>") {
                return Some(Tag { name, form: Form::Empty, end: source.len() - behind.len() });
            }
            if source.len() - trimmed.len() - at > LONGEST_TAG {
                return None;
            }
            rest = behind_attribute(trimmed)?;
        }
    }
}

/// What follows the attribute at the start of the text.
fn behind_attribute(text: &str) -> Option<&str> {
    let name = leading(text, |c| c.is_ascii_alphanumeric() || "-_:".contains(c));
    let behind = &text[name.len()..];
    let Some(value) = behind.trim_start().strip_prefix('=').map(str::trim_start) else {
        return is_one_of(&ATTRIBUTES, name).then_some(behind);
    };
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote.filter(|_| !name.is_empty()) else {
        let length = value.find(|c: char| c.is_whitespace() || "<>\"'".contains(c)).unwrap_or(value.len());
        return is_one_of(&ATTRIBUTES, name).then(|| &value[length..]);
    };
    let length = value[1..].bytes().take(LONGEST_TAG).position(|byte| byte == quote as u8)?;
    Some(&value[length + 2..])
}

fn leading(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !belongs(c)).unwrap_or(text.len())]
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a whole character reference follows an `&`. HTML also reads some without a semicolon, so that `S&copie`
/// would lose its end.
fn opens_reference(text: &str) -> bool {
    let (name, belongs): (&str, fn(char) -> bool) = match text.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(number) => (number, |c| c.is_ascii_hexdigit()),
            None => (number, |c| c.is_ascii_digit()),
        },
        None => (text, |c| c.is_ascii_alphanumeric()),
    };
    let length = leading(name, belongs).len();
    length > 0 && name[length..].starts_with(';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_angle_brackets_is_text() {
        for text in [
            "<<mot>>",
            "<sgg@sgg.gov.ma>",
            "<http://www.sgg.gov.ma>",
            "si a<b et c>d alors x<y",
            "si a<b>c",
            "<NOM> <Prénom> né le",
            "<Article premier>",
            "<Section 2>",
            "seuil <= 5, <10, < 5, </nom>",
            "<المادة>",
            "<!-- note -->",
            "<?xml?>",
            "<p du code>",
            "<",
        ] {
            assert_eq!(escape_text(text), text.replace('<', "&lt;"), "{text}");
        }
    }

    #[test]
    fn tags_stay_tags() {
        for html in [
            "<p>un <b>deux</b><br/>trois<sup>e</sup></p>",
            "<TABLE border=1><tr><td colspan=2 class=\"x > y\">1<td nowrap='é'>2</table>",
            "<img alt=\"Sceau < du > Royaume &copie\"/>",
            "<p><input type=\"checkbox\" checked/> oui</p>",
            "<math display=\"block\"><mfrac><mi>a</mi><mn>2</mn></mfrac><mspace/></math>",
            "<article><section><i>x</i></section></article>",
            "<td colspan=\"2\"rowspan=\"3\">",
        ] {
            assert_eq!(escape_text(html), html);
        }
    }

    #[test]
    fn a_tag_that_text_runs_into_stays_a_tag() {
        assert_eq!(escape_text("<p>si a<b alors</p>"), "<p>si a&lt;b alors</p>");
        assert_eq!(escape_text("<td>x<i</td><td>y</td>"), "<td>x&lt;i</td><td>y</td>");
        assert_eq!(escape_text("<i>a<b>c</i>"), "<i>a&lt;b>c</i>");
        assert_eq!(escape_text("<<b>gras</b>>"), "&lt;<b>gras</b>>");
    }

    #[test]
    fn an_ampersand_that_opens_no_reference_is_text() {
        let table = [("R&D", "R&amp;D"), ("S&copie", "S&amp;copie"), ("&#x; &#12", "&amp;#x; &amp;#12")];
        for (text, escaped) in table {
            assert_eq!(escape_text(text), escaped);
        }
        for references in ["&lt;ok&gt; &nbsp;", "&#233; &#xE9;"] {
            assert_eq!(escape_text(references), references);
        }
    }

    #[test]
    fn the_time_grows_with_the_text_and_not_with_its_square() {
        for unit in ["<a x=\"", "<", "<b>", "<b ", "</i>", "<p class=x "] {
            let fastest = |bytes: usize| {
                let text = unit.repeat(bytes / unit.len());
                let time = || {
                    let begun = std::time::Instant::now();
                    escape_text(&text);
                    begun.elapsed()
                };
                (0..3).map(|_| time()).min().unwrap_or_default()
            };
            let (short, long) = (fastest(40_000), fastest(320_000));
            assert!(long < 32 * short, "{unit:?}: eight times the text takes {long:?} instead of {short:?}");
        }
    }
}
