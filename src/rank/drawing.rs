//! Drawing a page in one of its views, within the rank's memory for images.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::{
    corpus::Original,
    engine::{Expectation, PageImage},
    imaging::{DrawnPage, RenderFailure, RenderJob},
    model::{Attempt, FailureClass, ImageFacts, Language, MachineFault, View},
    retry::blank_check::Look,
};

use super::page::PageTask;

/// A page in one of its views, and its share of the rank's memory bound, held for as long as its bytes are.
pub(super) struct HeldPage {
    pub(super) page: DrawnPage,
    edition: Language,
    _share: OwnedSemaphorePermit,
}

impl HeldPage {
    pub(super) fn shows(&self, view: View) -> bool {
        self.page.parts.iter().all(|part| part.shown.view == view)
    }

    /// Number of its images.
    pub(super) fn parts(&self) -> usize {
        self.page.parts.len()
    }

    /// One of its images, as it is sent; `None` behind the last.
    pub(super) fn image(&self, part: usize) -> Option<HeldImage> {
        let drawn = self.page.parts.get(part)?;
        // A page may be in another language than the issue that it stands in.
        let edition = if self.page.layout.script == self.edition { self.edition } else { Language::Unknown };
        let expects = Expectation::of(edition, &drawn.facts);
        let image = PageImage { png: drawn.png.clone(), shown: drawn.shown, place: drawn.place, expects };
        Some(HeldImage { image, facts: drawn.facts, blank: drawn.blank })
    }
}

/// One image of a page.
pub(super) struct HeldImage {
    pub(super) image: PageImage,
    facts: ImageFacts,
    /// There is nothing on it to read, as far as ink tells.
    pub(super) blank: bool,
}

impl HeldImage {
    /// What is known of it besides an answer; it is one of `parts`.
    pub(super) fn look(&self, parts: usize, decides: bool) -> Look {
        let ink = self.facts.ink * self.facts.size.area() as f32 / (self.facts.dpi * self.facts.dpi);
        Look { shown: self.image.shown, parts, inked: !self.blank, ink, decides }
    }
}

/// What came of drawing a page.
pub(super) enum Drawn {
    Page(HeldPage),
    /// There is no such view of the page: no place to cut it at, it cannot be drawn so, or the engine would see
    /// the same again.
    NoSuchView,
    /// The page, or its document, cannot be drawn.
    Failed(FailureClass, String),
}

impl PageTask {
    /// Draws a view. Waits for memory: whoever calls holds none, and no place at a server either, since both
    /// are waited for by others who hold the other.
    pub(super) async fn draw(&self, view: View) -> Result<Drawn, MachineFault> {
        let profile = &self.context.engine(self.unit.engine)?.profile;
        let document = self.document();
        // Before the size is known, the share is that of the largest image that the rule allows, uncompressed.
        let largest = profile.image.max_pixels.saturating_mul(3);
        let mut share = self.context.image_memory.acquire(largest).await?;
        let job = RenderJob {
            document: document.path.clone(),
            password: self.context.configuration.password_for(&document.name).map(str::to_owned),
            page: self.page.page,
            rule: profile.image,
            layout: profile.layout,
            view,
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
                let Some(page) = drawn else { return Ok(Drawn::NoSuchView) };
                self.context.count_image(&page.facts);
                if view == View::Reduced && !self.saves_tokens(&page)? {
                    return Ok(Drawn::NoSuchView);
                }
                self.context.image_memory.shrink(&mut share, u64::from(page.facts.encoded_bytes));
                Ok(Drawn::Page(HeldPage { page, edition: document.edition.language, _share: share }))
            }
        }
    }

    /// Whether the image that failed last costs the engine less in this view of the page. One that does not is nothing new
    /// to it: DeepSeek-OCR scales every page to the same tiles (facts of the engines, B.2).
    fn saves_tokens(&self, page: &DrawnPage) -> Result<bool, MachineFault> {
        let tokens = &self.context.engine(self.unit.engine)?.profile.visual_tokens;
        let of_whole =
            |attempt: &Attempt| attempt.served_by.engine == self.unit.engine && attempt.shown.view == View::Whole;
        let Some(before) = self.counting().into_iter().rev().find(of_whole).map(|attempt| attempt.shown) else {
            return Ok(true);
        };
        let now = page.parts.iter().map(|part| part.shown).max_by_key(|shown| shown.bbox.shared_with(before.bbox));
        Ok(now.is_none_or(|now| tokens.count(now.size) < tokens.count(before.size)))
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
