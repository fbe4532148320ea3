//! Which of the pages that wait for a server is asked next.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Pages that wait for a server: the longest is next. So the last pages of a run are short ones, and servers run out of
/// pages at about the same time (Graham's longest-processing-time rule, 1969). No page waits for ever: after a number of
/// others that were taken since it came, it is next, however short it is.
#[derive(Debug)]
pub struct WaitingPages<T> {
    /// Number of pages that are taken before a page that has come.
    patience: u64,
    taken: u64,
    come: u64,
    waiting: BTreeMap<u64, Waiting<T>>,
    /// The longest is the first; of pages of one length the one that came first.
    by_length: BTreeSet<(Reverse<Length>, u64)>,
}

#[derive(Debug)]
struct Waiting<T> {
    page: T,
    length: Length,
    /// It is next when so many pages are taken.
    due: u64,
}

/// The expected length of what an engine answers for a page, in any unit. Only the order counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Length(pub f32);

impl Length {
    /// A page that goes before all others. Of a page that was asked before, other engines and ranks may have to wait for
    /// the end.
    pub const NEXT: Length = Length(f32::INFINITY);
}

impl Eq for Length {}

impl Ord for Length {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Length {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Without patience.
impl<T> Default for WaitingPages<T> {
    fn default() -> Self {
        WaitingPages::new(0)
    }
}

impl<T> WaitingPages<T> {
    /// No pages. `patience` is the number of pages that are taken before a page that has come, at most; with 0 the first
    /// to come is the first.
    pub fn new(patience: u32) -> Self {
        let (waiting, by_length) = (BTreeMap::new(), BTreeSet::new());
        WaitingPages { patience: patience.into(), taken: 0, come: 0, waiting, by_length }
    }

    /// Adds a page.
    pub fn push(&mut self, length: Length, page: T) {
        let place = self.come;
        self.come += 1;
        self.waiting.insert(place, Waiting { page, length, due: self.taken + self.patience });
        self.by_length.insert((Reverse(length), place));
    }

    /// Takes the next page.
    pub fn pop(&mut self) -> Option<T> {
        let (first, waiting) = self.waiting.first_key_value()?;
        let place = match self.by_length.first() {
            Some((_, longest)) if waiting.due > self.taken => *longest,
            _ => *first,
        };
        self.taken += 1;
        self.remove(place)
    }

    /// Whether no page waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Drops the pages that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        let gone: Vec<u64> =
            self.waiting.iter().filter(|(_, waiting)| !keep(&waiting.page)).map(|(place, _)| *place).collect();
        for place in gone {
            self.remove(place);
        }
    }

    /// Takes all pages, in the order in which they came.
    pub fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.by_length.clear();
        std::mem::take(&mut self.waiting).into_values().map(|waiting| waiting.page)
    }

    fn remove(&mut self, place: u64) -> Option<T> {
        let waiting = self.waiting.remove(&place)?;
        self.by_length.remove(&(Reverse(waiting.length), place));
        Some(waiting.page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(pages: &mut WaitingPages<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| pages.pop()).collect()
    }

    #[test]
    fn the_longest_page_is_next_and_of_equal_ones_the_first_that_came() {
        let mut pages = WaitingPages::new(100);
        for (length, page) in [(3.0, "table"), (5.0, "two columns"), (3.0, "letter")] {
            pages.push(Length(length), page);
        }
        pages.push(Length::NEXT, "asked again");
        assert_eq!(order(&mut pages), ["asked again", "two columns", "table", "letter"]);
        assert!(pages.is_empty());
    }

    #[test]
    fn a_short_page_is_next_after_so_many_others() {
        let mut pages = WaitingPages::new(3);
        pages.push(Length(1.0), "short");
        let mut taken = Vec::new();
        for _ in 0..5 {
            pages.push(Length(2.0), "long");
            taken.extend(pages.pop());
        }
        assert_eq!(taken, ["long", "long", "long", "short", "long"]);
    }

    #[test]
    fn without_patience_the_first_to_come_is_the_first() {
        let mut pages = WaitingPages::new(0);
        for (length, page) in [(1.0, "a"), (3.0, "b"), (2.0, "c")] {
            pages.push(Length(length), page);
        }
        pages.retain(|page| *page != "b");
        assert_eq!(order(&mut pages), ["a", "c"]);
    }
}
