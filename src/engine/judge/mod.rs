//! Says no to an answer that repeats itself, while it streams.
//!
//! **Three proofs of a loop.** Each is a repetition at the end of the text that has grown longer than a gazette ever
//! needs.
//!
//! | proof | the end of the text is |
//! |---|---|
//! | [`Proof::Copies`] | equal copies of one unit of at most [`MAX_PERIOD`] symbols |
//! | [`Proof::Counters`] | copies that differ in numbers alone, and each number differs from that of the copy before by the same step |
//! | [`Proof::Worn`] | nothing but pieces of 12 symbols that were there four times before, in whatever order |
//!
//! How long is too long depends on what is repeated, in characters:
//!
//! | made of | legitimate | copies | counters | worn |
//! |---|---|---|---|---|
//! | words | a refrain, a line for every owner of a title | 400 and 4 copies (fewer for units over 500) | 32 copies, but 1,200 to 8,000 | 1,500 |
//! | words in table cells | rows of equal cells (`Idem`), of `oui` and `non` | 2,400 | 48 copies, but 2,400 to 10,000 | 5,000 |
//! | leaders, rules, quotes, blanks, numbers | dot leaders, guillemets before every line | 1,500 | 1,500 | 3,000 |
//! | the same in table cells | empty rows, rows of zeros | 4,000 | 4,000 | 8,000 |
//! | other signs | nothing: a broken cache writes `!` for ever (facts of the engines, C.8) | 400 | 1,200 | 1,500 |
//!
//! The check that this replaces (facts of the engines, A.9) misses every period above 250 characters, every counter, and
//! says no to 12 empty rows and to 30 dots.
//!
//! **Why counters need a step, and so many copies.** Contents pages list orders that are equal but for their numbers.
//! The longest such list in 367 pages of reference text has 15 entries (BO 7360, Arabic, page 3: 3,166 characters); its
//! orders are numbered one by one, its page numbers are not. The longest run of numbers without a step is a table
//! of coordinates (BO 7500, French, page 17: 40 rows); numbers that are not explained prove nothing, however many. The
//! fullest page has 6,726 characters: one that counts for 8,000 is no page.
//!
//! **Coordinates do not count.** A looping model often writes the same block with other box coordinates: numbers
//! within tags, and within DeepSeek's `[[…]]`, are all alike. Letters that count (`a)`, `b)`) are letters: they come
//! round after an alphabet, and then the alphabet is the unit.
//!
//! **Cost.** A Z-function over the reversed tail gives the longest repetition of every period at once, for copies and for
//! counters. The tail is looked at in three lengths, the longer the more rarely: 58 steps a character, whatever the
//! text. What lies behind the longest tail is forgotten.

mod periods;
mod symbols;
mod unit;
mod worn;

use std::fmt;

use periods::{explained_from, repetition_by_period};
use symbols::{Symbol, Symbols};
use unit::{Unit, least_of_copies};
use worn::Worn;

/// Longest repeated unit that is recognised, in symbols: characters, a run of digits being one.
pub const MAX_PERIOD: usize = 4_000;

/// Lengths of the tail in symbols and how often they are looked at in characters, shortest first.
const LOOKS: [Look; 3] = [
    Look { window: 1_536, every: 128 },
    Look { window: 4_608, every: 512 },
    Look { window: 13_312, every: 1_536 },
];
const LONGEST: usize = LOOKS[LOOKS.len() - 1].window;

struct Look {
    window: usize,
    every: usize,
}

/// Periods for which numbers are compared at one look: a period that does not explain them may do so doubled, where
/// two orders share each page of a contents list.
const PERIODS_EXPLAINED: usize = 4;

/// The judge's word on the text so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// No loop.
    Continue,
    /// The tail repeats itself: cut.
    Loop(Loop),
}

/// A repetition at the end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loop {
    /// Why it is one.
    pub proof: Proof,
    /// Where it begins, characters from the start of the answer.
    pub at: usize,
}

/// What proves a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Equal copies of one unit.
    Copies {
        /// Length of the unit, symbols.
        period: usize,
        /// Whole copies of it.
        copies: usize,
    },
    /// Copies that differ in counters alone.
    Counters {
        /// Length of the unit, symbols.
        period: usize,
        /// Whole copies of it.
        copies: usize,
    },
    /// Nothing but what was there several times before.
    Worn {
        /// Length, symbols.
        length: usize,
    },
}

impl fmt::Display for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.proof {
            Proof::Copies { period, copies } => write!(f, "{copies} copies of {period} characters")?,
            Proof::Counters { period, copies } => write!(f, "{copies} copies of {period} characters but for counters")?,
            Proof::Worn { length } => write!(f, "{length} characters of nothing new")?,
        }
        write!(f, ", from character {} on", self.at)
    }
}

