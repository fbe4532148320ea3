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
    /// Fewer characters in copies that count are no loop.
    pub(super) const LEAST_OF_COUNTERS: usize = 1_200;
    /// No allowance of worn text is smaller, in characters of text.
    pub(super) const LEAST_OF_WORN: usize = 2_000;

    /// A unit begins anywhere in its cycle, so it is read as a ring.
    pub(super) fn of(unit: &[Symbol]) -> Unit {
        let text = unit.iter().filter(|symbol| symbol.is_text);
        let content = text.fold(Content::Filling, |content, symbol| match content {
            _ if symbol.character.is_alphabetic() => Content::Words,
            Content::Filling if !fills(symbol.character) => Content::Signs,
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

    /// Whether so many copies that differ in counters alone are a loop. `characters` is their length, `text` that of
    /// the text in them.
    pub(super) fn forbids_counters(self, copies: usize, characters: usize, text: usize) -> bool {
        match (self.content, self.cells) {
            (Content::Words | Content::Signs, false) => copies >= 32 || text >= FULLEST_PAGE,
            (Content::Words | Content::Signs, true) => copies >= 48 || text >= FULLEST_PAGE,
            (Content::Filling, false) => characters >= 1_500,
            (Content::Filling, true) => characters >= 4_000,
        }
    }

    /// Characters of text from which on worn text is a loop.
    pub(super) fn allowance_of_worn(self) -> usize {
        match self.content {
            Content::Words | Content::Signs => Self::LEAST_OF_WORN,
            Content::Filling => 3_000,
        }
    }
}

/// More than any page holds, characters of text: the fullest of the corpus has 6,726.
const FULLEST_PAGE: usize = 7_000;

/// The smallest allowance of any unit of this length.
pub(super) fn least_of_copies(period: usize) -> usize {
    Unit::LEAST_OF_COPIES.max((4 * period).min(1_000 + 2 * period))
}

fn fills(character: char) -> bool {
    character.is_whitespace() || character == Symbol::NUMBER || ".…·•*-–—_=|/:;,،'’\"«»()[]+~°%".contains(character)
}
