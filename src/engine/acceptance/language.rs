//! The language of a text, by its letters. The file name is no evidence: editions mix languages.

use crate::model::Language;

/// Fewer letters tell no language.
const ENOUGH_LETTERS: usize = 12;
/// Share of the rarer script, in hundredths of the letters, from which a text counts as mixed.
const EARNEST: usize = 20;

/// Number of letters of a text, by script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::engine) struct Letters {
    pub(in crate::engine) arabic: usize,
    pub(in crate::engine) latin: usize,
    /// Letters of scripts that no gazette is printed in: Cyrillic, Han, Hangul, Devanagari, Thai and all others.
    pub(in crate::engine) foreign: usize,
}

impl Letters {
    pub(in crate::engine) fn of(text: &str) -> Letters {
        let mut letters = Letters::default();
        for character in text.chars().filter(|character| character.is_alphabetic()) {
            match character {
                // The tatweel is a stroke, not a letter.
                '\u{0640}' => {}
                '\u{0600}'..='\u{06FF}'
                | '\u{0750}'..='\u{077F}'
                | '\u{0870}'..='\u{08FF}'
                | '\u{FB50}'..='\u{FDFF}'
                | '\u{FE70}'..='\u{FEFF}'
                | '\u{1EE00}'..='\u{1EEFF}' => letters.arabic += 1,
                // Includes raised letters (ᵉ, ᵐ), ligatures (ﬁ) and wide letters.
                'a'..='z'
                | 'A'..='Z'
                | '\u{00C0}'..='\u{024F}'
                | '\u{1D00}'..='\u{1DBF}'
                | '\u{1E00}'..='\u{1EFF}'
                | '\u{2C60}'..='\u{2C7F}'
                | '\u{A720}'..='\u{A7FF}'
                | '\u{FB00}'..='\u{FB06}'
                | '\u{FF21}'..='\u{FF3A}'
                | '\u{FF41}'..='\u{FF5A}' => letters.latin += 1,
                // Not counted: symbols that Unicode calls letters (ª, µ, №, ℓ), Greek of formulas, Tifinagh of the
                // State's emblems.
                '\u{0080}'..='\u{00BF}'
                | '\u{0250}'..='\u{03FF}'
                | '\u{2000}'..='\u{2BFF}'
                | '\u{2D30}'..='\u{2D7F}'
                | '\u{1D400}'..='\u{1D7FF}' => {}
                _ => letters.foreign += 1,
            }
        }
        letters
    }

    pub(in crate::engine) fn all(self) -> usize {
        self.arabic + self.latin + self.foreign
    }
}

/// The language of plain text.
pub fn language_of(text: &str) -> Language {
    let Letters { arabic, latin, .. } = Letters::of(text);
    let letters = arabic + latin;
    if letters < ENOUGH_LETTERS {
        Language::Unknown
    } else if arabic.min(latin) * 100 >= letters * EARNEST {
        Language::Mixed
    } else if arabic > latin {
        Language::Arabic
    } else {
        Language::French
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_tells_the_language() {
        let table = [
            ("Le ministre de l’économie et des finances", Language::French),
            ("وزير الاقتصاد والمالية وإصلاح الإدارة", Language::Arabic),
            ("وزير الاقتصاد والمالية وإصلاح الإدارة SARL", Language::Arabic),
            ("وزير الاقتصاد والمالية Ministre de l’économie", Language::Mixed),
            ("12 345,67 …", Language::Unknown),
            ("n° 5", Language::Unknown),
            ("ــــــــــــــــــــــــــــــ", Language::Unknown),
        ];
        for (text, language) in table {
            assert_eq!(language_of(text), language, "{text}");
        }
    }

    #[test]
    fn letters_of_other_scripts_are_foreign_and_symbols_are_not() {
        let foreign = |text| Letters::of(text).foreign;
        assert_eq!(foreign("法令 закон 법률 กฎ विधि"), 15);
        assert_eq!(foreign("n° 5, 1º, 12 µm, №, α ≤ β, ℓ, 𝑥, ⵜⴰⴳⵍⴷⵉⵜ, ﻻ, ﷲ, œuvre"), 0);
    }

    #[test]
    fn every_form_of_a_latin_or_arabic_letter_is_one() {
        let of = |text| Letters::of(text);
        assert_eq!(of("1ᵉʳ, 2ᵉ, ﬁﬂ, Ａｂ, ꝏ, ⱡ"), Letters { latin: 8, ..Letters::default() });
        assert_eq!(of("\u{1EE00}\u{1EE01}"), Letters { arabic: 2, ..Letters::default() });
    }

    #[test]
    fn real_pages_are_told_apart() {
        assert_eq!(language_of(include_str!("../../../tests/data/engine/contents-fr.txt")), Language::French);
        assert_eq!(language_of(include_str!("../../../tests/data/engine/page-ar.txt")), Language::Arabic);
    }
}
