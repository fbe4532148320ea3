//! The language of a text, by its letters. The file name's word is not trusted: editions mix.

use crate::model::Language;

/// Fewer letters say nothing.
const ENOUGH_LETTERS: usize = 12;
/// Share of the second script, in hundredths, from which on both are there in earnest.
const EARNEST: usize = 20;

/// The language of plain text.
pub fn language_of(text: &str) -> Language {
    let (mut arabic, mut latin) = (0_usize, 0_usize);
    for character in text.chars().filter(|character| character.is_alphabetic()) {
        match character {
            // The tatweel is a stroke, not a letter.
            '\u{0640}' => {}
            '\u{0600}'..='\u{06FF}' | '\u{0750}'..='\u{077F}' | '\u{FB50}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFF}' => {
                arabic += 1;
            }
            'a'..='z' | 'A'..='Z' | '\u{00C0}'..='\u{024F}' => latin += 1,
            _ => {}
        }
    }
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
    fn real_pages_are_told_apart() {
        assert_eq!(language_of(include_str!("../../tests/data/engine/contents-fr.txt")), Language::French);
        assert_eq!(language_of(include_str!("../../tests/data/engine/page-ar.txt")), Language::Arabic);
    }
}
