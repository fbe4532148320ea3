//! How far the end of a text repeats itself, for all periods at once.

use super::{symbols::Symbol, unit::Counting};

/// For every period up to `longest`, the length of the longest suffix with that period; 0 where it is less than two
/// copies. Linear in the length of the text: it is the Z-function of the reversed text.
pub(super) fn repetition_by_period(
    text: &[Symbol],
    longest: usize,
    same: impl Fn(&Symbol, &Symbol) -> bool,
) -> Vec<usize> {
    let length = text.len();
    let backwards = |index: usize| &text[length - 1 - index];
    let periods = longest.min(length / 2);
    let mut z = vec![0; periods + 1];
    let mut repetition = vec![0; periods + 1];
    let (mut left, mut right) = (0, 0);
    for period in 1..=periods {
        let mut matched = if period < right { z[period - left].min(right - period) } else { 0 };
        while period + matched < length && same(backwards(matched), backwards(period + matched)) {
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

/// Start of the longest suffix in which every number is explained by the two numbers one and two periods before it:
/// each differs from the one before by the same step, which may be 0. `length` is the length of the suffix that has the
/// period if numbers are ignored. `None` for less than three copies, and where all steps are 0: those are equal copies.
pub(super) fn explained_from(text: &[Symbol], period: usize, length: usize) -> Option<usize> {
    let start = text.len() - length;
    let step = |index: usize| text[index].value.wrapping_sub(text[index - period].value);
    let mut index = text.len();
    while index > start + 2 * period && step(index - 1) == step(index - 1 - period) {
        index -= 1;
    }
    let from = index.checked_sub(2 * period)?;
    let counts = text.len() - from >= 3 * period && (text.len() - period..text.len()).any(|index| step(index) != 0);
    counts.then_some(from)
}

/// How the numbers of the last copy differ from those of the copy before.
pub(super) fn counting(text: &[Symbol], period: usize) -> Counting {
    let steps =
        (text.len() - period..text.len()).map(|index| text[index].value.wrapping_sub(text[index - period].value));
    let mut counters = steps.filter(|&step| step != 0);
    match (counters.next(), counters.next()) {
        (Some(1), None) => Counting::Running,
        _ => Counting::Stepping,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn symbols(values: &[u64]) -> Vec<Symbol> {
        let pairs = values.iter().flat_map(|&value| {
            [
                Symbol { character: '.', value: 0, is_text: true },
                Symbol { character: Symbol::NUMBER, value, is_text: true },
            ]
        });
        pairs.collect()
    }

    #[test]
    fn counters_are_explained_and_measurements_are_not() {
        let from = |values: &[u64]| explained_from(&symbols(values), 2, 2 * values.len());
        assert_eq!(from(&[1, 2, 3, 4, 5]), Some(0));
        assert_eq!(from(&[7, 7, 7, 7]), None);
        assert_eq!(from(&[50, 40, 30, 20]), Some(0));
        assert_eq!(from(&[8, 5, 1, 2, 3, 4]), Some(4), "from the 1 on, with the dot before it");
        assert_eq!(from(&[1, 2, 4]), None);
        assert_eq!(from(&[1, 2]), None);
    }

    #[test]
    fn one_number_that_rises_by_one_is_a_running_number() {
        let counting = |values: &[u64], period| counting(&symbols(values), period);
        assert_eq!(counting(&[1, 2, 3], 2), Counting::Running);
        assert_eq!(counting(&[1, 7, 2, 7, 3, 7], 4), Counting::Running);
        assert_eq!(counting(&[1, 2, 3, 4, 5, 6], 4), Counting::Stepping);
        assert_eq!(counting(&[3, 2, 1], 2), Counting::Stepping);
    }

    proptest! {
        #[test]
        fn repetition_is_what_a_naive_search_finds(text in "[ab]{0,60}") {
            let text: Vec<Symbol> = text.chars().map(|character| Symbol { character, value: 0, is_text: true }).collect();
            let fast = repetition_by_period(&text, 4_000, |one, other| one == other);
            for period in 1..=text.len() / 2 {
                let mut length = period;
                while length < text.len() && text[text.len() - 1 - length] == text[text.len() - 1 - length + period] {
                    length += 1;
                }
                prop_assert_eq!(fast[period], if length >= 2 * period { length } else { 0 });
            }
        }
    }
}