/// Judges one answer as it streams.
#[derive(Debug, Default)]
pub struct Judge {
    symbols: Symbols,
    worn: Worn,
    /// Symbols that it has seen, of those that are remembered.
    worn_until: usize,
    /// Characters at the last look of each length.
    looked: [usize; LOOKS.len()],
}

impl Judge {
    /// Takes the next piece of the answer.
    pub fn push(&mut self, piece: &str) -> Judgement {
        for character in piece.chars() {
            self.symbols.push(character);
        }
        let whole = self.symbols.whole();
        whole[self.worn_until..].iter().for_each(|&symbol| self.worn.push(symbol));
        self.worn_until = whole.len() - self.symbols.forget_beyond(LONGEST);
        let seen = self.symbols.seen();
        let Some(due) = (0..LOOKS.len()).rfind(|&look| seen >= self.looked[look] + LOOKS[look].every) else {
            return Judgement::Continue;
        };
        // A long look sees what a short one does.
        self.looked[..=due].fill(seen);
        self.look(LOOKS[due].window)
    }

    /// Looks at the tail of the whole answer.
    pub fn finish(&self) -> Judgement {
        self.look(LONGEST)
    }

    fn look(&self, window: usize) -> Judgement {
        let window = window.min(self.symbols.whole().len());
        let found = self.copies(window).or_else(|| self.counters(window)).or_else(|| self.worn_out());
        found.map_or(Judgement::Continue, Judgement::Loop)
    }

    fn copies(&self, window: usize) -> Option<Loop> {
        let whole = self.symbols.whole();
        let repeated = repetition_by_period(&whole[whole.len() - window..], MAX_PERIOD, |one, other| one == other);
        // Multiples of a period that was let pass are let pass: a unit of two rows is made of what one row is made of.
        let mut passed = 0..0;
        let period = (1..repeated.len()).find(|&period| {
            let (unit, copies) = (self.characters_of_last(period), self.characters_of_last(repeated[period]));
            if passed.contains(&period) || repeated[period] == 0 || copies < least_of_copies(unit) {
                return false;
            }
            passed = period..repeated[period] - period + 1;
            copies >= Unit::of(&whole[whole.len() - period..]).allowance_of_copies(unit)
        })?;
        let mut start = whole.len() - repeated[period];
        while start > 0 && whole[start - 1] == whole[start - 1 + period] {
            start -= 1;
        }
        Some(Loop {
            proof: Proof::Copies { period, copies: (whole.len() - start) / period },
            at: self.symbols.position(start),
        })
    }

    fn counters(&self, window: usize) -> Option<Loop> {
        let whole = self.symbols.whole();
        let tail = &whole[whole.len() - window..];
        let alike = |one: &Symbol, other: &Symbol| one.character == other.character;
        let repeated = repetition_by_period(tail, MAX_PERIOD, alike);
        let long_enough = |&period: &usize| {
            repeated[period] >= 3 * period && self.characters_of_last(repeated[period]) >= Unit::LEAST_OF_COUNTERS
        };
        (1..repeated.len()).filter(long_enough).take(PERIODS_EXPLAINED).find_map(|period| {
            let length = tail.len() - explained_from(tail, period, repeated[period])?;
            let unit = Unit::of(&tail[tail.len() - period..]);
            let allowance = unit.allowance_of_counters(self.characters_of_last(period));
            (self.characters_of_last(length) >= allowance).then(|| Loop {
                proof: Proof::Counters { period, copies: length / period },
                at: self.symbols.position(whole.len() - length),
            })
        })
    }

    fn worn_out(&self) -> Option<Loop> {
        let whole = self.symbols.whole();
        let length = self.worn.length().min(whole.len());
        let start = whole.len() - length;
        let worn_out = length >= Unit::LEAST_OF_WORN && length >= Unit::of(&whole[start..]).allowance_of_worn();
        worn_out.then(|| Loop { proof: Proof::Worn { length }, at: self.symbols.position(start) })
    }

    /// Characters of the answer that the last whole symbols stand for.
    fn characters_of_last(&self, symbols: usize) -> usize {
        let whole = self.symbols.whole().len();
        self.symbols.position(whole) - self.symbols.position(whole - symbols)
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

    const CONTENTS: &str = include_str!("../../../tests/data/engine/contents-fr.txt");
    const ARABIC: &str = include_str!("../../../tests/data/engine/page-ar.txt");

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
            let Judgement::Loop(Loop { proof: Proof::Copies { period: found, .. }, at }) = judge(&text) else {
                panic!("missed period {period}")
            };
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
        fn pieces_of_any_size_give_the_same_verdict_on_a_long_loop(size in 1usize..200) {
            let text: Vec<char> = "لا إله إلا النص ".repeat(200).chars().collect();
            let mut judge = Judge::default();
            let cut = text.chunks(size).any(|piece| judge.push(&piece.iter().collect::<String>()) != Judgement::Continue);
            prop_assert!(cut);
        }
    }
}
