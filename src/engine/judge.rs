//! Says no to an answer that repeats itself, while it streams.
//!
//! **What a loop is.** The tail of the text consists of copies of one unit of at most [`MAX_PERIOD`] characters, and the
//! repetition has grown longer than a gazette ever needs. How long that is depends on the unit:
//!
//! | unit | what is legitimate | a loop from |
//! |---|---|---|
//! | with letters | a refrain, a repeated line | 400 characters and 4 copies (fewer for units over 500 characters) |
//! | with letters, in table cells | rows of equal cells (`Idem`) | 2,400 characters |
//! | without letters | dot leaders, rules, guillemets, blanks, rows of zeros | 1,500 characters |
//! | without letters, in table cells | empty rows, rows of zeros | 4,000 characters |
//!
//! The check that this replaces (facts of the engines, A.9) misses every period above 250 characters, and says no to
//! 12 empty rows and to 30 dots.
//!
//! **Coordinates do not count.** A looping model often writes the same block with other box coordinates, so runs of
//! digits within tags, and within DeepSeek's `[[…]]`, are read as one digit. Digits in text are left alone: rows of
//! different numbers are the most legitimate repetition of all.
//!
//! **Cost.** A Z-function over the reversed tail gives the longest repetition of every period at once. A tail of
//! 4,096 characters is looked at every 256 characters and one of 12,288 every 1,024: 28 steps a character, whatever
//! the text.

/// Longest repeated unit that is recognised, in characters.
pub const MAX_PERIOD: usize = 4_000;

/// Length of the tail and how often it is looked at, in characters.
const NEAR: Look = Look { window: 4_096, every: 256 };
/// The same for long units.
const FAR: Look = Look { window: 12_288, every: 1_024 };

struct Look {
    window: usize,
    every: usize,
}

/// The judge's word on the text so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// No loop.
    Continue,
    /// The tail repeats itself: cut.
    Loop {
        /// Length of the repeated unit, characters (a run of digits within a tag counts as one).
        period: usize,
        /// Whole copies of it.
        copies: usize,
        /// Where the repetition begins, characters from the start of the text.
        at: usize,
    },
}

/// Judges one answer as it streams.
#[derive(Debug, Default)]
pub struct Judge {
    /// The text with the digits of tags folded.
    text: Vec<char>,
    /// Position of each of its characters in the answer.
    origin: Vec<u32>,
    /// Characters of the answer so far.
    seen: u32,
    place: Place,
    near_done: usize,
    far_done: usize,
}

/// Where in the markup the text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Text,
    Tag,
    Coordinates,
}

impl Judge {
    /// Takes the next piece of the answer.
    pub fn push(&mut self, piece: &str) -> Judgement {
        for character in piece.chars() {
            self.fold(character);
        }
        let length = self.text.len();
        if length >= self.far_done + FAR.every {
            (self.far_done, self.near_done) = (length, length);
            return self.look(FAR.window);
        }
        if length >= self.near_done + NEAR.every {
            self.near_done = length;
            return self.look(NEAR.window);
        }
        Judgement::Continue
    }

    /// Looks at the tail of the whole answer.
    pub fn finish(&self) -> Judgement {
        self.look(FAR.window)
    }

    fn fold(&mut self, character: char) {
        let previous = self.text.last().copied();
        let position = self.seen;
        self.seen += 1;
        self.place = match (self.place, character) {
            (_, '<') => Place::Tag,
            (Place::Tag, '>') => Place::Text,
            (Place::Text, '[') if previous == Some('[') => Place::Coordinates,
            (Place::Coordinates, ']') if previous == Some(']') => Place::Text,
            (Place::Coordinates, '\n') => Place::Text,
            (place, _) => place,
        };
        let folded = if self.place != Place::Text && character.is_ascii_digit() { '0' } else { character };
        if self.place != Place::Text && folded == '0' && previous == Some('0') {
            return;
        }
        self.text.push(folded);
        self.origin.push(position);
    }

