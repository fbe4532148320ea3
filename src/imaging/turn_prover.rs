//! Proves rotations that the letters of a scan propose: Tesseract reads a few lines as they stand and as proposed.
//!
//! It runs in the rank and not in a renderer, with a time limit, and only for pages with a proposal, which are few. A
//! Tesseract that is missing, fails or hangs proves nothing, and the page stays as it is.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use page_image::{Proof, TurnPlace};
use tokio::sync::Semaphore;

use crate::{
    model::{Language, PixelSize, Rotation},
    tesseract::{Languages, Segmentation, Sight, Tesseract, TesseractError, Word},
};

use super::protocol::Question;

/// Longest time of one reading. On an idle core it takes a second or two.
const READING_LIMIT: Duration = Duration::from_secs(60);
/// After this many failed readings in a row, Tesseract is not asked any more: each may cost [`READING_LIMIT`].
const MOST_FAILURES: u32 = 3;
/// Least confidence of a word that counts, 0 to 100.
const SURE: f32 = 60.0;
/// Least number of letters of a word that counts. Figures and dots upside down are read as shorter words.
const LEAST_LETTERS: usize = 4;
/// Least number of letters and figures of a word or number that counts as it stands.
const LEAST_CHARACTERS: usize = 3;
/// Least sum, over the words that count, of letters times confidence (1.0 is certain), of a reading that proves.
const LEAST_READ: f32 = 40.0;
/// How many times as much must be read in the proposed direction as in the other.
const RATIO: f32 = 4.0;

/// A rotation that the letters of a page proposed, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnCheck {
    /// The part of the page.
    pub place: TurnPlace,
    /// The proposed rotation.
    pub turn: Rotation,
    /// Whether it was proven.
    pub proof: Proof,
    /// What was read, or why nothing could be read.
    pub read: Result<Readings, String>,
}

/// How much was read in both directions: characters times confidence (1.0 is certain).
///
/// Figures count only against a turn: upside down, some are read as others, but a table with its figures upright is
/// upright, whatever the heads of its columns do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Readings {
    /// As the page stands: letters and figures in sure words and numbers.
    pub as_it_is: f32,
    /// After the proposed rotation: letters in sure words.
    pub turned: f32,
}

impl Readings {
    fn proof(&self) -> Proof {
        let is_clear = self.turned >= LEAST_READ && self.turned >= RATIO * self.as_it_is;
        if is_clear { Proof::Proven } else { Proof::Unproven }
    }
}

/// Asks Tesseract.
#[derive(Debug)]
pub(super) struct TurnProver {
    tesseract: Tesseract,
    /// As many readings at once as there are renderers.
    places: Semaphore,
    /// Failed readings in a row.
    failures: AtomicU32,
}

impl TurnProver {
    /// A prover with the program `tesseract` of the search path, for `readings` at once.
    pub fn new(readings: NonZeroU32) -> Self {
        TurnProver {
            tesseract: Tesseract { program: "tesseract".into(), time_limit: READING_LIMIT },
            places: Semaphore::new(readings.get() as usize),
            failures: AtomicU32::new(0),
        }
    }

    /// Examines a proposal for the page `subject` (file and page, for messages).
    pub async fn check(&self, subject: &str, question: Question, samples: Bytes) -> TurnCheck {
        let Question { place, turn, .. } = question;
        let read = self.readings(subject, question, samples).await;
        let proof = read.as_ref().map_or(Proof::Unproven, |read| read.proof());
        tracing::debug!(turn = turn.degrees(), ?read, "{subject}: the letters propose a turn");
        TurnCheck { place, turn, proof, read }
    }

    async fn readings(&self, subject: &str, question: Question, samples: Bytes) -> Result<Readings, String> {
        let _place = self.places.acquire().await.map_err(|closed| closed.to_string())?;
        if self.failures.load(Ordering::Relaxed) >= MOST_FAILURES {
            return Err("Tesseract failed too often and is not asked any more".into());
        }
        let first = usize::try_from(question.sizes[0].area()).unwrap_or(usize::MAX);
        let turned = samples.get(first..).ok_or("the renderer gave too few samples")?;
        // The proposed direction first: most wrong proposals end here.
        let read = async {
            let turned = amount(&self.words(question, question.sizes[1], turned).await?, letters);
            if turned < LEAST_READ {
                return Ok(Readings { as_it_is: 0.0, turned });
            }
            let as_it_is = amount(&self.words(question, question.sizes[0], &samples).await?, characters);
            Ok(Readings { as_it_is, turned })
        };
        match read.await {
            Ok(readings) => {
                self.failures.store(0, Ordering::Relaxed);
                Ok(readings)
            }
            Err(error) => {
                self.failed(subject, &error);
                Err(error.to_string())
            }
        }
    }

