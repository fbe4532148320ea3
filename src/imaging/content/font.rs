//! Fonts of a document: which are not in the file, and whether their text can still be drawn.

use hayro_syntax::object::{Array, Dict, Name, Object, Stream};

use super::{missing::Missing, stream};

/// The keys under which a font descriptor has the font's program.
const PROGRAMS: [&str; 3] = ["FontFile", "FontFile2", "FontFile3"];

/// What of the text in this font cannot be drawn.
pub(super) fn missing(font: &Dict<'_>) -> Option<Missing> {
    let name = || face(font).unwrap_or_else(|| "without a name".into());
    match program(font) {
        Program::Whole => None,
        Program::Damaged => Some(Missing::FontProgram(name())),
        Program::Absent => (has_codes_of_its_own(font) && !has_meaning(font)).then(|| Missing::Font(name())),
    }
}

/// Whether a font is not in the file, and its codes stand for Arabic characters.
pub(super) fn is_absent_arabic(font: &Dict<'_>) -> bool {
    let arabic = || meanings(font).into_iter().any(is_arabic) || has_arabic_glyph_names(font);
    matches!(program(font), Program::Absent) && arabic()
}

/// Name of a font without its subset tag and without signs: `ABCDEF+Traditional Arabic,Bold` is
/// `traditionalarabicbold`. PDFium asks for a font by the beginning of this.
pub(super) fn face(font: &Dict<'_>) -> Option<String> {
    let name = font.get::<Name<'_>>("BaseFont")?;
    let name = name.as_str();
    let without_tag = name.split_once('+').map_or(name, |(_, name)| name);
    Some(plain_face(without_tag))
}

/// A name in the form of [`face`].
pub(in crate::imaging) fn plain_face(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The program of a font, which draws its glyphs.
enum Program {
    Whole,
    Damaged,
    /// The file relies on a font of the reader's system.
    Absent,
}

fn program(font: &Dict<'_>) -> Program {
    // A font of this type draws its glyphs with operators.
    if subtype(font).as_deref() == Some(b"Type3") {
        return Program::Whole;
    }
    let of_type_0 = descendant(font);
    let Some(descriptor) = of_type_0.as_ref().unwrap_or(font).get::<Dict<'_>>("FontDescriptor") else {
        return Program::Absent;
    };
    let Some(key) = PROGRAMS.into_iter().find(|key| descriptor.contains_key(key)) else { return Program::Absent };
    match descriptor.get::<Stream<'_>>(key) {
        Some(program) if stream::is_whole(&program) => Program::Whole,
        _ => Program::Damaged,
    }
}

fn subtype<'a>(font: &Dict<'a>) -> Option<Name<'a>> {
    font.get("Subtype")
}

/// The font that a font of type 0 gets its glyphs from.
fn descendant<'a>(font: &Dict<'a>) -> Option<Dict<'a>> {
    font.get::<Array<'a>>("DescendantFonts")?.iter::<Dict<'a>>().next()
}

/// Whether the codes of a font are numbers of its own glyphs, which mean nothing in another font.
fn has_codes_of_its_own(font: &Dict<'_>) -> bool {
    let encoding = font.get::<Name<'_>>("Encoding");
    let is_identity = encoding.is_some_and(|encoding| encoding.starts_with(b"Identity"));
    let ordering = descendant(font).and_then(|font| {
        let system = font.get::<Dict<'_>>("CIDSystemInfo")?;
        Some(system.get::<hayro_syntax::object::String<'_>>("Ordering")?.as_bytes().to_vec())
    });
    is_identity && ordering.is_none_or(|ordering| ordering == b"Identity")
}

fn has_meaning(font: &Dict<'_>) -> bool {
    !meanings(font).is_empty()
}

fn is_arabic(char: char) -> bool {
    matches!(char, '\u{600}'..='\u{6FF}' | '\u{750}'..='\u{77F}' | '\u{8A0}'..='\u{8FF}' | '\u{FB50}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}')
}

/// Whether an encoding names Arabic glyphs, as the Adobe Glyph List does: `afii57415`, `uni0627`, `uniFE8E`.
fn has_arabic_glyph_names(font: &Dict<'_>) -> bool {
    let Some(encoding) = font.get::<Dict<'_>>("Encoding") else { return false };
    let Some(differences) = encoding.get::<Array<'_>>("Differences") else { return false };
    let is_named = |object: Object<'_>| {
        let name = object.into_name();
        name.is_some_and(|name| {
            let code = name.as_str().strip_prefix("uni").and_then(|code| u32::from_str_radix(code, 16).ok());
            name.starts_with(b"afii57") || code.and_then(char::from_u32).is_some_and(is_arabic)
        })
    };
    differences.iter::<Object<'_>>().any(is_named)
}

/// The characters that the codes of a font stand for, by its `ToUnicode` map: of a range, the first. Longer ranges than
/// 256 codes are none that PDFium follows.
fn meanings(font: &Dict<'_>) -> Vec<char> {
    let map = font.get::<Stream<'_>>("ToUnicode").and_then(|map| Some(map.decoded_data().ok()?.into_owned()));
    map.map_or_else(Vec::new, |map| of_map(&String::from_utf8_lossy(&map)))
}

fn of_map(map: &str) -> Vec<char> {
    let section = |name: &str| -> Vec<String> {
        let (begin, end) = (format!("begin{name}"), format!("end{name}"));
        map.split(&begin).skip(1).filter_map(|rest| Some(rest.split(&end).next()?.to_owned())).collect()
    };
    let number = |code: &str| u32::from_str_radix(code, 16).ok();
    let singles = section("bfchar").iter().flat_map(|text| codes(text)).collect::<Vec<_>>();
    let ranges = section("bfrange").iter().flat_map(|text| codes(text)).collect::<Vec<_>>();
    let of_singles = singles.chunks_exact(2).map(|pair| pair[1].clone());
    let of_ranges = ranges.chunks_exact(3).filter_map(|range| {
        let (first, last) = (number(&range[0])?, number(&range[1])?);
        (last.checked_sub(first)? < 256).then(|| range[2].clone())
    });
    let first_unit = |code: String| number(code.get(..4).unwrap_or(&code)).filter(|&unit| unit > 0);
    of_singles.chain(of_ranges).filter_map(first_unit).filter_map(char::from_u32).collect()
}

/// The hexadecimal codes of a section. The list of a range counts as its first code.
fn codes(section: &str) -> Vec<String> {
    let mut codes = Vec::new();
    let mut rest = section;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((code, after)) = after.split_once('>') else { break };
        let list_of = before.contains('[');
        codes.push(code.split_whitespace().collect());
        rest = if list_of { after.split_once(']').map_or("", |(_, after)| after) } else { after };
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_gives_the_characters_of_its_codes() {
        let map = "2 beginbfchar\n<00ba> <0640>\n<0164> <FE98>\nendbfchar\n\
                   3 beginbfrange\n<0151> <0152> <FE8C>\n<01> <03> [<0041> <0042> <0043>]\n<0000> <FFFF> <0000>\nendbfrange";
        assert_eq!(of_map(map), ['\u{640}', '\u{FE98}', '\u{FE8C}', 'A']);
        assert_eq!(of_map("1 beginbfrange <0000><FFFF><0000> endbfrange").len(), 0);
        assert_eq!(of_map("beginbfchar <00").len(), 0);
    }

    #[test]
    fn a_face_has_no_tag_and_no_signs() {
        assert_eq!(plain_face("Traditional Arabic,Bold"), "traditionalarabicbold");
    }
}