    fn look(&self, window: usize) -> Judgement {
        let tail = &self.text[self.text.len().saturating_sub(window)..];
        if tail.len() < Unit::LEAST {
            return Judgement::Continue;
        }
        let repeated = repetition_by_period(tail);
        let period = repeated.iter().enumerate().skip(1).find_map(|(period, &length)| {
            let long_enough = length >= Unit::least_for(period);
            let unit = &tail[tail.len() - period..];
            (long_enough && length >= Unit::of(unit).allowance(period)).then_some(period)
        });
        match period {
            None => Judgement::Continue,
            Some(period) => {
                let mut start = self.text.len() - repeated[period];
                while start > 0 && self.text[start - 1] == self.text[start - 1 + period] {
                    start -= 1;
                }
                let at = self.origin.get(start).map_or(0, |&position| position as usize);
                Judgement::Loop { period, copies: (self.text.len() - start) / period, at }
            }
        }
    }
}

/// For every period up to [`MAX_PERIOD`] the length of the longest suffix that has it, 0 where it is less than two
/// copies. Linear in the length of the text: the Z-function of the text read backwards.
fn repetition_by_period(text: &[char]) -> Vec<usize> {
    let length = text.len();
    let backwards = |index: usize| text[length - 1 - index];
    let periods = MAX_PERIOD.min(length / 2);
    let mut z = vec![0; periods + 1];
    let mut repetition = vec![0; periods + 1];
    let (mut left, mut right) = (0, 0);
    for period in 1..=periods {
        let mut matched = if period < right { z[period - left].min(right - period) } else { 0 };
        while period + matched < length && backwards(matched) == backwards(period + matched) {
            matched += 1;
        }
        z[period] = matched;
        if period + matched > right {
            (left, right) = (period, period + matched);
        }
        if matched >= period {
            repetition[period] = period + matched;
        }
    }
    repetition
}

/// What a repeated unit is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unit {
    letters: bool,
    cells: bool,
}

impl Unit {
    /// No allowance is smaller.
    const LEAST: usize = 400;

    /// The smallest allowance of any unit of this length.
    fn least_for(period: usize) -> usize {
        Self::LEAST.max((4 * period).min(1_000 + 2 * period))
    }

    /// A unit begins anywhere in its cycle, so it is read as a ring.
    fn of(unit: &[char]) -> Unit {
        let start = unit.iter().position(|&c| c == '>').map_or(0, |at| at + 1);
        let ring = || unit.iter().cycle().skip(start).take(unit.len());
        let mut in_tag = false;
        let letters = ring().fold(false, |letters, &c| {
            in_tag = c == '<' || (in_tag && c != '>');
            letters || (!in_tag && c.is_alphabetic())
        });
        let cells = ["<td", "<th", "<tr"].iter().any(|tag| {
            (0..unit.len()).any(|at| tag.chars().enumerate().all(|(i, c)| unit[(at + i) % unit.len()] == c))
        });
        Unit { letters, cells }
    }