    async fn words(&self, question: Question, size: PixelSize, pixels: &[u8]) -> Result<Vec<Word>, TesseractError> {
        let mut file = format!("P5\n{} {}\n255\n", size.width, size.height).into_bytes();
        file.extend(pixels.iter().take(usize::try_from(size.area()).unwrap_or(usize::MAX)));
        let languages = match question.language {
            Language::French => Languages::French,
            Language::Arabic => Languages::Arabic,
            Language::Mixed | Language::Unknown => Languages::FrenchFirst,
        };
        self.tesseract.read(Sight { file, dpi: question.dpi, segmentation: Segmentation::Flow }, languages).await
    }

    /// Counts a failed reading, and says the first and the last one.
    fn failed(&self, subject: &str, error: &TesseractError) {
        let is_missing = matches!(error, TesseractError::Start { .. });
        let more = if is_missing { MOST_FAILURES } else { 1 };
        let before = self.failures.fetch_add(more, Ordering::Relaxed);
        let rest = "the page stays as it is, and so do other scans that may be upside down or on their side";
        if before == 0 {
            tracing::warn!("{subject}: the letters look turned, which Tesseract could not confirm: {error}; {rest}");
        } else if before + more == MOST_FAILURES {
            tracing::warn!(
                "Tesseract failed {MOST_FAILURES} times in a row and is not asked any more: {error}; {rest}"
            );
        }
    }
}

/// Characters in words that count, times their confidence.
fn amount(words: &[Word], counted: fn(&Word) -> Option<usize>) -> f32 {
    words
        .iter()
        .filter_map(|word| Some(counted(word)? as f32 * word.confidence / 100.0))
        .fold(0.0, |sum, one| sum + one)
}

/// The letters and figures of a word or number that speaks against a turn.
fn characters(word: &Word) -> Option<usize> {
    let characters = word.text.chars().filter(|char| char.is_alphanumeric()).count();
    (word.confidence >= SURE && characters >= LEAST_CHARACTERS).then_some(characters)
}

/// The letters of a word that counts: it is sure, and of letters only but for a mark at either end.
fn letters(word: &Word) -> Option<usize> {
    let text = word.text.trim_matches(|char: char| !char.is_alphanumeric());
    let is_word = word.confidence >= SURE && text.chars().all(|char| char.is_alphabetic() || "'’-".contains(char));
    let letters = text.chars().filter(|char| char.is_alphabetic()).count();
    (is_word && letters >= LEAST_LETTERS).then_some(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(confidence: f32, text: &str) -> Word {
        Word { place: (1, 1, 1), bounds: [0, 0, 9, 9], confidence, text: text.into() }
    }

    #[test]
    fn sure_words_of_letters_count_and_figures_do_not() {
        let counted = |confidence, text| letters(&word(confidence, text));
        assert_eq!(counted(90.0, "décret,"), Some(6));
        assert_eq!(counted(90.0, "l’article"), Some(8));
        assert_eq!(counted(90.0, "المادة"), Some(6));
        for (confidence, text) in [(50.0, "décret"), (90.0, "de"), (90.0, "1.234,56"), (90.0, "A4bc9"), (90.0, "....")]
        {
            assert_eq!(counted(confidence, text), None, "{text}");
        }
        assert_eq!(characters(&word(90.0, "1.234,56")), Some(6));
        assert_eq!(characters(&word(50.0, "1.234,56")), None);
    }

    #[test]
    fn a_turn_is_proven_only_where_the_proposed_direction_is_read_and_the_other_is_not() {
        for (as_it_is, turned, proof) in [
            (0.0, 200.0, Proof::Proven),
            (30.0, 200.0, Proof::Proven),
            (100.0, 200.0, Proof::Unproven),
            (0.0, 20.0, Proof::Unproven),
            (200.0, 0.0, Proof::Unproven),
        ] {
            assert_eq!(Readings { as_it_is, turned }.proof(), proof, "{as_it_is} {turned}");
        }
    }

    #[tokio::test]
    async fn a_tesseract_that_is_missing_or_hangs_proves_nothing_and_is_not_asked_again_and_again() {
        let size = PixelSize { width: 30, height: 20 };
        let question = Question {
            place: TurnPlace::Page,
            turn: Rotation::Half,
            language: Language::French,
            dpi: 192.0,
            sizes: [size; 2],
        };
        let folder = tempfile::tempdir().unwrap();
        let hangs = folder.path().join("hangs");
        std::fs::write(&hangs, "#!/bin/sh\nexec sleep 600\n").unwrap();
        std::fs::set_permissions(&hangs, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for (program, asked) in [("/nowhere/tesseract".into(), 1), (hangs.into_os_string(), 3)] {
            let mut prover = TurnProver::new(NonZeroU32::MIN);
            prover.tesseract = Tesseract { program, time_limit: Duration::from_millis(50) };
            for check in 1..=4 {
                let found = prover.check("a.pdf page 1", question, Bytes::from(vec![255; 1200])).await;
                assert!(found.proof == Proof::Unproven && found.read.is_err(), "{found:?}");
                let is_given_up = prover.failures.load(Ordering::Relaxed) >= MOST_FAILURES;
                assert_eq!(is_given_up, check >= asked, "after {check}");
            }
        }
    }
}
