//! DocTags, the answer of Granite-Docling: elements with their boxes as tags of places, tables in OTSL
//! (`docs/facts/engines.md`, "DocTags").

use crate::model::{BBox, Block};

use super::{
    html::{Reading, escape},
    label,
    otsl::Table,
};

/// Elements that hold text of their own.
const LEAVES: [&str; 22] = [
    "caption",
    "chart",
    "checkbox_selected",
    "checkbox_unselected",
    "code",
    "document_index",
    "footnote",
    "formula",
    "handwritten_text",
    "list_item",
    "otsl",
    "page_footer",
    "page_header",
    "paragraph",
    "picture",
    "reference",
    "smiles",
    "table",
    "text",
    "title",
    "form",
    "key_value_region",
];
/// Elements that only hold others.
const CONTAINERS: [&str; 6] = ["doctag", "doctags", "ordered_list", "unordered_list", "inline", "group"];
/// Headings are `<section_header_level_1>` to 5.
const HEADING: &str = "section_header_level_";
/// Tags of places are `<loc_0>` to `<loc_500>`.
const PLACE: &str = "loc_";
/// The kinds of picture that Granite-Docling names in a tag of its own.
const PICTURES: [&str; 14] = [
    "bar_chart",
    "flow_chart",
    "line_chart",
    "pie_chart",
    "logo",
    "signature",
    "stamp",
    "icon",
    "map",
    "photograph",
    "natural_image",
    "other",
    "page_thumbnail",
    "full_page_image",
];
/// Control tokens, where the request told the server to keep special tokens.
const ENDS: [&str; 2] = ["<|end_of_text|>", "<end_of_utterance>"];

/// Parses an answer whose boxes run from 0 to `box_scale`. An element that is not closed is a fault, and so is an answer
/// without any element; `<doctag>` itself may stay open, because requests end the answer there.
pub fn parse(answer: &str, box_scale: u16) -> Reading {
    let mut rest = answer.trim();
    while let Some(before) = ENDS.iter().find_map(|end| rest.strip_suffix(end)) {
        rest = before.trim_end();
    }
    if rest.is_empty() {
        return Reading::default();
    }
    let mut page = Page { box_scale, ..Page::default() };
    while let Some(at) = rest.find('<') {
        page.text(&rest[..at]);
        rest = &rest[at..];
        match Tag::at(rest) {
            Some((tag, length)) => {
                page.tag(&tag);
                rest = &rest[length..];
            }
            None => {
                page.text("<");
                rest = &rest[1..];
            }
        }
    }
    page.text(rest);
    page.finish()
}

/// A known tag.
struct Tag<'a> {
    name: &'a str,
    is_end: bool,
}

