//! Some pages of a document, as people write them.

use std::{ops::RangeInclusive, str::FromStr};

/// A document, and which of its pages: `fr/BO_7510_Fr.pdf:2-4,9`. What follows the last colon is pages if it looks like
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentPages {
    /// What stands before the colon.
    pub name: String,
    /// Page numbers, from 1; all pages where there are none.
    pub pages: Vec<RangeInclusive<u32>>,
}

/// No such page numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: pages are given as 3 or 1-5 or 1-5,8, counted from 1")]
pub struct ParsePagesError(String);

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
