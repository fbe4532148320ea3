//! Requests to read settled pages again: `--retry failed[=class,…]` and `--redo DOC[:PAGES]`.

use std::{collections::BTreeSet, fmt};

use crate::model::{DocumentPages, FailureClass, ParsePagesError};

/// A request to read settled pages again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReprocessRequest {
    /// Failed pages of these classes; of any class if empty.
    Failed(BTreeSet<FailureClass>),
    /// Pages of a document. The document is named as in the plan or by its file name.
    Document(DocumentPages),
}

/// A value of `--retry` or `--redo` that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseReprocessError {
    /// Not `failed` or `failed=class,…`.
    #[error("`{0}`: give `failed` or `failed=class,class`")]
    NotFailed(String),
    /// Not a failure class.
    #[error("`{0}` is not a failure class; the classes are: {known}", known = FailureClass::ALL.iter().map(|class| class.name()).collect::<Vec<_>>().join(", "))]
    Class(String),
    /// Invalid page numbers.
    #[error(transparent)]
    Pages(#[from] ParsePagesError),
}

impl ReprocessRequest {
    /// Parses the value of `--retry`.
    ///
    /// # Errors
    /// The value is not `failed[=class,…]`.
    pub fn retry(text: &str) -> Result<ReprocessRequest, ParseReprocessError> {
        let classes = match text.split_once('=') {
            None if text == "failed" => "",
            Some(("failed", classes)) => classes,
            _ => return Err(ParseReprocessError::NotFailed(text.into())),
        };
        let class = |name: &str| {
            let known = FailureClass::ALL.iter().find(|class| class.name() == name);
            known.copied().ok_or_else(|| ParseReprocessError::Class(name.into()))
        };
        let names = classes.split(',').filter(|name| !name.is_empty());
        Ok(ReprocessRequest::Failed(names.map(class).collect::<Result<_, _>>()?))
    }

    /// Parses the value of `--redo`.
    ///
    /// # Errors
    /// The page numbers are invalid.
    pub fn redo(text: &str) -> Result<ReprocessRequest, ParseReprocessError> {
        Ok(ReprocessRequest::Document(text.parse()?))
    }
}

impl fmt::Display for ReprocessRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReprocessRequest::Failed(classes) => {
                let names: Vec<_> = classes.iter().map(|class| class.name()).collect();
                write!(f, "retry failed={}", names.join(","))
            }
            ReprocessRequest::Document(pages) => write!(f, "redo {pages}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;

    #[test]
    fn the_words_of_retry_and_redo_become_requests() {
        assert_eq!(ReprocessRequest::retry("failed"), Ok(ReprocessRequest::Failed(BTreeSet::new())));
        let classes = [FailureClass::Loop, FailureClass::Poison];
        assert_eq!(ReprocessRequest::retry("failed=loop,poison"), Ok(ReprocessRequest::Failed(classes.into())));
        assert!(ReprocessRequest::retry("read").is_err());
        assert!(ReprocessRequest::retry("failed=lop").unwrap_err().to_string().contains("truncated"));
        let document = |name: &str, pages: &[RangeInclusive<u32>]| {
            Ok(ReprocessRequest::Document(DocumentPages { name: name.into(), pages: pages.to_vec() }))
        };
        assert_eq!(ReprocessRequest::redo("fr/BO_1.pdf"), document("fr/BO_1.pdf", &[]));
        assert_eq!(ReprocessRequest::redo("fr/BO_1.pdf:2-4,9"), document("fr/BO_1.pdf", &[2..=4, 9..=9]));
        assert_eq!(ReprocessRequest::redo("odd:name.pdf"), document("odd:name.pdf", &[]));
        assert_eq!(ReprocessRequest::redo("a.pdf:2-4,9").unwrap().to_string(), "redo a.pdf:2-4,9");
        assert_eq!(ReprocessRequest::redo("a.pdf").unwrap().to_string(), "redo a.pdf");
        assert!(ReprocessRequest::redo("fr/BO_1.pdf:0").is_err() && ReprocessRequest::redo("fr/BO_1.pdf:4-2").is_err());
    }
}
