//! Reads a page with Tesseract: which language, at which resolution, and when to read again.
//!
//! The language comes from a trial: the tenth of the page's height with the most ink is read as French. Its mean
//! confidence was 78 to 95 on eight French pages and 16 to 35 on eight Arabic ones, for 0.3 s of a page's 1.5 to 3;
//! Tesseract's own script detection was as sure but took 0.6 s, and on half-size images it was wrong on five of nine
//! French pages.
//!
//! Arabic is read at no more than 150 dpi: better than 192 on five of eight pages tried (mean 4.3 % against 5.1 % of
//! characters wrong), and errors double from 250 dpi up. Where more than a tenth of a page's characters are doubtful,
//! it is read once more in both languages, and the surer reading is kept: a French page that quotes Arabic went from
//! 11.1 % to 2.8 % wrong. Arabic pages without French are read worse in both languages (four of four tried), so the
//! second reading must be clearly surer.

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, GrayImage, ImageError};

use super::{
    layout,
    picture::Picture,
    tesseract::{Languages, Tesseract, TesseractError, Word},
};
use crate::{model::PixelSize, standin::dialect::PageBlock};

/// Below this mean confidence of the trial in French, the page is Arabic.
const FRENCH_CONFIDENCE: f32 = 55.0;
/// Height of the trial's band as a fraction of the page's.
const TRIAL_FRACTION: u32 = 10;
/// No trial is lower than this many pixels.
const TRIAL_PIXELS: u32 = 120;
/// Resolution beyond which Tesseract's Arabic model gets worse.
const ARABIC_DPI: f32 = 150.0;
/// A word below this confidence is doubtful.
const DOUBTFUL: f32 = 60.0;
/// Share of doubtful characters beyond which a page is read again in both languages.
const DOUBTFUL_SHARE: f32 = 0.10;
/// What the second reading's mean confidence must gain to be kept.
const GAIN: f32 = 2.5;

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// The image cannot be decoded.
    #[error("image cannot be decoded: {0}")]
    Decode(#[from] ImageError),
    /// The image cannot be made smaller.
    #[error("image cannot be resized: {0}")]
    Resize(#[from] fast_image_resize::ResizeError),
    /// Tesseract gave nothing.
    #[error(transparent)]
    Tesseract(#[from] TesseractError),
    /// The thread that prepares images is gone.
    #[error("image preparation was stopped")]
    Stopped,
}

/// A page as read.
#[derive(Debug)]
pub struct Reading {
    /// Blocks in reading order; none for a page without words.
    pub blocks: Vec<PageBlock>,
    /// The languages it was read with.
    pub languages: Languages,
    /// Mean confidence of its characters, 0 to 100; 0 for a page without words.
    pub confidence: f32,
}

/// Reads a page. `default_dpi` counts where the picture does not say.
///
/// # Errors
/// An image that cannot be decoded, or Tesseract's own failure.
pub async fn read(tesseract: &Tesseract, picture: Picture, default_dpi: f32) -> Result<Reading, ReadingError> {
    let dpi = picture.dpi.unwrap_or(default_dpi);
    let (page, trial) = in_background(move || prepare(&picture)).await?;
    let trial = Trial::of(&tesseract.read(&trial, Languages::French, dpi.round() as u32).await?);
    let (languages, page, dpi) = if trial.is_french() {
        (Languages::French, page, dpi)
    } else {
        let dpi_now = dpi.min(ARABIC_DPI);
        (Languages::Arabic, in_background(move || resized(page, dpi_now / dpi)).await?, dpi_now)
    };
    let size = PixelSize { width: page.width(), height: page.height() };
    let (file, whole_dpi) = (portable_graymap(&page), dpi.round() as u32);
    let words = tesseract.read(&file, languages, whole_dpi).await?;
    let first = Confidence::of(&words);
    if first.doubtful_share > DOUBTFUL_SHARE {
        let again = tesseract.read(&file, Languages::Both, whole_dpi).await?;
        let second = Confidence::of(&again);
        if second.mean > first.mean + GAIN {
            return Ok(reading(&again, size, Languages::Both, second));
        }
    }
    Ok(reading(&words, size, languages, first))
}

fn reading(words: &[Word], size: PixelSize, languages: Languages, confidence: Confidence) -> Reading {
    Reading { blocks: layout::blocks(words, size), languages, confidence: confidence.mean }
}

/// Image work off the thread that serves requests.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadingError> + Send + 'static,
) -> Result<T, ReadingError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ReadingError::Stopped)?
}

