//! Finds the running header and its rule.

use super::{super::mask::Mask, direction::Direction};

/// Lowest position of the rule under the running header, as a share of the height. It is at 8.6 % of the height
/// (`docs/facts/corpus.md`, "Pages"), but may be lower on a scan.
const DEEPEST: f32 = 0.16;
/// Least width of the rule, as a share of the width. Margins take a tenth of the width on each side.
const SPAN: f32 = 0.6;
/// Level runs of at least this many inches are pieces of a rule; letters have none.
const RUN: f32 = 0.35;
/// Height in inches in which the pieces of a rule may be, so that it is found on a scan that is skewed by a degree.
const WINDOW: f32 = 0.12;
/// Height in inches of the white that ends a rule: more than the space in a double rule.
const CLEAR: f32 = 0.03;

/// The row after the rule under the running header; `None` if no rule spans the page near its top.
pub(in super::super) fn head_end(mask: &Mask) -> Option<usize> {
    let top = mask.cut(0..(mask.down as f32 * DEEPEST) as usize);
    let rules = top.level_runs(mask.cells(RUN));
    let (window, clear) = (mask.cells(WINDOW), mask.cells(CLEAR));
    let least = (mask.across as f32 * SPAN) as usize;
    let spans = |y: &usize| rules.row_ink(*y) > 0 && rules.covered(*y..(*y + window).min(rules.down)) >= least;
    let start = (0..rules.down).find(spans)?;
    let is_clear = |y: &usize| rules.covered(*y..(*y + clear).min(rules.down)) == 0;
    (start..rules.down).find(is_clear)
}

/// Whether there is level text above the rule near the top of the page; `text` is the mask without rules.
pub(super) fn has_level_head(mask: &Mask, text: &Mask) -> bool {
    let Some(end) = head_end(mask) else { return false };
    let head = Direction::of_rows(text, 0..end);
    head.is_text() && head.upright_share() < 0.5
}
