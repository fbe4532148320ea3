//! Columns without a rule.

use super::{band::Band, page::Page};

pub(super) fn whitest(_page: &Page) -> Option<Band> {
    None
}
