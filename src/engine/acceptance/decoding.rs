//! Signs that the bytes of a text were decoded wrongly. No gazette prints any of them.
//!
//! | sign | comes from |
//! |---|---|
//! | U+FFFD, control characters, noncharacters, private use | bytes that are no character |
//! | `Ã©`, `Ø§`, `â€™` | UTF-8 that was read as Latin-1 or Windows-1252 |
//! | `ĠVu`, `▁Vu` | the spaces of a tokenizer |
//! | `<0xD8>`, `\u0627` | bytes and characters that were written out |

/// Characters of Windows-1252 whose bytes are 0x80 to 0x9F.
const WINDOWS: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";

/// Most replacement characters that stand for one character of the page: each of its bytes may become one.
const LONGEST_CHARACTER: usize = 4;

/// Number of signs in the text. Replacement characters in a row that may stand for one character are one sign.
pub(super) fn broken_signs(text: &str) -> usize {
    let mut signs = 0;
    let mut in_a_row = 0;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let next = rest.clone().next();
        let behind = rest.as_str();
        in_a_row = if character == char::REPLACEMENT_CHARACTER { in_a_row + 1 } else { 0 };
        signs += usize::from(match character {
            '\t' | '\n' | '\r' | '\u{C}' => false,
            char::REPLACEMENT_CHARACTER => in_a_row % LONGEST_CHARACTER == 1,
            '\u{FDD0}'..='\u{FDEF}' | '\u{E000}'..='\u{F8FF}' | '\u{F0000}'.. => true,
            '\u{120}' | '\u{2581}' => next.is_some_and(char::is_alphanumeric),
            // The first bytes of two-byte characters: é is Ã©, ° is Â°, œ is Å“, ا is Ø§.
            'Â' | 'Ã' | 'Å' | 'Ø' | 'Ù' | 'Ú' | 'Û' => next.is_some_and(continues),
            'â' => behind.starts_with(['\u{80}', '€']),
            '<' => is_byte(behind),
            '\\' => is_escape(behind),
            _ => character.is_control() || u32::from(character) & 0xFFFE == 0xFFFE,
        });
    }
    signs
}

/// Whether the character stands for a byte within a character of UTF-8.
fn continues(character: char) -> bool {
    matches!(character, '\u{80}'..='\u{BF}') || WINDOWS.contains(character)
}

/// `0xD8>`
fn is_byte(text: &str) -> bool {
    let Some(number) = text.strip_prefix("0x") else { return false };
    number.get(..2).is_some_and(is_hexadecimal) && number[2..].starts_with('>')
}

/// `u0627`
fn is_escape(text: &str) -> bool {
    text.strip_prefix('u').and_then(|number| number.get(..4)).is_some_and(is_hexadecimal)
}

fn is_hexadecimal(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_is_counted() {
        let table = [
            ("d\u{FFFD}cret \u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}", 2),
            ("\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}", 2),
            ("DÃ©cret nÂ° 5, lâ€™arrÃªtÃ©", 5),
            ("Ø§Ù„Ù…Ø§Ø¯Ø©", 6),
            ("ĠVu Ġla Ġloi", 3),
            ("▁Vu▁la", 2),
            ("<0xD8><0xA7>", 2),
            ("\\u0627\\u0644", 2),
            ("a\u{0}b\u{85}c\u{E000}d\u{FFFE}", 4),
        ];
        for (text, signs) in table {
            assert_eq!(broken_signs(text), signs, "{text}");
        }
    }

    #[test]
    fn what_gazettes_print_is_no_sign() {
        let pages = [
            include_str!("../../../tests/data/truth/BO_7510_Fr/p004.txt"),
            include_str!("../../../tests/data/truth/BO_7412_Ar/p003.txt"),
            "OÙ, ÂGE, Île, âgé, « CAFÉ » ; société\u{A0}» ; 5 < 0x10 ; \\alpha \\underline{u} ; ⵜⴰⴳ ; ﷲ ; \u{200F}١٢",
        ];
        for page in pages {
            assert_eq!(broken_signs(page), 0, "{}", &page[..20]);
        }
    }
}
