//! Drawing a page in one of its views, within the rank's memory for images.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::{
    corpus::Original,
    engine::{Expectation, PageImage},
    imaging::{RenderFailure, RenderJob},
    model::{Attempt, FailureClass, ImageFacts, MachineFault, PixelSize, Shown, View},
};

use super::page::PageTask;

/// An encoded image and its share of the rank's memory bound, held for as long as its bytes are.
pub(super) struct HeldImage {
    pub(super) image: PageImage,
    pub(super) facts: ImageFacts,
    /// There is nothing on it to read, as far as ink tells.
    pub(super) blank: bool,
    _share: OwnedSemaphorePermit,
}

impl HeldImage {
    pub(super) fn shows(&self, view: View, part: u8) -> bool {
        (self.image.shown.view, self.image.shown.part) == (view, part)
    }
}

/// What came of drawing a page.
pub(super) enum Drawn {
    Image(HeldImage),
    /// There is no such view of the page: no place to cut it at, it cannot be drawn so, or the engine would see
    /// the same again.
    NoSuchView,
    /// The page, or its document, cannot be drawn.
    Failed(FailureClass, String),
}

impl PageTask {
    /// Draws a part of a view. Waits for memory: whoever calls holds none, and no place at a server either, since both
    /// are waited for by others who hold the other.
    pub(super) async fn draw(&self, view: View, part: u8) -> Result<Drawn, MachineFault> {
        let rule = self.context.engine(self.unit.engine)?.profile.image;
        let document = self.document();
        // Before the size is known, the share is that of the largest image that the rule allows, uncompressed.
        let largest = rule.max_pixels.saturating_mul(3);
        let mut share = self.context.image_memory.acquire(largest).await?;
        let job = RenderJob {
            document: document.path.clone(),
            password: self.context.configuration.password_for(&document.name).map(str::to_owned),
            page: self.page.page,
            rule,
            view,
            part,
        };
        let drawn = match self.context.renderers.render(job).await {
            Ok(drawn) => Ok(drawn),
            Err(RenderFailure::Page { class, reason }) => Err((class, reason)),
            Err(RenderFailure::PoolLost(reason)) => {
                tracing::error!("{reason}");
                return Err(MachineFault::RendererLost);
            }
        };
        match (self.original().await, drawn) {
            (Original::Changed { reason }, _) => Ok(Drawn::Failed(FailureClass::Changed, reason)),
            (Original::Unreachable { reason }, Err(_)) => {
                tracing::error!("{reason}");
                Err(MachineFault::InputLost)
            }
            (Original::Gone { reason }, Err(_)) => Ok(Drawn::Failed(FailureClass::Unreadable, reason)),
            (Original::AsPlanned, Err((class, reason))) if is_of_the_view(view, class) => {
                tracing::info!(view = view.name(), %class, "passed over: {reason}");
                Ok(Drawn::NoSuchView)
            }
            (Original::AsPlanned, Err((class, reason))) => Ok(Drawn::Failed(class, reason)),
            (Original::AsPlanned | Original::Gone { .. } | Original::Unreachable { .. }, Ok(drawn)) => {
                let Some(drawn) = drawn else { return Ok(Drawn::NoSuchView) };
                self.context.count_image(&drawn.facts);
                if view == View::Reduced && !self.saves_tokens(drawn.facts.size)? {
                    return Ok(Drawn::NoSuchView);
                }
                self.context.image_memory.shrink(&mut share, u64::from(drawn.facts.encoded_bytes));
                let shown = Shown { view, part, bbox: drawn.bbox, size: drawn.facts.size };
                let expects = Expectation::of(document.edition.language, &drawn.facts);
                Ok(Drawn::Image(HeldImage {
                    image: PageImage { png: drawn.png, shown, expects },
                    facts: drawn.facts,
                    blank: drawn.blank,
                    _share: share,
                }))
            }
        }
    }

    /// Whether an image of this size costs the engine less than the whole page that it was shown. One that does not is
    /// nothing new to it: DeepSeek-OCR scales every page to the same tiles (facts of the engines, B.2).
    fn saves_tokens(&self, size: PixelSize) -> Result<bool, MachineFault> {
        let tokens = &self.context.engine(self.unit.engine)?.profile.visual_tokens;
        let of_whole =
            |attempt: &Attempt| attempt.served_by.engine == self.unit.engine && attempt.shown.view == View::Whole;
        let whole = self.counting().into_iter().rev().find(of_whole).map(|attempt| attempt.shown.size);
        Ok(whole.is_none_or(|whole| tokens.count(size) < tokens.count(whole)))
    }

    /// How the document's file stands, now that the page was drawn or could not be.
    async fn original(&self) -> Original {
        // Without the context: a run that ends does not wait for a slow disk.
        let (originals, document) = (Arc::clone(&self.context.originals), self.page.document);
        let checked = tokio::task::spawn_blocking(move || originals.check(document));
        // The runtime ends only with the run.
        checked.await.unwrap_or(Original::AsPlanned)
    }
}

/// Whether a page that was drawn whole may fail so only because another view of it is drawn.
fn is_of_the_view(view: View, class: FailureClass) -> bool {
    use FailureClass::{RenderFailed, RenderTimeout, TooLarge};
    view != View::Whole && matches!(class, RenderFailed | RenderTimeout | TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_view_that_cannot_be_drawn_is_no_failure_of_the_page() {
        assert!(is_of_the_view(View::Halves, FailureClass::RenderTimeout));
        assert!(is_of_the_view(View::Reduced, FailureClass::TooLarge));
        assert!(!is_of_the_view(View::Whole, FailureClass::RenderFailed));
        assert!(!is_of_the_view(View::Halves, FailureClass::Encrypted));
    }
}
