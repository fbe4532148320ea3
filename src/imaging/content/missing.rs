//! The kinds of content that cannot be drawn.

use std::fmt;

/// Something that a page refers to and PDFium cannot draw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::imaging) enum Missing {
    /// The operators of the page, or of a form on it.
    Operators,
    /// An image or form that the page draws is not in the file, under this name.
    Object(String),
    /// An image, with the name of its compression.
    Image(&'static str),
    /// The program of a font that is in the file.
    FontProgram(String),
    /// A font that is not in the file, and what its codes mean is not in it either.
    Font(String),
    /// The value of a form field.
    Field(String),
    /// The text of a note.
    Note,
    /// Text is on the page, and none of it leaves ink.
    Text,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Operators => f.write_str("a content stream is missing or damaged"),
            Missing::Object(name) => write!(f, "the object {name} that the page draws is not in the file"),
            Missing::Image(compression) => write!(f, "an image ({compression}) is damaged"),
            Missing::FontProgram(name) => write!(f, "the font {name} is damaged"),
            Missing::Font(name) => write!(f, "the font {name} is not in the file, nor what its codes mean"),
            Missing::Field(name) => write!(f, "the form field {name} has a value and no appearance"),
            Missing::Note => f.write_str("a note has text and no appearance"),
            Missing::Text => f.write_str("no text of the page could be drawn"),
        }
    }
}
