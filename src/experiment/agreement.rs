//! How far the texts of two runs agree.

use std::{collections::BTreeMap, path::Path};

use rayon::prelude::*;

use crate::{
    engine::text_of,
    model::PageIndex,
    store::{Reader, StoreError},
};

/// A page by its document's name.
type Page = (String, PageIndex);

/// The texts of a run, by page; empty for a page that was not read.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts(BTreeMap<Page, String>);

impl Texts {
    /// Reads all texts of a run directory.
    ///
    /// # Errors
    /// A shard is missing or damaged.
    pub(super) fn of(run_directory: &Path) -> Result<Texts, StoreError> {
        let mut reader = Reader::open(run_directory)?;
        let mut texts = BTreeMap::new();
        for document in reader.documents().to_vec() {
            for record in reader.read_document(document.id)? {
                let parts: Vec<String> = record.parts.iter().map(|part| text_of(&part.html)).collect();
                let words: Vec<&str> = parts.iter().flat_map(|part| part.split_whitespace()).collect();
                texts.insert((document.name.clone(), record.page.page), words.join(" "));
            }
        }
        Ok(Texts(texts))
    }

    /// Agreement of each page with the same page of `other`: 1 less the number of changed characters (Levenshtein)
    /// divided by the length of the longer text. 1 where both are empty.
    pub(super) fn agreement(&self, other: &Texts) -> Vec<f64> {
        let pairs: Vec<_> = self.0.iter().filter_map(|(page, text)| Some((text, other.0.get(page)?))).collect();
        pairs.into_par_iter().map(|(one, other)| strsim::normalized_levenshtein(one, other)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_the_share_of_characters_that_are_the_same() {
        let texts = |pages: &[&str]| {
            let page = |(number, text): (u32, &&str)| (("a.pdf".to_owned(), PageIndex(number)), (*text).to_owned());
            Texts((0..).zip(pages).map(page).collect())
        };
        let base = texts(&["abcd", "الجريدة", "", "same"]);
        let other = texts(&["abce", "الجريدة", "", "another length", "a page more"]);
        let agreement = base.agreement(&other);
        assert_eq!(agreement[..3], [0.75, 1.0, 1.0]);
        assert!(agreement.len() == 4 && agreement[3] < 0.5, "{agreement:?}");
    }
}
