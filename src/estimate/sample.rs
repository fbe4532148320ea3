//! Pages that stand for all: chosen evenly, drawn as a rank would draw them.

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::EstimateError;
use crate::{
    corpus::Surveyed,
    engine::Profile,
    imaging::{Pool, RenderFailure, RenderJob},
    model::{ImageFacts, PageIndex, View, configuration::Configuration},
};

/// What a page of the sample turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SampledPage {
    /// Images that an engine would get of it: 0 for a page without ink, where such are skipped.
    pub images: u32,
    /// Prompt tokens of these images.
    pub visual_tokens: u32,
    /// Ink of the whole page times its area in sheets of A4, at most one.
    pub inked_sheets: f64,
    /// Size of these images, bytes.
    pub image_bytes: u64,
    /// Seconds of a core to draw and encode it.
    pub drawing: f64,
}

/// Area of A4 in square inches.
const A4: f64 = 96.67;

impl SampledPage {
    /// What facts of images say: `whole` of the page, `parts` of what is sent.
    pub fn new(profile: &Profile, whole: &ImageFacts, parts: &[ImageFacts]) -> SampledPage {
        let inches = f64::from(whole.dpi) * f64::from(whole.dpi);
        // A scan often declares larger sheets than it is of.
        let sheets = (whole.size.area() as f64 / inches / A4).min(1.0);
        SampledPage {
            images: parts.len() as u32,
            visual_tokens: parts.iter().map(|part| profile.visual_tokens.count(part.size)).sum(),
            inked_sheets: f64::from(whole.ink) * sheets,
            image_bytes: parts.iter().map(|part| u64::from(part.encoded_bytes)).sum(),
            drawing: (f64::from(whole.render_micros) + f64::from(whole.encode_micros)) / 1e6,
        }
    }
}

/// `number` places, as even as can be, in the pages of documents that have `pages` each: of every language and document
/// as many as is its share of all. Document and page, 0-based; all pages where they are fewer.
pub fn spread_evenly(pages: &[u64], number: u64) -> Vec<(usize, u64)> {
    let total: u64 = pages.iter().sum();
    let number = number.min(total);
    let mut places = Vec::new();
    let (mut document, mut before) = (0, 0);
    for place in 0..number {
        let page = (2 * u128::from(place) + 1) * u128::from(total) / (2 * u128::from(number));
        let page = page as u64;
        while page - before >= pages[document] {
            before += pages[document];
            document += 1;
        }
        places.push((document, page - before));
    }
    places
}

/// Draws `number` pages of what is `left` of each document. Pages that cannot be drawn are told of, not counted.
///
/// # Errors
/// No renderer child can be started any more.
pub(super) async fn draw(
    pool: &Pool,
    configuration: &Configuration,
    profile: &Profile,
    documents: &[(&Surveyed, Vec<PageIndex>)],
    number: u64,
    drawn: impl Fn(),
) -> Result<(Vec<SampledPage>, Vec<String>), EstimateError> {
    /// Requests that wait in the pool: enough for any number of children.
    const AT_ONCE: usize = 64;
    let mut order: Vec<_> = documents.iter().collect();
    order.sort_by_key(|(document, _)| document.edition.language.name());
    let pages: Vec<u64> = order.iter().map(|(_, left)| left.len() as u64).collect();
    let jobs = spread_evenly(&pages, number).into_iter().map(|(place, page)| {
        let (document, left) = order[place];
        RenderJob {
            document: document.path.clone(),
            password: configuration.password_for(&document.name).map(str::to_owned),
            page: left[page as usize],
            rule: profile.image,
            layout: profile.layout,
            view: View::Whole,
        }
    });
    let answers = stream::iter(jobs.map(|job| pool.render(job))).buffered(AT_ONCE);
    let answers: Vec<_> = answers.inspect(|_| drawn()).collect().await;
    let (mut sampled, mut failed) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(None) => {}
            Ok(Some(page)) => {
                let skipped = page.blank && configuration.imaging.skip_blank;
                let sent = page.parts.iter().filter(|part| !skipped && !part.blank).map(|part| part.facts);
                sampled.push(SampledPage::new(profile, &page.facts, &sent.collect::<Vec<_>>()));
            }
            Err(RenderFailure::Page { class, reason }) => failed.push(format!("{class}: {reason}")),
            Err(lost @ RenderFailure::PoolLost(_)) => return Err(EstimateError::Renderers(lost.to_string())),
        }
    }
    Ok((sampled, failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_even_over_documents_and_their_pages() {
        assert_eq!(spread_evenly(&[4, 0, 12], 4), [(0, 2), (2, 2), (2, 6), (2, 10)]);
        assert_eq!(spread_evenly(&[2, 1], 64), [(0, 0), (0, 1), (1, 0)]);
        assert_eq!(spread_evenly(&[], 64), []);
        let thousand = vec![30; 1000];
        let places = spread_evenly(&thousand, 64);
        assert_eq!(places.len(), 64);
        assert!(places.windows(2).all(|pair| (15..=16).contains(&(pair[1].0 - pair[0].0))), "{places:?}");
    }
}
