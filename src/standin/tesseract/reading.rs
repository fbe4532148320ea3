//! Reads an image with Tesseract: chooses language, segmentation and resolution, and reads doubtful lines again.
//!
//! An image is a whole page or a part of one: a column, or a strip over the width (head or foot). Columns and strips
//! are one flow of lines, and Tesseract reads them as such (page segmentation 6), because it sometimes finds columns where
//! there are none. On a whole page it searches for columns (3); without that, full-width French pages lose a tenth of
//! their words.
//!
//! The language is determined from the letters ([`page_image::layout::script`]). Where that is not possible, a trial reading
//! decides: the tenth of the height with the most ink is read as French. Its mean confidence was 78 to 95 on eight
//! French pages and 16 to 35 on eight Arabic ones.
//!
//! Arabic is read at [`ARABIC_DPI`]: in columns of ten pages, 3.1 % of the characters were wrong at 100 dpi, 2.6 % at
//! 115, 3.1 % at 130, 3.2 % at 150, 4.4 % at 192. French is best at 192 (0.80 %; 0.86 % at 150).
//!
//! Lines with low confidence are cut out, stacked and read again at [`SECOND_DPI`] in both languages, and each passage
//! keeps the reading with the higher confidence. This helps with Arabic quoted in French, Latin names in Arabic, and
//! print too small for the first resolution.

use std::sync::Arc;

use image::GrayImage;
use page_image::layout::{Sheet, script};

use crate::{
    model::{Language, PixelSize},
    standin::{dialect::PageBlock, picture::Picture},
    tesseract::{Languages, PixelBox, Segmentation, Sight, Tesseract, Word},
};

use super::{
    arabic_commas,
    error::ReadingError,
    layout,
    low_confidence::{Certainty, Passage, doubtful_passages},
    raster::{busiest_band, portable_graymap, resized, stacked},
    shape::Shape,
};

/// Mean confidence of the trial reading in French below which the page is Arabic.
const FRENCH_CONFIDENCE: f32 = 55.0;
/// The height of a page divided by that of the trial's band.
const TRIAL_FRACTION: u32 = 10;
/// Least height of the trial's band, pixels.
const TRIAL_PIXELS: u32 = 120;
/// Resolution at which Tesseract's Arabic model reads the gazette's running text best.
const ARABIC_DPI: f32 = 115.0;
/// Resolution of the second reading: a page of 1981 with small Arabic print is read best at it, and French with Arabic
/// as well as at 192.
const SECOND_DPI: f32 = 150.0;
/// The result of reading an image.
#[derive(Debug)]
pub struct Reading {
    /// Blocks in reading order; none for an image without words.
    pub blocks: Vec<PageBlock>,
    /// Languages of the first reading.
    pub languages: Languages,
    /// Mean confidence of its characters, 0 to 100; 0 for an image without words.
    pub confidence: f32,
}

/// Reads an image. `default_dpi` is used where the file has no resolution.
///
/// # Errors
/// The image cannot be decoded, or Tesseract fails.
pub async fn read(tesseract: &Tesseract, picture: Picture, default_dpi: f32) -> Result<Reading, ReadingError> {
    let dpi = picture.dpi.unwrap_or(default_dpi);
    let (page, language) = in_background(move || prepare(&picture, dpi)).await?;
    let page = Arc::new(page);
    let languages = match language {
        Language::French => Languages::French,
        Language::Arabic => Languages::Arabic,
        Language::Mixed => Languages::FrenchFirst,
        Language::Unknown => on_trial(tesseract, &page, dpi).await?,
    };
    let best_dpi = match languages {
        Languages::French => dpi,
        Languages::Arabic => ARABIC_DPI.min(dpi),
        Languages::FrenchFirst | Languages::ArabicFirst => SECOND_DPI.min(dpi),
    };
    let size = PixelSize { width: page.width(), height: page.height() };
    let shape = Shape::of(size, dpi);
    let mut words = recognise(tesseract, &page, dpi, best_dpi, shape.segmentation(), languages).await?;
    look_again(tesseract, &page, dpi, languages, &mut words).await?;
    if languages != Languages::French || words.iter().any(|word| word.text.contains(is_arabic)) {
        words = in_background(move || {
            arabic_commas::restore(&mut words, &page, dpi);
            Ok(words)
        })
        .await?;
    }
    let confidence = Certainty::of(&words).mean;
    Ok(Reading { blocks: layout::blocks(&words, size, dpi, shape), languages, confidence })
}

fn is_arabic(letter: char) -> bool {
    matches!(letter, '\u{600}'..='\u{6ff}')
}

/// Runs image work on another thread than the one that serves requests.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadingError> + Send + 'static,
) -> Result<T, ReadingError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ReadingError::Stopped)?
}

/// The image in grey, and the language that its letters look like.
fn prepare(picture: &Picture, dpi: f32) -> Result<(GrayImage, Language), ReadingError> {
    let page = image::load_from_memory_with_format(&picture.png, image::ImageFormat::Png)?.into_luma8();
    let sheet = Sheet::new(picture.size, dpi, page.as_raw().as_slice().into());
    let language = script(&sheet).language;
    Ok((page, language))
}

