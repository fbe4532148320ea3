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
