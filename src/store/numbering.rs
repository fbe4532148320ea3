//! Numbers for values that many rows refer to: labels and engines.

use std::collections::BTreeMap;

/// Kept for the value that stands for those without a number.
const LAST: u16 = u16::MAX;

/// Numbers values from 0 in the order of their first use.
#[derive(Debug)]
pub(super) struct Numbering<T>(BTreeMap<T, u16>);

impl<T: Ord + Clone> Numbering<T> {
    pub(super) fn new() -> Self {
        Numbering(BTreeMap::new())
    }

    /// The number of `value`, a new one on its first use; `None` when all numbers but the last are used.
    pub(super) fn number<Q: Ord + ToOwned<Owned = T> + ?Sized>(&mut self, value: &Q) -> Option<u16>
    where
        T: std::borrow::Borrow<Q>,
    {
        if let Some(number) = self.0.get(value) {
            return Some(*number);
        }
        let number = u16::try_from(self.0.len()).ok().filter(|number| *number < LAST)?;
        self.0.insert(value.to_owned(), number);
        Some(number)
    }

    /// The number of the value that stands for all those without a number.
    pub(super) fn last(&mut self, value: T) -> u16 {
        *self.0.entry(value).or_insert(LAST)
    }

    /// The values in the order of their numbers.
    pub(super) fn into_ordered(self) -> Vec<T> {
        let mut entries: Vec<_> = self.0.into_iter().collect();
        entries.sort_by_key(|(_, number)| *number);
        entries.into_iter().map(|(value, _)| value).collect()
    }
}