/// The language of the band with the most ink. Without words the language does not matter, and French is returned.
async fn on_trial(tesseract: &Tesseract, page: &Arc<GrayImage>, dpi: f32) -> Result<Languages, ReadingError> {
    let page = Arc::clone(page);
    let file = in_background(move || {
        let height = (page.height() / TRIAL_FRACTION).max(TRIAL_PIXELS).min(page.height());
        let top = busiest_band(&page, height);
        Ok(portable_graymap(&image::imageops::crop_imm(&*page, 0, top, page.width(), height).to_image()))
    })
    .await?;
    let words = tesseract.read(Sight { file, dpi, segmentation: Segmentation::Page }, Languages::French).await?;
    let is_french = words.is_empty() || Certainty::of(&words).mean >= FRENCH_CONFIDENCE;
    Ok(if is_french { Languages::French } else { Languages::Arabic })
}

/// Reads `page` at a lower resolution; the words' bounds are in pixels of `page`.
async fn recognise(
    tesseract: &Tesseract,
    page: &Arc<GrayImage>,
    dpi: f32,
    best_dpi: f32,
    segmentation: Segmentation,
    languages: Languages,
) -> Result<Vec<Word>, ReadingError> {
    let page = Arc::clone(page);
    let file = in_background(move || {
        Ok(if best_dpi < dpi {
            portable_graymap(&resized((*page).clone(), best_dpi / dpi)?)
        } else {
            portable_graymap(&page)
        })
    })
    .await?;
    let mut words = tesseract.read(Sight { file, dpi: best_dpi, segmentation }, languages).await?;
    for word in &mut words {
        word.bounds = word.bounds.map(|pixels| (pixels as f32 * dpi / best_dpi).round() as u32);
    }
    Ok(words)
}

/// Reads doubtful passages again, in both languages, and keeps the reading with the higher confidence.
async fn look_again(
    tesseract: &Tesseract,
    page: &Arc<GrayImage>,
    dpi: f32,
    languages: Languages,
    words: &mut Vec<Word>,
) -> Result<(), ReadingError> {
    let passages = doubtful_passages(words, dpi);
    if passages.is_empty() {
        return Ok(());
    }
    let pieces: Vec<PixelBox> = passages.iter().map(|passage| passage.bounds).collect();
    let whole = Arc::clone(page);
    let (image, stack) = in_background(move || Ok(stacked(&whole, &pieces))).await?;
    let again = recognise(
        tesseract,
        &Arc::new(image),
        dpi,
        SECOND_DPI.min(dpi),
        Segmentation::Flow,
        languages.french_and_arabic(),
    )
    .await?;
    let mut found = vec![Vec::new(); passages.len()];
    for word in again {
        if let Some((index, bounds)) = stack.unstacked(word.bounds) {
            found[index].push(Word { bounds, ..word });
        }
    }
    // From the last passage to the first, so that the indices of earlier words stay valid.
    for (passage, found) in passages.iter().zip(found).rev() {
        replace_if_surer(words, passage, found);
    }
    Ok(())
}

/// Replaces a passage by `found` if that has a clearly higher confidence. Its lines become lines of the paragraph in
/// which the passage begins.
fn replace_if_surer(words: &mut Vec<Word>, passage: &Passage, mut found: Vec<Word>) {
    let [start, end] = passage.words;
    let Some(first) = words.get(start..end) else { return };
    found.retain(|word| passage.holds(word));
    if !Certainty::of(&found).is_clearly_more_than(Certainty::of(first)) {
        return;
    }
    let Some((block, paragraph, mut line)) = first.first().map(|word| word.place) else { return };
    let mut last = None;
    for word in &mut found {
        if last.replace(word.place).is_some_and(|place| place != word.place) {
            line += 1;
        }
        word.place = (block, paragraph, line);
    }
    words.splice(start..end, found);
}

#[cfg(test)]
mod tests {
    use super::*;

    const DPI: f32 = 192.0;

    #[test]
    fn columns_strips_and_pages_are_told_by_their_size() {
        let shape = |width: u32, height: u32| Shape::of(PixelSize { width, height }, DPI);
        assert_eq!(shape(1588, 2246), Shape::Page);
        assert_eq!(shape(790, 2050), Shape::Column);
        assert_eq!(shape(790, 200), Shape::Column);
        assert_eq!(shape(1588, 190), Shape::Strip);
        assert_eq!(shape(1, 1), Shape::Column);
    }

    #[test]
    fn a_second_reading_is_kept_only_where_it_is_surer() {
        let word = |line, confidence, text: &str| Word {
            place: (1, 1, line),
            bounds: [0, line * 40, 90, line * 40 + 20],
            confidence,
            text: text.into(),
        };
        // Half of the line above is in the cut.
        let above = Word { bounds: [0, 70, 90, 74], ..word(0, 99.0, "Vu") };
        let first = [word(1, 95.0, "Vu"), word(2, 30.0, "aixlll"), word(3, 95.0, "loi")];
        let passage = Passage { words: [1, 2], bounds: [0, 70, 94, 130], rows: [80, 120] };
        let texts = |found: &[Word]| {
            let mut words = first.to_vec();
            replace_if_surer(&mut words, &passage, found.to_vec());
            words.into_iter().map(|word| word.text).collect::<Vec<_>>()
        };
        assert_eq!(
            texts(&[above, word(2, 80.0, "اللجنة"), word(2, 85.0, "القطاعية")]),
            ["Vu", "اللجنة", "القطاعية", "loi"]
        );
        assert_eq!(texts(&[word(2, 31.0, "x")]), ["Vu", "aixlll", "loi"]);
        assert_eq!(texts(&[]), ["Vu", "aixlll", "loi"]);
    }
}
