//! Reads issue number, suffix and language from the file name of a gazette.

use crate::model::{Edition, Language};

/// Latin ordinal suffixes of extra issues.
const SUFFIXES: [&str; 4] = ["bis", "ter", "quater", "quinquies"];
/// Longer numbers are not issue numbers: no gazette has a number of six digits.
const MOST_DIGITS: usize = 5;

/// Reads number, suffix and language from a file name in any of the forms in use (`docs/facts/corpus.md`, "File
/// names"), e.g. `BO_7500_Fr.pdf`, `BO_7488-bis_Fr.pdf`, `BO_7460-bis Fr.pdf`, `BO_7522bis_Ar.pdf`,
/// `BO_6758_Fr_44cf83d3.pdf`. A value that is not in the name stays unknown.
pub fn edition(file_name: &str) -> Edition {
    let lower = file_name.to_lowercase().replace("%20", " ");
    let stem = lower.strip_suffix(".pdf").unwrap_or(&lower);
    let mut edition = Edition { number: None, suffix: None, language: Language::Unknown };
    for word in stem.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.strip_prefix("bo").unwrap_or(word);
        let (digits, letters) =
            word.split_at(word.find(|character: char| !character.is_ascii_digit()).unwrap_or(word.len()));
        let numbered = (1..=MOST_DIGITS).contains(&digits.len());
        if edition.number.is_none() && numbered && (letters.is_empty() || SUFFIXES.contains(&letters)) {
            edition.number = digits.parse().ok();
            edition.suffix = Some(letters.to_owned()).filter(|letters| !letters.is_empty());
        } else if edition.suffix.is_none() && SUFFIXES.contains(&word) {
            edition.suffix = Some(word.to_owned());
        } else if edition.language == Language::Unknown {
            edition.language = language(word);
        }
    }
    edition
}

fn language(word: &str) -> Language {
    match word {
        "fr" | "fra" | "fre" | "french" | "francais" | "français" => Language::French,
        "ar" | "ara" | "arabic" | "arabe" => Language::Arabic,
        _ => Language::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{Arabic, French, Unknown};

    #[test]
    fn names_in_the_wild_are_understood() {
        let names = [
            ("BO_7500_Fr.pdf", Some(7500), None, French),
            ("BO_7412_Ar.pdf", Some(7412), None, Arabic),
            ("BO_5705-bis_Ar.pdf", Some(5705), Some("bis"), Arabic),
            ("BO_7488-bis_Fr.pdf", Some(7488), Some("bis"), French),
            ("BO_7465-bis_fr.pdf", Some(7465), Some("bis"), French),
            ("BO_7460-bis Fr.pdf", Some(7460), Some("bis"), French),
            ("BO_7522bis_Ar.pdf", Some(7522), Some("bis"), Arabic),
            ("BO_6758_Fr_44cf83d3.pdf", Some(6758), None, French),
            ("BO_6758_Fr_44123456.pdf", Some(6758), None, French),
            ("bo_7000-TER_AR.PDF", Some(7000), Some("ter"), Arabic),
            ("BO-7500-Fr (1).pdf", Some(7500), None, French),
            ("BO%207500%20Fr.pdf", Some(7500), None, French),
            ("BO7500_Fr.pdf", Some(7500), None, French),
            ("BO_12_fr.pdf", Some(12), None, French),
            ("BO_7412_Ar_scan.pdf", Some(7412), None, Arabic),
            ("الجريدة_7412_Ar.pdf", Some(7412), None, Arabic),
            ("hugemono.pdf", None, None, Unknown),
            ("bulletin_20260416.pdf", None, None, Unknown),
            ("code_commerce_ar_nonembedded.pdf", None, None, Arabic),
            (".pdf", None, None, Unknown),
            ("", None, None, Unknown),
        ];
        for (name, number, suffix, language) in names {
            assert_eq!(edition(name), Edition { number, suffix: suffix.map(str::to_owned), language }, "{name}");
        }
    }
}
