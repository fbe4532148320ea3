//! Two columns and the rule between them.

use super::Sheet;
use crate::model::{Columns, Language, Region, When};

/// The columns of a page that is upright and straight, and its parts in the order in which a page of this language is
/// read; one part for a page that is left whole.
pub fn columns(_sheet: &Sheet<'_>, _when: When, _script: Language) -> (Columns, Vec<Region>) {
    (Columns::default(), Vec::new())
}
