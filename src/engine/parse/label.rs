//! Labels of blocks, as engines give them.

/// Most characters of a label. The longest that an engine knows has 16.
const LONGEST: usize = 64;

/// The label in one line, without control characters and at most 64 characters long; `Text` if nothing is left.
pub fn clean(label: &str) -> String {
    let words = label.split(|char: char| char.is_whitespace() || char.is_control()).filter(|word| !word.is_empty());
    let mut line: String = words.collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect();
    line.truncate(line.trim_end().len());
    if line.is_empty() { "Text".into() } else { line }
}

/// The label of another dialect in Chandra's vocabulary; an unknown one stays as it is.
pub fn common(label: &str) -> &str {
    let alike =
        |known: &&(&str, &str)| known.0.len() == label.len() && known.0.eq_ignore_ascii_case(&label.replace('-', "_"));
    KNOWN.iter().find(alike).map_or(label, |known| known.1)
}

/// Labels of DeepSeek-OCR, dots.ocr and DocTags, in lower case and with underscores, and Chandra's for the same.
const KNOWN: [(&str, &str); 38] = [
    ("title", "Section-Header"),
    ("sub_title", "Section-Header"),
    ("section_header", "Section-Header"),
    ("text", "Text"),
    ("paragraph", "Text"),
    ("handwritten_text", "Text"),
    ("table", "Table"),
    ("otsl", "Table"),
    ("chart", "Figure"),
    ("image", "Image"),
    ("picture", "Image"),
    ("figure", "Figure"),
    ("list", "List-Group"),
    ("list_item", "List-Group"),
    ("equation", "Equation-Block"),
    ("formula", "Equation-Block"),
    ("code", "Code-Block"),
    ("caption", "Caption"),
    ("image_caption", "Caption"),
    ("table_caption", "Caption"),
    ("figure_caption", "Caption"),
    ("code_caption", "Caption"),
    ("footnote", "Footnote"),
    ("table_footnote", "Footnote"),
    ("image_footnote", "Footnote"),
    ("page_footnote", "Footnote"),
    ("header", "Page-Header"),
    ("page_header", "Page-Header"),
    ("footer", "Page-Footer"),
    ("page_footer", "Page-Footer"),
    ("page_number", "Page-Footer"),
    ("form", "Form"),
    ("key_value_region", "Form"),
    ("checkbox_selected", "Form"),
    ("checkbox_unselected", "Form"),
    ("document_index", "Table-Of-Contents"),
    ("reference", "Bibliography"),
    ("smiles", "Chemical-Block"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_short_line() {
        for (given, kept) in [
            ("Section-Header", "Section-Header"),
            (" Page\tHeader\n", "Page Header"),
            ("sce\u{0}au", "sce au"),
            ("\u{0}", "Text"),
            ("", "Text"),
            ("خاتم", "خاتم"),
        ] {
            assert_eq!(clean(given), kept, "{given:?}");
        }
        assert_eq!(clean(&"é".repeat(9000)).chars().count(), LONGEST);
    }
}
