//! Renders a page in one of its views, within the rank's memory for images.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::{
    corpus::SourceState,
    engine::{Expectation, PageImage},
    imaging::{EncodedPage, RenderFailure, RenderJob},
    model::{Attempt, FailureClass, ImageFacts, Language, MachineFault, View},
    retry::blank_check::ImageEvidence,
};

use super::{progress::PageProgress, task::PageTask};

/// A page in one of its views. It holds its share of the rank's image memory as long as its bytes.
pub(super) struct RenderedPage {
    pub(super) page: EncodedPage,
    edition: Language,
    _share: OwnedSemaphorePermit,
}

impl RenderedPage {
    pub(super) fn shows(&self, view: View) -> bool {
        self.page.parts.iter().all(|part| part.shown.view == view)
    }

    /// Ink of the images from this one on that have something to read, in square inches.
    pub(super) fn ink_from(&self, part: usize) -> f32 {
        self.page.parts.iter().skip(part).filter(|part| !part.blank).map(|part| part.facts.ink_area()).sum()
    }

    /// One of its images as it is sent; `None` after the last.
    pub(super) fn image(&self, part: usize) -> Option<PartImage> {
        let drawn = self.page.parts.get(part)?;
        // A page may be in another language than its issue.
        let edition = if self.page.layout.script == self.edition { self.edition } else { Language::Unknown };
        let expects = Expectation::of(edition, &drawn.facts);
        let image = PageImage { png: drawn.png.clone(), shown: drawn.shown, place: drawn.place, expects };
        Some(PartImage { image, parts: self.page.parts.len(), facts: drawn.facts, blank: drawn.blank })
    }
}

/// One image of a page.
pub(super) struct PartImage {
    pub(super) image: PageImage,
    /// Number of images of the page in this view.
    pub(super) parts: usize,
    facts: ImageFacts,
    /// By its ink, it has nothing to read.
    pub(super) blank: bool,
}

impl PartImage {
    /// Its ink, in square inches.
    pub(super) fn ink(&self) -> f32 {
        self.facts.ink_area()
    }

    /// Evidence besides the engine's answer. `decides`: the image is the last of its page, and none before it had text.
    pub(super) fn evidence(&self, decides: bool) -> ImageEvidence {
        let ink = self.ink();
        ImageEvidence { shown: self.image.shown, parts: self.parts, inked: !self.blank, ink, decides }
    }
}

/// Result of rendering a page.
pub(super) enum RenderOutcome {
    Page(RenderedPage),
    /// The page has no such view: it cannot be cut or rendered in this way, or the engine would see the same image
    /// again.
    NoSuchView,
    /// The page or its document cannot be rendered.
    Failed(FailureClass, String),
}

/// Renders a view. It waits for image memory. The caller must hold neither image memory nor a request slot: other pages
/// wait for the one while they hold the other, which would be a deadlock.
pub(super) async fn render(
    task: &PageTask,
    progress: &PageProgress,
    view: View,
) -> Result<RenderOutcome, MachineFault> {
    let profile = &task.context.engine(task.unit.engine)?.profile;
    let document = task.document();
    // Until the size is known, the share is that of the largest image that the profile allows, uncompressed.
    let largest = profile.image.max_pixels.saturating_mul(3);
    let mut share = task.context.image_memory.acquire(largest).await?;
    let job = RenderJob {
        document: document.path.clone(),
        password: task.context.configuration.password_for(&document.name).map(str::to_owned),
        page: task.page.page,
        rule: profile.image,
        layout: profile.layout,
        view,
    };
    let rendered = match task.context.renderers.render(job).await {
        Ok(rendered) => Ok(rendered),
        Err(RenderFailure::Page { class, reason }) => Err((class, reason)),
        Err(RenderFailure::PoolLost(reason)) => {
            tracing::error!("{reason}");
            return Err(MachineFault::RendererLost);
        }
    };
    let checked = match (check_original(task).await, &rendered) {
        (Some(checked), _) => checked,
        // A page rendered before the file system hung is good.
        (None, Ok(_)) => SourceState::AsPlanned,
        (None, Err(_)) => {
            let reason = format!(
                "{}: the file system does not respond: check it; the next start reads the page again",
                document.path.display()
            );
            return Ok(RenderOutcome::Failed(FailureClass::Stuck, reason));
        }
    };
    match (checked, rendered) {
        (SourceState::Changed { reason }, _) => Ok(RenderOutcome::Failed(FailureClass::Changed, reason)),
        (SourceState::Unreachable { reason }, Err(_)) => {
            tracing::error!("{reason}");
            Err(MachineFault::InputLost)
        }
        (SourceState::Gone { reason }, Err(_)) => Ok(RenderOutcome::Failed(FailureClass::Unreadable, reason)),
        (SourceState::AsPlanned, Err((class, reason))) if is_of_the_view(view, class) => {
            tracing::info!(view = view.name(), %class, "this view of the page is skipped: {reason}");
            Ok(RenderOutcome::NoSuchView)
        }
        (SourceState::AsPlanned, Err((class, reason))) => Ok(RenderOutcome::Failed(class, reason)),
        (SourceState::AsPlanned | SourceState::Gone { .. } | SourceState::Unreachable { .. }, Ok(drawn)) => {
            let Some(page) = drawn else { return Ok(RenderOutcome::NoSuchView) };
            task.context.count_image(&page.facts);
            if view == View::Reduced && !saves_tokens(task, progress, &page)? {
                return Ok(RenderOutcome::NoSuchView);
            }
            task.context.image_memory.shrink(&mut share, u64::from(page.facts.encoded_bytes));
            Ok(RenderOutcome::Page(RenderedPage { page, edition: document.edition.language, _share: share }))
        }
    }
}

/// Whether this view costs the engine fewer tokens than the image that failed last. Otherwise it shows the engine
/// nothing new: DeepSeek-OCR scales every page to the same tiles (`docs/facts/deepseek.md`, "Tiles and tokens").
fn saves_tokens(task: &PageTask, progress: &PageProgress, page: &EncodedPage) -> Result<bool, MachineFault> {
    let tokens = &task.context.engine(task.unit.engine)?.profile.visual_tokens;
    let of_whole = |attempt: &Attempt| attempt.stage.engine() == task.unit.engine && attempt.shown.view == View::Whole;
    let Some(before) = progress.counting().iter().rev().find(|attempt| of_whole(attempt)).map(|attempt| attempt.shown)
    else {
        return Ok(true);
    };
    let now = page.parts.iter().map(|part| part.shown).max_by_key(|shown| shown.bbox.shared_with(before.bbox));
    Ok(now.is_none_or(|now| tokens.count(now.size) < tokens.count(before.size)))
}

/// Whether the document's file is still as planned, after the page was rendered or failed to be. `None`: its file
/// system does not respond within the time limit of a page.
async fn check_original(task: &PageTask) -> Option<SourceState> {
    // The task does not hold the context: the end of a run must not wait for a slow disk.
    let (originals, document) = (Arc::clone(&task.context.originals), task.page.document);
    let checked = tokio::task::spawn_blocking(move || originals.check(document));
    // The task fails only when the runtime ends, which is the end of the run.
    let checked = tokio::time::timeout(task.context.configuration.imaging.page_limit, checked).await.ok()?;
    Some(checked.unwrap_or(SourceState::AsPlanned))
}

/// Whether a failure may be due to the changed view and not to the page.
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
