//! Quotes words for bash.

/// A word with a control character, which no script may contain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` contains a line break or another control character: rename it", .0.escape_debug())]
pub struct ControlCharacter(pub String);

/// The word as bash reads it back: unchanged if none of its characters is special to bash, else in single quotes.
///
/// # Errors
/// The word has a control character.
pub fn quote(word: &str) -> Result<String, ControlCharacter> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_./:=,@%+-".contains(character);
    if word.chars().any(char::is_control) {
        return Err(ControlCharacter(word.to_owned()));
    }
    Ok(if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn bash_reads_back_what_was_quoted() {
        for word in
            ["", "plain/path-1.pdf", "a b", "it's", "''", "\"", "$(touch x)", "`x`", "a\\b", "العربية", "~", "*"]
        {
            let script = format!("printf %s {}", quote(word).unwrap());
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn a_line_end_is_refused_and_shown_as_one() {
        assert!(quote("a\nb").unwrap_err().to_string().starts_with("`a\\nb` contains a line break"));
    }
}
