//! Quotes words so that a shell reads them back unchanged.

use std::{ffi::OsStr, fmt::Write as _};

/// Characters with a meaning to a shell at any position.
const SPECIAL: &str = " \t'\"\\|&;()<>!{}*[]?^$`,";

/// A command as one line for a shell, quoted like bash's `printf %q`.
pub(super) fn shell_line<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> String {
    words.into_iter().map(shell_word).collect::<Vec<_>>().join(" ")
}

fn shell_word(word: &OsStr) -> String {
    match word.to_str() {
        Some("") => "''".to_owned(),
        Some(text) if !text.chars().any(char::is_control) => escape_special(text),
        _ => escape_bytes(word.as_encoded_bytes()),
    }
}

fn escape_special(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut previous = None;
    for character in text.chars() {
        let begins_home = character == '~' && matches!(previous, None | Some(':' | '='));
        let begins_comment = character == '#' && previous.is_none();
        if SPECIAL.contains(character) || begins_home || begins_comment {
            escaped.push('\\');
        }
        escaped.push(character);
        previous = Some(character);
    }
    escaped
}

/// Quotes a word with control characters or with bytes that are no UTF-8: such bytes become octal numbers.
fn escape_bytes(bytes: &[u8]) -> String {
    let mut escaped = "$'".to_owned();
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => escaped.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => escaped.push(char::from(*byte)),
            _ => {
                // Writing into a string cannot fail.
                let _ = write!(escaped, "\\{byte:03o}");
            }
        }
    }
    escaped.push('\'');
    escaped
}

#[cfg(test)]
mod tests {
    use std::{os::unix::ffi::OsStrExt, process::Command};

    use super::*;

    #[test]
    fn bash_reads_back_every_word() {
        let words: [&[u8]; 14] = [
            b"",
            b"plain/path-1.pdf",
            b"n1:2,n2:2",
            b"a b",
            b"it's",
            b"$(touch x)",
            b"a\\b",
            b"~",
            b"a=~",
            b"#",
            b"{a,b}",
            b"two\nlines",
            "العربية".as_bytes(),
            b"\xff'\\",
        ];
        for word in words {
            let script = format!("printf %s {}", shell_line([OsStr::from_bytes(word)]));
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(output.stdout, word, "{script}");
        }
        assert_eq!(shell_line([OsStr::new("--host"), OsStr::new("n1:2,n2:2")]), "--host n1:2\\,n2:2");
    }
}
