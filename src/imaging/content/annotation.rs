//! Form fields and notes of a page: whether their text has an appearance, or PDFium makes one.

use hayro_syntax::{
    object::{Array, Dict, Object, Stream, String as PdfString},
    page::{Page, Resources},
};

use super::{missing::Missing, walk::Walk};

/// How many parents a field may get a value from.
const MOST_PARENTS: u32 = 8;
/// The flags of an annotation that is not shown (ISO 32000-1, table 165): hidden, not viewed.
const NOT_SHOWN: u32 = 1 << 1 | 1 << 5;

/// Examines the fields and notes of a page.
pub(super) fn walk(page: &Page<'_>, walk: &mut Walk) {
    let Some(annotations) = page.raw().get::<Array<'_>>("Annots") else { return };
    for annotation in annotations.iter::<Dict<'_>>() {
        if annotation.get::<u32>("F").unwrap_or(0) & NOT_SHOWN != 0 {
            continue;
        }
        let subtype = annotation.get::<hayro_syntax::object::Name<'_>>("Subtype");
        let (text, missing) = match subtype.as_deref() {
            Some(b"Widget") => {
                let name = inherited(&annotation, "T").map_or_else(String::new, |name| text_of(&name));
                (inherited(&annotation, "V"), Missing::Field(name))
            }
            Some(b"FreeText") => (annotation.get::<Object<'_>>("Contents"), Missing::Note),
            _ => continue,
        };
        match appearance(&annotation) {
            Appearance::Present(form) => walk.form(&form, &Resources::new(Dict::empty()), 0),
            Appearance::Lost => drop(walk.missing.insert(missing)),
            Appearance::None => {
                if text.is_some_and(|text| !is_drawn(&text_of(&text))) {
                    walk.missing.insert(missing);
                }
            }
        }
    }
}

enum Appearance<'a> {
    Present(Stream<'a>),
    /// It is not in the file.
    Lost,
    None,
}

fn appearance<'a>(annotation: &Dict<'a>) -> Appearance<'a> {
    let Some(appearances) = annotation.get::<Dict<'a>>("AP") else {
        return if annotation.get_ref("AP").is_some() { Appearance::Lost } else { Appearance::None };
    };
    match appearances.get::<Stream<'a>>("N") {
        Some(form) => Appearance::Present(form),
        // One for each state of a button.
        None if appearances.get::<Dict<'a>>("N").is_some() => Appearance::None,
        None if appearances.get_ref("N").is_some() => Appearance::Lost,
        None => Appearance::None,
    }
}

/// A value of a field, or of the next of its parents that has it.
fn inherited<'a>(field: &Dict<'a>, key: &str) -> Option<Object<'a>> {
    let mut field = field.clone();
    for _ in 0..MOST_PARENTS {
        if let Some(value) = field.get::<Object<'a>>(key) {
            return Some(value);
        }
        field = field.get::<Dict<'a>>("Parent")?;
    }
    None
}

/// The text of a string or of an array of them (ISO 32000-1, 7.9.2.2); empty for anything else.
fn text_of(value: &Object<'_>) -> String {
    match value {
        Object::String(string) => decode(string),
        Object::Array(strings) => strings.iter::<PdfString<'_>>().map(|string| decode(&string)).collect(),
        _ => String::new(),
    }
}

fn decode(string: &PdfString<'_>) -> String {
    match string.as_bytes() {
        [0xFE, 0xFF, units @ ..] => {
            let units: Vec<u16> = units.as_chunks::<2>().0.iter().map(|&unit| u16::from_be_bytes(unit)).collect();
            String::from_utf16_lossy(&units)
        }
        [0xEF, 0xBB, 0xBF, text @ ..] => String::from_utf8_lossy(text).into_owned(),
        bytes => bytes.iter().copied().map(char::from).collect(),
    }
}

/// Whether PDFium makes an appearance for this text: with its own fonts it draws Latin letters only.
fn is_drawn(text: &str) -> bool {
    text.chars().all(|char| char <= '\u{24F}' || !char.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin_text_is_drawn_and_arabic_is_not() {
        assert!(is_drawn("Société anonyme – 12 €"));
        assert!(is_drawn(""));
        assert!(!is_drawn("ظهير شريف"));
    }
}
