//! The length of the text at the end that consists of n-grams seen several times before, in any order.

use super::symbols::Symbol;

/// Symbols of one n-gram.
const GRAM: usize = 12;
/// How often an n-gram must have occurred before to count as repeated. A page that is printed twice has everything
/// twice.
const TIMES: u8 = 4;
/// Number of repeated n-grams that one new n-gram takes off the length.
const FRESH: usize = 16;
/// Bits of an index into the table of counts: 64 KiB, three times what a long answer fills.
const BITS: u32 = 16;
/// Number of symbols after which the counts begin again: more than an answer has. In a longer stream, chance alone
/// would fill the table.
const COUNTED: usize = 1 << 17;
/// Stands for markup of any length.
const MARKUP: Symbol = Symbol { character: '<', value: 0, is_text: false };
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// Counts the n-grams of an answer.
#[derive(Debug)]
pub(super) struct RepeatedNgrams {
    counts: Vec<u8>,
    /// The last symbols, as a ring buffer.
    last: [u64; GRAM],
    taken: usize,
    hash: u64,
    length: usize,
    in_markup: bool,
}

impl Default for RepeatedNgrams {
    fn default() -> Self {
        RepeatedNgrams { counts: vec![0; 1 << BITS], last: [0; GRAM], taken: 0, hash: 0, length: 0, in_markup: false }
    }
}

impl RepeatedNgrams {
    /// Takes the next symbol. A stretch of markup counts as one symbol, because only repeated text of the page matters.
    pub(super) fn push(&mut self, symbol: Symbol) {
        let in_markup = std::mem::replace(&mut self.in_markup, !symbol.is_text);
        if !symbol.is_text && in_markup {
            return;
        }
        let symbol = if symbol.is_text { symbol } else { MARKUP };
        let code = ((u64::from(u32::from(symbol.character)) << 40) ^ symbol.value).wrapping_mul(FACTOR);
        let oldest = std::mem::replace(&mut self.last[self.taken % GRAM], code);
        self.taken += 1;
        // A rolling hash: the weight of a symbol is a power of FACTOR, for the symbol that leaves FACTOR to the power
        // GRAM.
        self.hash = self.hash.wrapping_mul(FACTOR).wrapping_add(code);
        self.hash = self.hash.wrapping_sub(oldest.wrapping_mul(FACTOR.wrapping_pow(GRAM as u32)));
        if self.taken < GRAM {
            return;
        }
        if self.taken.is_multiple_of(COUNTED) {
            self.counts.fill(0);
        }
        let count = &mut self.counts[(self.hash.wrapping_mul(FACTOR) >> (64 - BITS)) as usize];
        self.length = if *count >= TIMES { self.length + 1 } else { self.length.saturating_sub(FRESH) };
        *count = count.saturating_add(1);
    }

    /// Length of the repeated text up to here, in symbols, less [`FRESH`] for each new n-gram. A stretch of markup is
    /// one symbol.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

/// Index of the first of the last `length` symbols, counted as [`RepeatedNgrams`] does.
pub(super) fn start_of_last(length: usize, symbols: &[Symbol]) -> usize {
    let mut counted = 0;
    let mut start = symbols.len();
    while let Some(before) = start.checked_sub(1) {
        let goes_on = !symbols[before].is_text && symbols.get(start).is_some_and(|symbol| !symbol.is_text);
        counted += usize::from(!goes_on);
        if counted > length {
            break;
        }
        start = before;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_repeated(text: &str) -> usize {
        let mut ngrams = RepeatedNgrams::default();
        text.chars().for_each(|character| ngrams.push(Symbol { character, value: 0, is_text: true }));
        ngrams.length()
    }

    #[test]
    fn a_stretch_of_markup_counts_as_one_backwards_too() {
        let symbol = |character: char| Symbol { character, value: 0, is_text: character.is_lowercase() };
        let symbols: Vec<Symbol> = "abTTTcdTTe".chars().map(symbol).collect();
        let starts = (0..=7).map(|length| start_of_last(length, &symbols));
        assert_eq!(starts.collect::<Vec<_>>(), [10, 9, 7, 6, 5, 2, 1, 0]);
    }

    #[test]
    fn nothing_wears_out_by_chance() {
        let mut random = oorandom::Rand64::new(7);
        let text: String = (0..50_000).map(|_| format!("{:016x} ", random.rand_u64())).collect();
        assert_eq!(count_repeated(&text), 0);
    }

    #[test]
    fn only_what_was_said_often_is_worn() {
        let page = include_str!("../../../tests/data/engine/contents-fr.txt");
        assert!(count_repeated(page) < 200, "{}", count_repeated(page));
        assert!(count_repeated(&page.repeat(2)) < 400, "{}", count_repeated(&page.repeat(2)));
        let line = "Le reste sans changement. ";
        assert_eq!(count_repeated(&line.repeat(4)), 0);
        let length = count_repeated(&line.repeat(40));
        assert!(length.abs_diff(36 * line.len()) <= 2 * GRAM, "{length}");
    }
}
