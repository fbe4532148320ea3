//! What is repeated, and how long a gazette may do so.

use super::symbols::Symbol;

/// What a repeated unit is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    content: Content,
    cells: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Words,
    /// Nothing but what fills lines and cells in print: leaders, rules, quotes, blanks, numbers.
    Filling,
    /// Signs that nobody sets in rows, such as `!`.
    Signs,
}

impl Unit {
    /// No allowance of copies is smaller.
    const LEAST_OF_COPIES: usize = 400;
    /// No allowance of counters is smaller.
    pub(super) const LEAST_OF_COUNTERS: usize = 1_200;
    /// No allowance of worn text is smaller.
    pub(super) const LEAST_OF_WORN: usize = 1_500;

    /// A unit begins anywhere in its cycle, so it is read as a ring.
    pub(super) fn of(unit: &[Symbol]) -> Unit {
        let start = unit.iter().position(|symbol| symbol.character == '>').map_or(0, |at| at + 1);
        let ring = || unit.iter().cycle().skip(start).take(unit.len()).map(|symbol| symbol.character);
        let mut in_tag = false;
        let text = ring().filter(|&character| {
            let outside = !in_tag && character != '<';
            in_tag = character == '<' || (in_tag && character != '>');
            outside
        });
        let content = text.fold(Content::Filling, |content, character| match content {
            _ if character.is_alphabetic() => Content::Words,
            Content::Filling if !fills(character) => Content::Signs,
            content => content,
        });
        let cells = ["<td", "<th", "<tr"].iter().any(|tag| {
            (0..unit.len()).any(|at| tag.chars().enumerate().all(|(i, c)| unit[(at + i) % unit.len()].character == c))
        });
        Unit { content, cells }
    }

    /// Characters from which on equal copies of `period` characters are a loop.
    pub(super) fn allowance_of_copies(self, period: usize) -> usize {
        let floor = match (self.content, self.cells) {
            (Content::Words | Content::Signs, false) => Self::LEAST_OF_COPIES,
            (Content::Filling, false) => 1_500,
            (Content::Words | Content::Signs, true) => 2_400,
            (Content::Filling, true) => 4_000,
        };
        floor.max(least_of_copies(period))
    }

    /// Characters from which on copies of `period` characters that differ in counters alone are a loop.
    pub(super) fn allowance_of_counters(self, period: usize) -> usize {
        match (self.content, self.cells) {
            (Content::Words | Content::Signs, false) => (32 * period).clamp(Self::LEAST_OF_COUNTERS, 8_000),
            (Content::Words | Content::Signs, true) => (48 * period).clamp(2_400, 10_000),
            (Content::Filling, false) => 1_500,
            (Content::Filling, true) => 4_000,
        }
    }

    /// Symbols from which on worn text is a loop.
    pub(super) fn allowance_of_worn(self) -> usize {
        match (self.content, self.cells) {
            (Content::Words | Content::Signs, false) => Self::LEAST_OF_WORN,
            (Content::Filling, false) => 3_000,
            (Content::Words | Content::Signs, true) => 5_000,
            (Content::Filling, true) => 8_000,
        }
    }
}

/// The smallest allowance of any unit of this length.
pub(super) fn least_of_copies(period: usize) -> usize {
    Unit::LEAST_OF_COPIES.max((4 * period).min(1_000 + 2 * period))
}

fn fills(character: char) -> bool {
    character.is_whitespace() || character == Symbol::NUMBER || ".…·•*-–—_=|/:;,،'’\"«»()[]+~°%".contains(character)
}
