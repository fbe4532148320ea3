//! Tesseract's confidence in what it read, and the lines that are to be read a second time.

use crate::tesseract::{PixelBox, Word};

/// Confidence below which a word counts as doubtful.
const DOUBTFUL: f32 = 60.0;
/// Share of doubtful characters above which a line is read again.
const DOUBTFUL_SHARE: f32 = 0.25;
/// Least gain in mean confidence for which a second reading is kept. With 2.5, lines of a contents page with dot
/// leaders became worse.
const GAIN: f32 = 10.0;
/// Margin that is cut out around doubtful lines, inches.
const MARGIN: f32 = 0.04;

/// Confidence in some words, weighted by their characters.
#[derive(Debug, Clone, Copy)]
pub struct Certainty {
    /// Mean confidence, 0 to 100; 0 without words.
    pub mean: f32,
    /// Share of characters in doubtful words, 0.0..=1.0.
    pub doubtful_share: f32,
}

impl Certainty {
    /// The certainty of these words.
    pub fn of(words: &[Word]) -> Self {
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
        Certainty { mean: weighed / characters, doubtful_share: doubtful / characters }
    }

    /// Whether a reading with this certainty replaces one with that of `first`.
    pub fn is_clearly_more_than(self, first: Certainty) -> bool {
        self.mean > first.mean + GAIN
    }
}

/// Consecutive doubtful lines of one block.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// Index of its first word, and of the first word after it.
    pub words: [usize; 2],
    /// The rectangle to cut out of the page: the lines and a margin, into which lines above and below may reach.
    pub bounds: PixelBox,
    /// First row of its lines, and first row after them.
    pub rows: [u32; 2],
}

impl Passage {
    /// Whether a word of the page belongs to the passage, and not to a line above or below.
    pub fn holds(&self, word: &Word) -> bool {
        (self.rows[0]..self.rows[1]).contains(&word.bounds[1].midpoint(word.bounds[3]))
    }
}

/// The doubtful passages of a page with `dpi` dots per inch.
pub fn doubtful_passages(words: &[Word], dpi: f32) -> Vec<Passage> {
    let margin = (MARGIN * dpi).round() as u32;
    let mut lines: Vec<(usize, &[Word], PixelBox)> = Vec::new();
    for line in words.chunk_by(|one, next| one.place == next.place) {
        let begin = lines.last().map_or(0, |(begin, words, _)| begin + words.len());
        lines.push((begin, line, hull(line)));
    }
    let block = |index: usize| lines.get(index).and_then(|(_, words, _)| words.first()).map(|word| word.place.0);
    // In narrow print the boxes of lines overlap. The middle between the centres of two lines still separates them.
    let between = |upper: usize, lower: usize| {
        let (one, other) = (lines.get(upper)?.2, lines.get(lower)?.2);
        let middles = [one[1].midpoint(one[3]), other[1].midpoint(other[3])];
        (block(upper) == block(lower) && middles[0] < middles[1]).then(|| middles[0].midpoint(middles[1]))
    };
    let mut passages: Vec<Passage> = Vec::new();
    let mut last_line = None;
    for (index, &(begin, words, line)) in lines.iter().enumerate() {
        if Certainty::of(words).doubtful_share <= DOUBTFUL_SHARE {
            continue;
        }
        let above = index.checked_sub(1).and_then(|above| between(above, index));
        let [top, bottom] = [above.unwrap_or(line[1]), between(index, index + 1).unwrap_or(line[3])];
        let (end, bounds) = (begin + words.len(), widened(line, margin));
        let follows = last_line.replace(index).is_some_and(|last| last + 1 == index && block(last) == block(index));
        match passages.last_mut().filter(|_| follows) {
            Some(passage) => {
                passage.words[1] = end;
                passage.bounds = united(passage.bounds, bounds);
                passage.rows = [passage.rows[0].min(top), passage.rows[1].max(bottom)];
            }
            None => passages.push(Passage { words: [begin, end], bounds, rows: [top, bottom] }),
        }
    }
    passages
}

/// The smallest box around some words; with inverted edges where there are none.
pub fn hull(words: &[Word]) -> PixelBox {
    words.iter().map(|word| word.bounds).fold([u32::MAX, u32::MAX, 0, 0], united)
}

fn united(one: PixelBox, other: PixelBox) -> PixelBox {
    [one[0].min(other[0]), one[1].min(other[1]), one[2].max(other[2]), one[3].max(other[3])]
}

fn widened([left, top, right, bottom]: PixelBox, margin: u32) -> PixelBox {
    [
        left.saturating_sub(margin),
        top.saturating_sub(margin),
        right.saturating_add(margin),
        bottom.saturating_add(margin),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(place: (u32, u32, u32), confidence: f32) -> Word {
        let top = place.2 * 50;
        Word { place, bounds: [100, top, 200, top + 30], confidence, text: "douze".into() }
    }

    #[test]
    fn certainty_is_weighed_by_characters() {
        let word = |text: &str, confidence| Word { place: (1, 1, 1), bounds: [0; 4], confidence, text: text.into() };
        let certainty = Certainty::of(&[word("longmots", 90.0), word("ab", 40.0)]);
        assert!((certainty.mean - 80.0).abs() < 0.01);
        assert!((certainty.doubtful_share - 0.2).abs() < 0.01);
        assert_eq!(Certainty::of(&[]).mean, 0.0);
    }

    #[test]
    fn doubtful_lines_that_follow_each_other_are_one_passage() {
        let words = [
            word((1, 1, 1), 95.0),
            word((1, 1, 2), 30.0),
            word((1, 1, 2), 90.0),
            word((1, 2, 3), 40.0),
            word((1, 2, 4), 95.0),
            word((2, 1, 5), 20.0),
        ];
        let passages = doubtful_passages(&words, 100.0);
        assert_eq!(passages[0], Passage { words: [1, 4], bounds: [96, 96, 204, 184], rows: [90, 190] });
        assert_eq!(passages[1].words, [5, 6]);
        assert_eq!(passages.len(), 2);
        assert_eq!(doubtful_passages(&[], 100.0), []);
    }
}
