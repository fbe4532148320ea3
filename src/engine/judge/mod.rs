//! Finds loops in an answer while it streams.
//!
//! **Three proofs of a loop.** Each is a repetition at the end of the text that is longer than any legitimate one in a
//! gazette.
//!
//! | proof | the end of the text is |
//! |---|---|
//! | [`Proof::Copies`] | equal copies of one unit of at most [`MAX_PERIOD`] symbols |
//! | [`Proof::Counters`] | copies that differ only in numbers, and each number differs from that of the copy before by the same step |
//! | [`Proof::RepeatedNgrams`] | only n-grams of 12 symbols that occurred four times before, in any order |
//!
//! The limit depends on what is repeated. In characters, unless said otherwise:
//!
//! | made of | legitimate | copies | counters | repeated n-grams |
//! |---|---|---|---|---|
//! | words | a refrain, one title for every name | 400 and 4 copies; 3 and less from units of 500 on | 100 copies | 2,000 of text |
//! | a line of at most 20 marks, not a block | a column of `Rabat`, items `Sans changement` | 50 copies, 400 to 2,000 | as words | as words |
//! | the same as an item of a list that is a block (layout JSON, DocTags) | items `Sans changement` | 50 copies, 400 to 4,500 | as words | as words |
//! | words and a leader | contents, forms | 2,000 | as words | as words |
//! | words in table cells | rows of equal cells (`Idem`), of `oui` and `non` | 2,400 | as words | as words |
//! | hardly a word (letters are less than 30 % of the marks), or boxes to fill in | blank forms | 4,000 | as words | 4,000 of text |
//! | leaders, rules, quotes, blanks, numbers | dot leaders, guillemets before every line | 1,500 | 1,500 | 3,000 of text |
//! | the same in table cells | empty rows, rows of zeros | 6,000 | 4,000 | 3,000 of text |
//! | other signs | none: a broken cache writes `!` for ever (`docs/facts/vllm.md`, "Prefix cache") | as words | as words | as words |
//!
//! Counters are no loop below 1,200 characters, and always one from 7,000 of text on, leaders not counted. Where the
//! only counter is a running number (boundary stones `B1, B2, …`), the limit is 3,000 characters in addition.
//!
//! The check that this replaces (`docs/facts/chandra.md`, "Retries") misses every period above 250 characters and every
//! counter, and refuses 12 empty rows and 30 dots.
//!
//! **Source of the figures.** The reference text of 367 pages, as it is, and written as blocks, paragraphs and table
//! rows of Chandra's and DeepSeek-OCR's dialects, once and printed twice. The longest legitimate repetitions there:
//!
//! * equal copies: 246 characters with words (two prices that agree), 367 of dotted lines (BO 7360, Arabic, page 14);
//! * copies that differ only in numbers: 15 orders of a contents page, 3,166 characters (BO 7360, Arabic, page 3). The
//!   orders are numbered one by one and their page numbers rise irregularly; read two by two, 12 of them are explained
//!   by steps. Other legal texts list more: lots, lines of a scale, articles "sans changement". The tests have lists of
//!   60 to 90 entries, made after such texts. A list of 60 entries looks as a loop of 60 rounds does; only a loop goes
//!   on. So the limit is 100 entries, or more text than the 6,726 characters of the fullest page;
//! * numbers without a constant step: a table of coordinates, 40 rows (BO 7500, French, page 17). They are never a
//!   proof, however many: price lists and drawn bonds look the same. Such a loop ends with its token budget;
//! * repeated n-grams: fewer than 700 characters, in orders that differ only in a name (BO 7360, Arabic, page 45).
//!
//! **Markup does not count.** A looping model often writes the same block with other box coordinates, so numbers within
//! tags, within DeepSeek's `[[…]]`, and in the head of an element in JSON (box and category), all count as equal. Labels and tags are not words. A `<` opens a tag only
//! before a letter, `/`, `!` or `|`, for at most 300 characters of a line. A direction mark is ignored. Letters that
//! count (`a)`, `b)`) are letters, not counters: they repeat after an alphabet, and then the alphabet is the unit.
//!
//! **Cost.** A Z-function over the reversed tail gives the longest repetition of every period at once, for copies and
//! for counters. Three lengths of tail are inspected, longer ones less often: 47 steps a character, whatever the text.
//! What is before the longest tail is forgotten, so that an answer of any length takes under a megabyte.

