//! The mean cost of a page, from the pages of a sample.

use serde::Serialize;

use super::SampledPage;

/// Generated tokens for a sheet of A4 that is all ink. Measured on 122 pages of eleven issues, 74 of them French and 47
/// Arabic, that the stand-in read with Tesseract and wrote in Chandra's grammar: 18,500 in French and 20,400 in Arabic
/// (the stand-in estimates its tokens; eight tenths of the pages are within 16,500 and 22,000).
const TOKENS_FOR_INK: f64 = 19_000.0;
/// Highest share of ink that counts as text. A page with more is a photograph or a dark scan.
const MOST_INK: f64 = 0.2;

/// Means of a sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct PageCost {
    /// Number of pages that were rendered.
    pub sampled: u64,
    /// Share of blank pages, which no engine reads, 0.0..=1.0.
    pub blank_share: f64,
    /// Number of images of a page that is not blank.
    pub images: f64,
    /// Prompt tokens of these images.
    pub visual_tokens: f64,
    /// Prompt tokens of these images with the text of the prompt, which each request repeats.
    pub prompt_tokens: f64,
    /// Generated tokens, estimated from the ink.
    pub generated_tokens: f64,
    /// Size of these images in bytes.
    pub image_bytes: f64,
    /// Seconds of one core of this machine to render and encode a page, also a blank one.
    pub drawing: f64,
}

impl PageCost {
    /// The means of `pages`. `text_tokens` are the tokens of the prompt's text in each request, `most_generated` the
    /// limit of generated tokens.
    pub fn mean(pages: &[SampledPage], text_tokens: u32, most_generated: u32) -> PageCost {
        let read: Vec<_> = pages.iter().filter(|page| page.images > 0).collect();
        let mean = |values: &dyn Fn(&SampledPage) -> f64| {
            read.iter().map(|page| values(page)).sum::<f64>() / (read.len() as f64).max(1.0)
        };
        let generated =
            |page: &SampledPage| (page.inked_sheets.min(MOST_INK) * TOKENS_FOR_INK).min(f64::from(most_generated));
        let images = mean(&|page| f64::from(page.images));
        let visual_tokens = mean(&|page| f64::from(page.visual_tokens));
        let all = (pages.len() as f64).max(1.0);
        PageCost {
            sampled: pages.len() as u64,
            blank_share: (pages.len() - read.len()) as f64 / all,
            images,
            visual_tokens,
            prompt_tokens: visual_tokens + images * f64::from(text_tokens),
            generated_tokens: mean(&generated),
            image_bytes: mean(&|page| page.image_bytes as f64),
            drawing: pages.iter().map(|page| page.drawing).sum::<f64>() / all,
        }
    }

    /// The source of the generated tokens.
    pub fn assumption() -> String {
        format!(
            "generated tokens: {TOKENS_FOR_INK} for a sheet of A4 that is all ink, from 122 pages that the stand-in \
             read with Tesseract (18,500 French, 20,400 Arabic)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: SampledPage =
        SampledPage { images: 1, visual_tokens: 3500, inked_sheets: 0.08, image_bytes: 400_000, drawing: 0.02 };

    #[test]
    fn blank_pages_cost_drawing_and_nothing_else() {
        let blank = SampledPage { images: 0, visual_tokens: 0, inked_sheets: 0.0, image_bytes: 0, drawing: 0.01 };
        let cost = PageCost::mean(&[FULL, FULL, FULL, blank], 500, 12_384);
        assert_eq!((cost.blank_share, cost.prompt_tokens, cost.image_bytes), (0.25, 4000.0, 400_000.0));
        assert!((cost.generated_tokens - 1520.0).abs() < 1e-6 && (cost.drawing - 0.0175).abs() < 1e-9, "{cost:?}");
    }

    #[test]
    fn a_page_in_parts_brings_the_prompt_with_each_and_a_dark_scan_is_no_text() {
        let parts = SampledPage { images: 3, ..FULL };
        assert_eq!(PageCost::mean(&[parts], 500, 12_384).prompt_tokens, 5000.0);
        let dark = SampledPage { inked_sheets: 0.9, ..FULL };
        assert_eq!(PageCost::mean(&[dark], 500, 12_384).generated_tokens, 3800.0);
        assert_eq!(PageCost::mean(&[dark], 500, 1000).generated_tokens, 1000.0);
        assert_eq!(PageCost::mean(&[], 500, 1000), PageCost::default());
    }
}