/// The page in grey, and the band of it that is read on trial, as a file.
fn prepare(picture: &Picture) -> Result<(GrayImage, Vec<u8>), ReadingError> {
    let page = image::load_from_memory_with_format(&picture.png, image::ImageFormat::Png)?.into_luma8();
    let height = (page.height() / TRIAL_FRACTION).max(TRIAL_PIXELS).min(page.height());
    let top = busiest_band(&page, height);
    let band = image::imageops::crop_imm(&page, 0, top, page.width(), height).to_image();
    Ok((page, portable_graymap(&band)))
}

/// Top of the band of `height` rows with the most dark pixels.
fn busiest_band(page: &GrayImage, height: u32) -> u32 {
    let ink: Vec<u64> = page.rows().map(|row| row.filter(|pixel| pixel.0[0] < 128).count() as u64).collect();
    let height = height as usize;
    let mut sum: u64 = ink[..height].iter().sum();
    let mut best = (sum, 0);
    for bottom in height..ink.len() {
        sum = sum + ink[bottom] - ink[bottom - height];
        if sum > best.0 {
            best = (sum, bottom + 1 - height);
        }
    }
    best.1 as u32
}

fn resized(page: GrayImage, factor: f32) -> Result<GrayImage, ReadingError> {
    if factor >= 1.0 {
        return Ok(page);
    }
    let side = |pixels: u32| ((pixels as f32 * factor).round() as u32).max(1);
    let (width, height) = (side(page.width()), side(page.height()));
    let mut smaller = DynamicImage::ImageLuma8(GrayImage::new(width, height));
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&DynamicImage::ImageLuma8(page), &mut smaller, &options)?;
    Ok(smaller.into_luma8())
}

/// An uncompressed image file that Leptonica reads.
fn portable_graymap(image: &GrayImage) -> Vec<u8> {
    let mut file = format!("P5\n{} {}\n255\n", image.width(), image.height()).into_bytes();
    file.extend_from_slice(image.as_raw());
    file
}

/// How sure Tesseract is of some words, weighed by their characters.
#[derive(Debug, Clone, Copy)]
struct Confidence {
    mean: f32,
    doubtful_share: f32,
}

impl Confidence {
    fn of(words: &[Word]) -> Self {
        let (mut characters, mut weighed, mut doubtful) = (0.0, 0.0, 0.0);
        for word in words {
            let length = word.text.chars().count() as f32;
            characters += length;
            weighed += length * word.confidence;
            if word.confidence < DOUBTFUL {
                doubtful += length;
            }
        }
        let characters = f32::max(characters, 1.0);
        Confidence { mean: weighed / characters, doubtful_share: doubtful / characters }
    }
}

/// The trial reading in French.
struct Trial {
    confidence: f32,
    words: usize,
}

impl Trial {
    fn of(words: &[Word]) -> Self {
        Trial { confidence: Confidence::of(words).mean, words: words.len() }
    }

    /// A band without words says nothing; French is then as good as Arabic.
    fn is_french(&self) -> bool {
        self.words == 0 || self.confidence >= FRENCH_CONFIDENCE
    }
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    #[test]
    fn the_trial_takes_the_band_with_the_most_ink() {
        let page = GrayImage::from_fn(40, 100, |_, y| Luma([if (70..80).contains(&y) { 0 } else { 255 }]));
        assert_eq!(busiest_band(&page, 10), 70);
        assert_eq!(busiest_band(&page, 100), 0);
    }

    #[test]
    fn an_image_is_made_smaller_and_never_larger() {
        let page = GrayImage::from_pixel(192, 96, Luma([255]));
        assert_eq!(resized(page.clone(), 150.0 / 192.0).unwrap().dimensions(), (150, 75));
        assert_eq!(resized(page, 1.2).unwrap().dimensions(), (192, 96));
    }

    #[test]
    fn confidence_is_weighed_by_characters() {
        let word = |text: &str, confidence| Word { place: (1, 1, 1), bounds: [0; 4], confidence, text: text.into() };
        let confidence = Confidence::of(&[word("longmots", 90.0), word("ab", 40.0)]);
        assert!((confidence.mean - 80.0).abs() < 0.01);
        assert!((confidence.doubtful_share - 0.2).abs() < 0.01);
        assert_eq!(Confidence::of(&[]).mean, 0.0);
    }
}