    /// Repeated characters from which on it is a loop.
    fn allowance(self, period: usize) -> usize {
        let floor = match (self.letters, self.cells) {
            (true, false) => Self::LEAST,
            (true, true) => 2_400,
            (false, false) => 1_500,
            (false, true) => 4_000,
        };
        floor.max(Self::least_for(period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pieces of the size of tokens, so that the looks fall where they do in a stream.
    fn judge(text: &str) -> Judgement {
        let mut judge = Judge::default();
        let characters: Vec<char> = text.chars().collect();
        for piece in characters.chunks(4) {
            let judgement = judge.push(&piece.iter().collect::<String>());
            if judgement != Judgement::Continue {
                return judgement;
            }
        }
        judge.finish()
    }

    fn is_loop(text: &str) -> bool {
        judge(text) != Judgement::Continue
    }

    const CONTENTS: &str = include_str!("../../tests/data/engine/contents-fr.txt");
    const ARABIC: &str = include_str!("../../tests/data/engine/page-ar.txt");

    #[test]
    fn real_pages_pass() {
        for page in [CONTENTS, ARABIC] {
            assert_eq!(judge(page), Judgement::Continue);
            assert_eq!(judge(&page.repeat(2)), Judgement::Continue, "a page printed twice is no endless loop");
        }
    }

    #[test]
    fn legitimate_repetition_passes() {
        let row = |cell: &str, cells: usize| format!("<tr>{}</tr>\n", format!("<td>{cell}</td>").repeat(cells));
        let cases = [
            ("dot leader", format!("Décret n° 2-24-12 {} 1234", ".".repeat(300))),
            ("spaced dots", format!("Arrêté {} 7", ". ".repeat(300))),
            ("ellipses of a form", "……………<br/>\n".repeat(40)),
            ("rules", format!("{}\n{}", "_".repeat(500), "-".repeat(500))),
            ("guillemets", "» ".repeat(300)),
            ("12 empty rows", row("", 8).repeat(12)),
            ("40 empty rows", row("", 6).repeat(40)),
            ("zeros", row("0", 8).repeat(40)),
            ("idem", row("Idem", 5).repeat(30)),
            ("equal rows", row("Technicien de 3e grade", 3).repeat(15)),
            ("numbers that differ", (0..400).map(|n| format!("<tr><td>{}</td></tr>", 100_000 + n * 37)).collect()),
            ("a refrain", "<p>Le reste sans changement.</p>".repeat(10)),
            ("tatweel", "ـ".repeat(200)),
        ];
        for (name, text) in cases {
            assert_eq!(judge(&text), Judgement::Continue, "{name}");
        }
    }

    #[test]
    fn loops_of_every_length_are_cut_soon() {
        for period in [1_usize, 2, 7, 60, 251, 700, 1_500, 2_999, 4_000] {
            let mut random = oorandom::Rand32::new(7);
            let unit: String = (0..period).map(|_| char::from(b'a' + random.rand_range(0..26) as u8)).collect();
            let text = format!("{CONTENTS}{}", unit.repeat(20_000 / period + 4));
            let Judgement::Loop { period: found, at, .. } = judge(&text) else { panic!("missed period {period}") };
            let start = CONTENTS.chars().count();
            assert_eq!(found, period);
            assert!(at.abs_diff(start) <= period, "period {period} at {at}, not {start}");
        }
    }

    #[test]
    fn a_loop_costs_little_more_than_its_allowance() {
        let row = "<tr><td>المملكة المغربية</td><td>وزارة الداخلية</td></tr>\n";
        let mut judge = Judge::default();
        let mut sent = 0;
        while judge.push(row) == Judgement::Continue {
            sent += row.chars().count();
        }
        assert!(sent <= 2_400 + 1_024, "{sent} characters before the cut");
        assert!(is_loop(&"............".repeat(300)));
        assert!(is_loop(&"<tr><td></td><td></td></tr>".repeat(200)));
    }

    #[test]
    fn boxes_that_differ_do_not_hide_a_loop() {
        let chandra: String = (0..60)
            .map(|n| {
                format!(
                    "<div data-bbox=\"80 {} 920 {}\" data-label=\"Text\"><p>Vu la loi</p></div>\n",
                    5 + n * 3,
                    n * 31
                )
            })
            .collect();
        assert!(is_loop(&chandra));
        let deepseek: String = (0..60)
            .map(|n| format!("<|ref|>text<|/ref|><|det|>[[{}, {n}, 900, {}]]<|/det|>\nVu la loi\n\n", 9 + n, n * 17))
            .collect();
        assert!(is_loop(&deepseek));
        let articles: String = (0..60).map(|n| format!("<p>Article {n}</p>")).collect();
        assert!(!is_loop(&articles), "numbers in text are text");
    }

    proptest! {
        #[test]
        fn repetition_is_what_a_naive_search_finds(text in "[ab]{0,60}") {
            let text: Vec<char> = text.chars().collect();
            let fast = repetition_by_period(&text);
            for period in 1..=text.len() / 2 {
                let mut length = period;
                while length < text.len() && text[text.len() - 1 - length] == text[text.len() - 1 - length + period] {
                    length += 1;
                }
                prop_assert_eq!(fast[period], if length >= 2 * period { length } else { 0 });
            }
        }

        #[test]
        fn pieces_of_any_size_give_the_same_verdict_on_a_long_loop(size in 1usize..200) {
            let text: Vec<char> = "لا إله إلا النص ".repeat(200).chars().collect();
            let mut judge = Judge::default();
            let cut = text.chunks(size).any(|piece| judge.push(&piece.iter().collect::<String>()) != Judgement::Continue);
            prop_assert!(cut);
        }
    }
}
