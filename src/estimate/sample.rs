//! The sample: pages that are spread evenly over the inputs and rendered as a rank renders them.

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::EstimateError;
use crate::{
    corpus::Surveyed,
    engine::Profile,
    imaging::{Pool, RenderFailure, RenderJob},
    model::{ImageFacts, PageIndex, View, configuration::Configuration},
};

/// The measurements of a page of the sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SampledPage {
    /// Number of images that an engine gets of the page: 0 for a blank page, if blank pages are skipped.
    pub images: u32,
    /// Prompt tokens of these images.
    pub visual_tokens: u32,
    /// Share of ink of the whole page, times its area in sheets of A4, which counts as at most one.
    pub inked_sheets: f64,
    /// Size of these images in bytes.
    pub image_bytes: u64,
    /// Seconds of one core to render and encode the page.
    pub drawing: f64,
}

/// Area of A4 in square inches.
const A4: f64 = 96.67;

impl SampledPage {
    /// The measurements from the image of the whole page and from the images that are sent.
    pub fn new(profile: &Profile, whole: &ImageFacts, parts: &[ImageFacts]) -> SampledPage {
        let inches = f64::from(whole.dpi) * f64::from(whole.dpi);
        // A scan often declares a larger sheet than its real one.
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

/// `number` pages, spread as evenly as possible over documents that have `pages` pages each, so that each document has
/// its share of the sample. Returns position of the document and page, both 0-based. If there are fewer pages, returns
/// all.
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

/// Renders `number` of the given pages of the documents. Returns the measurements, and the reasons for the pages that
/// cannot be rendered.
///
/// # Errors
/// The pool of renderer children is lost.
pub(super) async fn draw(
    pool: &Pool,
    configuration: &Configuration,
    profile: &Profile,
    documents: &[(&Surveyed, Vec<PageIndex>)],
    number: u64,
    drawn: impl Fn(),
) -> Result<(Vec<SampledPage>, Vec<String>), EstimateError> {
    /// Jobs in the pool at a time: enough for any number of children.
    const AT_ONCE: usize = 64;
    // Sorted by language, so that each language has its share of the sample too.
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
