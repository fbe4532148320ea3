//! The running header and its rule.

use super::{super::mask::Mask, direction::Direction};

/// The rule under the running header is at 8.6 % of the height (`docs/facts/corpus.md`, "Pages"); a scan may lie lower.
const DEEPEST: f32 = 0.16;
/// It spans the page: this share of the width, at least. Margins take a tenth of it on either side.
const SPAN: f32 = 0.6;
/// Runs as long as this many inches are pieces of a rule; letters have none.
const RUN: f32 = 0.35;
/// A rule is looked for within this many inches of height, so that it is found in a scan that is skewed by a degree.
const WINDOW: f32 = 0.12;
/// White below a rule, in inches, after which nothing is part of it: more than the space in a double rule.
const CLEAR: f32 = 0.03;

/// The row after the rule under the running header; `None` where no rule spans the page near its top.
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

/// Whether level text stands above the rule near the top of the page; `text` is the mask without rules.
pub(super) fn has_level_head(mask: &Mask, text: &Mask) -> bool {
    let Some(end) = head_end(mask) else { return false };
    let head = Direction::of_rows(text, 0..end);
    head.is_text() && head.upright_share() < 0.5
}