impl<'a> Tag<'a> {
    /// The tag at the beginning of `text`, and its length in bytes.
    fn at(text: &'a str) -> Option<(Tag<'a>, usize)> {
        let inner = text.strip_prefix('<')?;
        let (is_end, from) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
        let name = &from[..from.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_')?];
        let known = LEAVES.contains(&name)
            || CONTAINERS.contains(&name)
            || PICTURES.contains(&name)
            || Table::knows(name)
            || matches!(name, "page_break" | "column_header" | "row_header" | "shed" | "data")
            || name.strip_prefix(PLACE).or(name.strip_prefix(HEADING)).is_some_and(is_number);
        let behind = from[name.len()..].strip_prefix('>').filter(|_| known)?;
        Some((Tag { name, is_end }, text.len() - behind.len()))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// An element that is being read.
#[derive(Debug)]
struct Element {
    name: String,
    places: Vec<f64>,
    text: String,
    table: Option<Table>,
}

impl Element {
    fn new(name: &str) -> Element {
        let is_table = matches!(name, "otsl" | "table" | "document_index" | "chart");
        Element { name: name.into(), places: Vec::new(), text: String::new(), table: is_table.then(Table::default) }
    }

    fn bbox(&self, scale: u16) -> Option<BBox> {
        let corners = <[f64; 4]>::try_from(self.places.get(..4)?).ok()?;
        Some(BBox::from_scale(corners, f64::from(scale)))
    }

    fn into_block(self, scale: u16, ordered: bool) -> Block {
        let bbox = self.bbox(scale);
        let text = self.text.trim();
        let level = self.name.strip_prefix(HEADING);
        let name = level.map_or(self.name.as_str(), |_| "section_header");
        let html = match (name, level) {
            _ if self.table.is_some() => self.table.as_ref().map(Table::to_html).unwrap_or_default(),
            _ if text.is_empty() => String::new(),
            (_, Some(level)) => {
                let level = level.parse().unwrap_or(1).clamp(1, 5) + 1;
                format!("<h{level}>{}</h{level}>", escape(text))
            }
            ("title", _) => format!("<h1>{}</h1>", escape(text)),
            ("formula", _) => format!("<math display=\"block\">{}</math>", escape(text)),
            ("code", _) => format!("<pre><code>{}</code></pre>", escape(text)),
            ("list_item", _) if ordered => format!("<ol><li>{}</li></ol>", escape(text)),
            ("list_item", _) => format!("<ul><li>{}</li></ul>", escape(text)),
            ("checkbox_selected", _) => format!("<p><input type=\"checkbox\" checked/> {}</p>", escape(text)),
            ("checkbox_unselected", _) => format!("<p><input type=\"checkbox\"/> {}</p>", escape(text)),
            _ => format!("<p>{}</p>", escape(text)),
        };
        Block { label: label::clean(label::common(name)), bbox, html }
    }
}

#[derive(Debug, Default)]
struct Page {
    box_scale: u16,
    open: Vec<Element>,
    /// Whether each open list counts its items.
    lists: Vec<bool>,
    blocks: Vec<Block>,
    /// Text outside of every element.
    outside: String,
    tagged: bool,
    fault: Option<String>,
}

impl Page {
    fn text(&mut self, text: &str) {
        match self.open.last_mut() {
            Some(Element { table: Some(table), .. }) => table.text(text),
            Some(element) => element.text.push_str(text),
            None => self.outside.push_str(text),
        }
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        self.tagged = true;
        let Tag { name, is_end } = *tag;
        if CONTAINERS.contains(&name) {
            match (name, is_end) {
                ("ordered_list" | "unordered_list", false) => self.lists.push(name == "ordered_list"),
                ("ordered_list" | "unordered_list", true) => drop(self.lists.pop()),
                _ => {}
            }
        } else if let Some(place) = name.strip_prefix(PLACE) {
            if let (Some(element), Ok(place)) = (self.open.last_mut(), place.parse()) {
                element.places.push(place);
            }
        } else if Table::knows(name) {
            if let Some(table) = self.open.iter_mut().rev().find_map(|element| element.table.as_mut()) {
                table.open(name);
            }
        } else if LEAVES.contains(&name) || name.starts_with(HEADING) {
            if is_end { self.close(name) } else { self.start(name) }
        }
    }

    fn start(&mut self, name: &str) {
        self.keep_outside();
        // Only captions, and what a form or a picture holds, stand within other elements.
        let may_hold = |element: &Element| {
            name == "caption" || matches!(element.name.as_str(), "picture" | "form" | "key_value_region" | "list_item")
        };
        if self.open.last().is_some_and(|element| !may_hold(element)) {
            self.fault.get_or_insert_with(|| format!("<{name}> begins within another element"));
        }
        self.open.push(Element::new(name));
    }

    fn close(&mut self, name: &str) {
        let Some(at) = self.open.iter().rposition(|element| element.name == name) else {
            self.fault.get_or_insert_with(|| format!("</{name}> closes nothing"));
            return;
        };
        if at + 1 < self.open.len() {
            self.fault.get_or_insert_with(|| format!("</{name}> closes what is within it"));
        }
        for element in self.open.split_off(at) {
            self.keep(element);
        }
    }

    fn keep(&mut self, element: Element) {
        let ordered = self.lists.last().copied().unwrap_or(false);
        let block = element.into_block(self.box_scale, ordered);
        // A picture counts without text; an empty paragraph does not.
        if !block.html.is_empty() || block.label == "Image" {
            self.blocks.push(block);
        }
    }

    fn keep_outside(&mut self) {
        let text = std::mem::take(&mut self.outside);
        if !text.trim().is_empty() {
            self.blocks.push(Block {
                label: "Text".into(),
                bbox: None,
                html: format!("<p>{}</p>", escape(text.trim())),
            });
        }
    }

    fn finish(mut self) -> Reading {
        self.keep_outside();
        if let Some(last) = self.open.last() {
            self.fault.get_or_insert_with(|| format!("<{}> is not closed", last.name));
        }
        for element in std::mem::take(&mut self.open) {
            self.keep(element);
        }
        if !self.tagged {
            self.fault.get_or_insert_with(|| "the answer has no element of DocTags".into());
        }
        let blank = self.blocks.is_empty() && self.fault.is_none();
        Reading { blocks: self.blocks, blank, stray: 0, fault: self.fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::text_of;
    use proptest::prelude::*;

    #[test]
    fn a_page_becomes_blocks() {
        let answer = "<doctag><page_header><loc_50><loc_10><loc_450><loc_25>BULLETIN OFFICIEL</page_header>\n\
            <section_header_level_1><loc_1><loc_2><loc_3><loc_4>Décret n° 2-15</section_header_level_1>\n\
            <text><loc_50><loc_50><loc_250><loc_500>si a < b & <NOM> المملكة</text>\n\
            <ordered_list><list_item><loc_1><loc_2><loc_3><loc_4>un</list_item></ordered_list>\n\
            <unordered_list><list_item><loc_1><loc_2><loc_3><loc_4>deux</list_item></unordered_list>\n\
            <picture><loc_0><loc_0><loc_500><loc_250><logo><caption><loc_1><loc_2><loc_3><loc_4>Sceau</caption></picture>\n\
            <otsl><loc_1><loc_2><loc_3><loc_4><ched>Nom<ched>Prix<nl><fcel>x<fcel>12<nl></otsl>\n\
            <formula><loc_1><loc_2><loc_3><loc_4>a < b</formula></doctag><|end_of_text|>";
        let reading = parse(answer, 500);
        assert_eq!(reading.fault, None);
        let blocks: Vec<(&str, &str)> =
            reading.blocks.iter().map(|block| (block.label.as_str(), block.html.as_str())).collect();
        assert_eq!(
            blocks,
            [
                ("Page-Header", "<p>BULLETIN OFFICIEL</p>"),
                ("Section-Header", "<h2>Décret n° 2-15</h2>"),
                ("Text", "<p>si a &lt; b &amp; &lt;NOM&gt; المملكة</p>"),
                ("List-Group", "<ol><li>un</li></ol>"),
                ("List-Group", "<ul><li>deux</li></ul>"),
                ("Caption", "<p>Sceau</p>"),
                ("Image", ""),
                ("Table", "<table><tr><th>Nom</th><th>Prix</th></tr><tr><td>x</td><td>12</td></tr></table>"),
                ("Equation-Block", "<math display=\"block\">a &lt; b</math>"),
            ]
        );
        assert_eq!(reading.blocks[0].bbox, Some(BBox { left: 100, top: 20, right: 900, bottom: 50 }));
    }

    #[test]
    fn a_page_without_elements_is_blank_and_prose_is_a_fault() {
        assert!(parse("<doctag></doctag>", 500).blank);
        assert!(parse("<doctag>", 500).blank, "requests end the answer at </doctag>");
        assert_eq!(parse(" <|end_of_text|>", 500), Reading::default());
        let prose = parse("I cannot read this page.", 500);
        assert!(prose.fault.is_some() && prose.blocks.len() == 1);
    }

    #[test]
    fn a_cut_answer_is_a_fault_and_keeps_what_it_had() {
        let whole = "<doctag><text><loc_1><loc_2><loc_3><loc_4>un</text>\n";
        for (tail, last) in [
            ("<text><loc_1><loc_2><loc_3><loc_4>deux", "deux"),
            ("<text><loc_1><loc_2", "<loc_2"),
            ("<otsl><loc_1><loc_2><loc_3><loc_4><fcel>3<fcel>4<nl>", "3 4"),
            ("<text>deux<text>trois</text>", "deux"),
            ("deux</text>", "deux"),
        ] {
            let reading = parse(&format!("{whole}{tail}"), 500);
            assert!(reading.fault.is_some(), "{tail}");
            assert_eq!(text_of(&reading.blocks.last().unwrap().html).trim(), last, "{tail}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_no_letter_is_lost(
            raw in "(<doctag>|</doctag>|<text>|</text>|<otsl>|</otsl>|<fcel>|<lcel>|<ucel>|<nl>|<loc_7>|<picture>|</picture>|<caption>|</caption>|<list_item>|é|نص|<|>|&|\n){0,40}",
        ) {
            let reading = parse(&raw, 500);
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic() && !c.is_ascii()).count();
            let text: String = reading.blocks.iter().map(|block| text_of(&block.html)).collect();
            prop_assert_eq!(letters(&text), letters(&raw), "{:?}", text);
        }
    }
}
