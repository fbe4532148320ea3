//! Text for standard output and standard error, which may be terminals.
//!
//! Names of files, answers of servers and messages of other programs may contain any character. Control characters
//! among them would move the cursor of a terminal, hide lines or change its settings: every text is written through
//! this module.

use std::{
    fmt::Write as _,
    io::{self, ErrorKind, Write},
};

/// `text` with its control characters as escapes, e.g. `\u001b`. Line breaks and tabs stay. JSON stays the same JSON.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !matches!(character, '\n' | '\t') {
            // Writing to a `String` cannot fail.
            let _ = write!(printable, "\\u{:04x}", u32::from(character));
        } else {
            printable.push(character);
        }
    }
    printable
}

/// `text` as [`printable`], and with line breaks and tabs as `\n` and `\t`: for a name or a reason within a line.
pub fn on_one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// Writes text to standard output. A closed pipe is no error: the reader may have seen enough, as `head` has.
///
/// # Errors
/// Standard output cannot be written, e.g. because it is a file on a full disk.
pub fn write_stdout(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(printable(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes text to standard error. An error is ignored: there is no other place to report it.
pub fn write_stderr(text: &str) {
    let _ = io::stderr().write_all(printable(text).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_on_one_line_has_no_line_break() {
        assert_eq!(on_one_line("a\nb\tc\r"), "a\\nb\\tc\\u000d");
    }

    #[test]
    fn control_characters_are_escaped_and_text_stays() {
        let name = "a\u{1b}[2J\r\u{9b}31m\u{7f}المادة 1\n\tb";
        assert_eq!(printable(name), "a\\u001b[2J\\u000d\\u009b31m\\u007fالمادة 1\n\tb");
        let json = serde_json::json!({ "document": name }).to_string();
        let value: serde_json::Value = serde_json::from_str(&printable(&json)).unwrap();
        assert_eq!(value["document"], name);
    }
}