mod periods;
mod repeated_ngrams;
mod symbols;
mod unit;

use std::fmt;

use periods::{counting, explained_from, repetition_by_period};
use repeated_ngrams::{RepeatedNgrams, start_of_last};
use symbols::{Symbol, Symbols};
use unit::{Counting, Unit, least_of_copies, text_without_leaders};

/// Longest repeated unit that is recognised, in symbols: characters, a run of digits being one.
pub const MAX_PERIOD: usize = 4_000;

/// Lengths of the inspected tail in symbols, and how often it is inspected in characters; shortest first.
const INSPECTIONS: [Inspection; 3] = [
    Inspection { window: 1_536, every: 128, counters: false },
    Inspection { window: 4_608, every: 512, counters: true },
    Inspection { window: 13_312, every: 1_536, counters: true },
];
const LONGEST: &Inspection = &INSPECTIONS[INSPECTIONS.len() - 1];

struct Inspection {
    window: usize,
    every: usize,
    /// Whether counters are searched too. They are no loop before they fill most of the shortest tail.
    counters: bool,
}

/// Number of periods whose numbers are compared in one inspection. If a period does not explain the numbers, twice the
/// period may: in a contents list, two orders may share each page.
const PERIODS_EXPLAINED: usize = 4;

/// The judge's verdict on the text so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// No loop.
    Continue,
    /// The end of the text is a loop: cut the answer.
    Loop(Loop),
}

/// A repetition at the end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loop {
    /// The proof that it is a loop.
    pub proof: Proof,
    /// Where the loop begins, characters from the start of the answer.
    pub at: usize,
}

/// The proof of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Equal copies of one unit.
    Copies {
        /// Length of the unit, symbols.
        period: usize,
        /// Number of whole copies.
        copies: usize,
    },
    /// Copies that differ only in counters.
    Counters {
        /// Length of the unit, symbols.
        period: usize,
        /// Number of whole copies.
        copies: usize,
    },
    /// Only n-grams that occurred several times before.
    RepeatedNgrams {
        /// Length, symbols.
        length: usize,
    },
}

impl fmt::Display for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.proof {
            Proof::Copies { period, copies } => write!(f, "{copies} copies of {period} characters")?,
            Proof::Counters { period, copies } => {
                write!(f, "{copies} copies of {period} characters that differ only in counters")?;
            }
            Proof::RepeatedNgrams { length } => write!(f, "{length} characters of repeated n-grams")?,
        }
        write!(f, ", from character {} on", self.at)
    }
}

/// Judges one answer as it streams.
#[derive(Debug, Default)]
pub struct Judge {
    symbols: Symbols,
    ngrams: RepeatedNgrams,
    /// Number of the kept symbols that `ngrams` has taken.
    ngrams_until: usize,
    /// Characters at the last inspection of each length.
    looked: [usize; INSPECTIONS.len()],
}

impl Judge {
    /// Takes the next piece of the answer.
    pub fn push(&mut self, piece: &str) -> Judgement {
        for character in piece.chars() {
            self.symbols.push(character);
        }
        let whole = self.symbols.whole();
        whole[self.ngrams_until..].iter().for_each(|&symbol| self.ngrams.push(symbol));
        self.ngrams_until = whole.len() - self.symbols.forget_beyond(LONGEST.window);
        let seen = self.symbols.seen();
        let Some(due) = (0..INSPECTIONS.len()).rfind(|&look| seen >= self.looked[look] + INSPECTIONS[look].every)
        else {
            return Judgement::Continue;
        };
        // A long inspection also finds what a shorter one does.
        self.looked[..=due].fill(seen);
        self.inspect(&INSPECTIONS[due])
    }

    /// Inspects the end of the complete answer.
    pub fn finish(&self) -> Judgement {
        self.inspect(LONGEST)
    }

    fn inspect(&self, look: &Inspection) -> Judgement {
        let window = look.window.min(self.symbols.whole().len());
        let counters = || look.counters.then(|| self.counters(window)).flatten();
        let found = self.copies(window).or_else(counters).or_else(|| self.repeated_ngrams());
        found.map_or(Judgement::Continue, Judgement::Loop)
    }

