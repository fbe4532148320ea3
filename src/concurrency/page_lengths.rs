//! How long the answer for a page will be, before an engine is asked.

use std::collections::HashMap;

use crate::model::DocumentId;

use super::Length;

/// Predicts the length of answers from the ink of an image, and from the tokens for an ink that the pages of the same
/// document had. Print differs between documents: letters for an ink by a factor of four (`engine::acceptance`).
#[derive(Debug, Default)]
pub struct PageLengths {
    all: Answered,
    documents: HashMap<DocumentId, Answered>,
}

/// Sums over answered images.
#[derive(Debug, Clone, Copy, Default)]
struct Answered {
    images: f32,
    ink: f32,
    tokens: f32,
}

impl Answered {
    fn add(&mut self, ink: f32, tokens: f32) {
        (self.images, self.ink, self.tokens) = (self.images + 1.0, self.ink + ink, self.tokens + tokens);
    }
}

impl PageLengths {
    /// An engine answered an image of this document, with `ink` square inches of ink, by so many tokens.
    pub fn add(&mut self, document: DocumentId, ink: f32, tokens: u32) {
        self.all.add(ink, tokens as f32);
        self.documents.entry(document).or_default().add(ink, tokens as f32);
    }

    /// The expected tokens for an image of this document with `ink` square inches of ink. Before the first answer it is
    /// the ink, which gives the same order.
    pub fn expected(&self, document: DocumentId, ink: f32) -> Length {
        if self.all.ink <= 0.0 {
            return Length(ink);
        }
        let usual = self.all.tokens / self.all.ink;
        let page = self.all.ink / self.all.images;
        let Answered { ink: seen, tokens, .. } = self.documents.get(&document).copied().unwrap_or_default();
        // The document counts as if one usual page of it had been read before.
        Length(ink * (tokens + usual * page) / (seen + page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_long_as_its_ink_and_its_document_say() {
        let (dense, light) = (DocumentId(0), DocumentId(1));
        let mut lengths = PageLengths::default();
        assert!(lengths.expected(dense, 3.0) > lengths.expected(light, 2.0));
        for _ in 0..9 {
            lengths.add(dense, 2.0, 4_000);
            lengths.add(light, 2.0, 1_000);
        }
        let [Length(of_dense), Length(of_light), Length(of_new)] =
            [dense, light, DocumentId(2)].map(|document| lengths.expected(document, 2.0));
        assert!((of_dense - 3_850.0).abs() < 1.0 && (of_light - 1_150.0).abs() < 1.0, "{of_dense} {of_light}");
        assert!((of_new - 2_500.0).abs() < 1.0, "{of_new}");
    }
}
