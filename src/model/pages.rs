//! Selected pages of a document, as users write them.

use std::{fmt, ops::RangeInclusive, str::FromStr};

/// A document and some of its pages: `fr/BO_7510_Fr.pdf:2-4,9`. Text after the last colon counts as pages if it has
/// only digits, commas and hyphens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentPages {
    /// The text before the colon.
    pub name: String,
    /// Ranges of page numbers, from 1; empty for all pages.
    pub pages: Vec<RangeInclusive<u32>>,
}

/// Invalid page numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: pages are given as 3 or 1-5 or 1-5,8, counted from 1")]
pub struct ParsePagesError(String);

impl fmt::Display for DocumentPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (place, range) in self.pages.iter().enumerate() {
            f.write_str(if place == 0 { ":" } else { "," })?;
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{first}")?,
                (first, last) => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for DocumentPages {
    type Err = ParsePagesError;

    fn from_str(text: &str) -> Result<Self, ParsePagesError> {
        let looks_like_pages = |text: &str| text.chars().all(|c| c.is_ascii_digit() || "-,".contains(c));
        let (name, pages) = match text.rsplit_once(':') {
            Some((name, pages)) if looks_like_pages(pages) => (name, pages),
            _ => return Ok(DocumentPages { name: text.into(), pages: Vec::new() }),
        };
        let wrong = || ParsePagesError(pages.into());
        let number = |text: &str| u32::from_str(text).ok().filter(|number| *number > 0).ok_or_else(wrong);
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let range = number(first)?..=number(last)?;
            if range.is_empty() { Err(wrong()) } else { Ok(range) }
        };
        Ok(DocumentPages { name: name.into(), pages: pages.split(',').map(range).collect::<Result<_, _>>()? })
    }
}