    fn copies(&self, window: usize) -> Option<Loop> {
        let whole = self.symbols.whole();
        let repeated = repetition_by_period(&whole[whole.len() - window..], MAX_PERIOD, |one, other| one == other);
        // If a period was allowed, its multiples are too: a unit of two rows is made of what one row is made of.
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
        for period in (1..repeated.len()).filter(long_enough).take(PERIODS_EXPLAINED) {
            let Some(from) = explained_from(tail, period, repeated[period]) else { continue };
            let explained = &tail[from..];
            let (copies, characters) = (explained.len() / period, self.characters_of_last(explained.len()));
            if characters < Unit::LEAST_OF_COUNTERS {
                continue;
            }
            let text = text_without_leaders(explained);
            let counting = counting(explained, period);
            if Unit::of(&explained[..period]).forbids_counters(counting, copies, characters, text) {
                let proof = Proof::Counters { period, copies };
                return Some(Loop { proof, at: self.symbols.position(whole.len() - explained.len()) });
            }
            // Read two by two, a running number has steps other than 1 and would look like stepping counters.
            if counting == Counting::Running {
                return None;
            }
        }
        None
    }

    fn repeated_ngrams(&self) -> Option<Loop> {
        let length = self.ngrams.length();
        if length < Unit::LEAST_REPETITION {
            return None;
        }
        let whole = self.symbols.whole();
        let start = start_of_last(length, whole);
        let repeated_ngrams = length >= Unit::of(&whole[start..]).allowed_repetition();
        repeated_ngrams.then(|| Loop { proof: Proof::RepeatedNgrams { length }, at: self.symbols.position(start) })
    }

    /// Number of characters that the last `symbols` whole symbols stand for.
    fn characters_of_last(&self, symbols: usize) -> usize {
        let whole = self.symbols.whole().len();
        self.symbols.position(whole) - self.symbols.position(whole - symbols)
    }
}

/// Number of equal copies at the end of an answer that are not kept, and the least number of characters in them.
const WORTHLESS_COPIES: usize = 4;
const LEAST_WORTHLESS: usize = 200;

/// Where the answer begins to repeat itself at its end, characters from its start. For an answer that the judge allowed
/// and that failed for another reason: copies that are too few to prove a loop are still not text of the page.
pub(super) fn repeated_tail(answer: &str) -> Option<usize> {
    let mut judge = Judge::default();
    answer.chars().for_each(|character| judge.symbols.push(character));
    judge.symbols.forget_beyond(LONGEST.window);
    let whole = judge.symbols.whole();
    let repeated = repetition_by_period(whole, MAX_PERIOD, |one, other| one == other);
    let copies = (1..repeated.len()).filter(|&period| repeated[period] >= WORTHLESS_COPIES * period);
    let longest = copies.map(|period| repeated[period]).max()?;
    (judge.characters_of_last(longest) >= LEAST_WORTHLESS).then(|| judge.symbols.position(whole.len() - longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pieces of the size of tokens, so that inspections come at the same places as in a stream.
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

    const CONTENTS: &str = include_str!("../../../tests/data/engine/contents-fr.txt");

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
    fn worn_text_between_markup_begins_where_it_does() {
        let mut random = oorandom::Rand32::new(7);
        let row = |_| format!("<tr><td>{}</td></tr>\n", if random.rand_range(0..2) > 0 { "oui" } else { "non" });
        let text = format!("{CONTENTS}<table>{}", (0..2_000).map(row).collect::<String>());
        let start = CONTENTS.chars().count();
        let Judgement::Loop(Loop { proof: Proof::RepeatedNgrams { .. }, at }) = judge(&text) else { panic!("no loop") };
        assert!((start..start + 2_500).contains(&at), "at {at}, not {start}");
    }

    #[test]
    fn copies_at_the_end_that_prove_nothing_are_found() {
        let start = CONTENTS.chars().count();
        for (unit, copies) in [(".", 250), ("<td></td>", 64), ("Vu la loi n° 5-96, telle que modifiée ; ", 6)] {
            let text = format!("{CONTENTS}{}", unit.repeat(copies));
            assert_eq!(judge(&text), Judgement::Continue);
            let tail = repeated_tail(&text).unwrap();
            assert!(tail.abs_diff(start) < unit.len(), "{tail} of {unit}, not {start}");
        }
        assert_eq!(repeated_tail(CONTENTS), None);
        assert_eq!(repeated_tail(""), None);
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
