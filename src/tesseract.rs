//! Tesseract as a child process: an image on its standard input, words with their places as TSV on its output.
//!
//! The stand-in reads pages with it; `imaging` asks it which side of a scan is up.

use std::{ffi::OsString, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command};

use crate::sys::scrub_environment;

/// The languages that Tesseract reads with, in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Languages {
    /// `fra`.
    French,
    /// `ara`.
    Arabic,
    /// `fra+ara`.
    FrenchFirst,
    /// `ara+fra`.
    ArabicFirst,
}

impl Languages {
    /// The value of Tesseract's option `-l`.
    pub fn argument(self) -> &'static str {
        match self {
            Languages::French => "fra",
            Languages::Arabic => "ara",
            Languages::FrenchFirst => "fra+ara",
            Languages::ArabicFirst => "ara+fra",
        }
    }

    /// The same languages, with the other one added if it is missing.
    pub fn french_and_arabic(self) -> Self {
        match self {
            Languages::French | Languages::FrenchFirst => Languages::FrenchFirst,
            Languages::Arabic | Languages::ArabicFirst => Languages::ArabicFirst,
        }
    }
}

/// How Tesseract divides the image into lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segmentation {
    /// Tesseract finds columns, blocks and lines by itself.
    Page,
    /// The image is one flow of lines over its whole width.
    Flow,
}

impl Segmentation {
    /// The value of Tesseract's option `--psm`.
    fn argument(self) -> &'static str {
        match self {
            Segmentation::Page => "3",
            Segmentation::Flow => "6",
        }
    }
}

/// An image for Tesseract.
#[derive(Debug, Clone)]
pub struct Sight {
    /// A file in a format that Leptonica reads.
    pub file: Vec<u8>,
    /// Dots per inch.
    pub dpi: f32,
    /// How it is divided into lines.
    pub segmentation: Segmentation,
}

/// Why Tesseract gave no words.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum TesseractError {
    /// The program cannot be started.
    #[error("cannot start `{program}`: {source}; install tesseract-ocr, tesseract-ocr-fra and tesseract-ocr-ara")]
    Start { program: String, source: std::io::Error },
    /// A language model is missing.
    #[error("tesseract has no model for `{0}`; install tesseract-ocr-{0}")]
    Language(&'static str),
    /// Tesseract took too long and was killed.
    #[error("tesseract took longer than {} s on the image", .0.as_secs_f64())]
    Timeout(Duration),
    /// Tesseract failed.
    #[error("tesseract failed on the image ({status}): {message}")]
    Failed { status: std::process::ExitStatus, message: String },
}

/// A rectangle in pixels: left, top, right, bottom.
pub type PixelBox = [u32; 4];

/// A word as Tesseract reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// Numbers of the block, paragraph and line on the page.
    pub place: (u32, u32, u32),
    /// Place of the word on the image.
    pub bounds: PixelBox,
    /// Tesseract's confidence, 0 to 100.
    pub confidence: f32,
    /// Text in logical order.
    pub text: String,
}

/// The program and its limits.
#[derive(Debug, Clone)]
pub struct Tesseract {
    /// Name or path of the program.
    pub program: OsString,
    /// Longest time for one image.
    pub time_limit: Duration,
}

impl Tesseract {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        scrub_environment(command.as_std_mut());
        // A page keeps one core busy. Many single-threaded pages use the cores better than one page with many threads.
        command.env("OMP_THREAD_LIMIT", "1").kill_on_drop(true).stderr(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// Checks that the program and both languages are installed.
    ///
    /// # Errors
    /// A program or language is missing; the message names the package.
    pub async fn check(&self) -> Result<(), TesseractError> {
        let output = self.command().arg("--list-langs").output().await.map_err(|source| self.start_error(source))?;
        let listed = String::from_utf8_lossy(&output.stdout);
        match ["fra", "ara"].into_iter().find(|language| !listed.lines().any(|line| line == *language)) {
            Some(missing) => Err(TesseractError::Language(missing)),
            None => Ok(()),
        }
    }

    fn start_error(&self, source: std::io::Error) -> TesseractError {
        TesseractError::Start { program: self.program.to_string_lossy().into_owned(), source }
    }

    /// Reads an image. Dropping the future kills the child.
    ///
    /// Tesseract's second try with inverted dark images is turned off: it costs a fifth more time, and gazettes have no
    /// light print on dark.
    ///
    /// # Errors
    /// The program is missing, fails or exceeds the time limit.
    pub async fn read(&self, sight: Sight, languages: Languages) -> Result<Vec<Word>, TesseractError> {
        let mut command = self.command();
        command.args(["stdin", "stdout", "-l", languages.argument(), "--psm", sight.segmentation.argument()]);
        command.args(["--dpi", &(sight.dpi.round() as u32).to_string(), "-c", "tessedit_do_invert=0", "tsv"]);
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(|source| self.start_error(source))?;
        let input = child.stdin.take();
        let feed = async move {
            if let Some(mut input) = input {
                // A child that refuses its input says why in its exit status and message.
                let _ = input.write_all(&sight.file).await;
            }
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = tokio::time::timeout(self.time_limit, both)
            .await
            .map_err(|_| TesseractError::Timeout(self.time_limit))?
            .map_err(|source| self.start_error(source))?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().into();
            return Err(TesseractError::Failed { status: output.status, message });
        }
        Ok(words(&String::from_utf8_lossy(&output.stdout)))
    }
}

/// The words of a TSV: the rows of level 5 that have text.
fn words(tsv: &str) -> Vec<Word> {
    tsv.lines().filter_map(word).collect()
}

fn word(row: &str) -> Option<Word> {
    let columns: Vec<&str> = row.splitn(12, '\t').collect();
    let [level, _, block, paragraph, line, _, left, top, width, height, confidence, text] = columns[..] else {
        return None;
    };
    let text = text.trim();
    if level != "5" || text.is_empty() {
        return None;
    }
    let number = |column: &str| column.parse::<u32>().ok();
    let (left, top) = (number(left)?, number(top)?);
    Some(Word {
        place: (number(block)?, number(paragraph)?, number(line)?),
        bounds: [left, top, left.checked_add(number(width)?)?, top.checked_add(number(height)?)?],
        confidence: confidence.parse().ok()?,
        text: text.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_from_the_rows_of_level_five() {
        let tsv = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
                   4\t1\t2\t1\t3\t0\t36\t92\t500\t30\t-1\t\n\
                   5\t1\t2\t1\t3\t1\t36\t92\t60\t30\t96.5\tArrêté\n\
                   5\t1\t2\t1\t3\t2\t100\t92\t60\t30\t95\t \n";
        assert_eq!(
            words(tsv),
            [Word { place: (2, 1, 3), bounds: [36, 92, 96, 122], confidence: 96.5, text: "Arrêté".into() }]
        );
    }
}
