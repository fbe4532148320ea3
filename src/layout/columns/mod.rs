//! Two columns and the rule between them.
//!
//! The gazette's rule is a thin upright line near the middle of the page (`docs/facts/corpus.md`, "Pages"). A table's
//! line is told from it by the other lines beside it and across it, a cover by the heavy letters of its masthead.

mod band;
mod evidence;
mod gutter;
mod page;
mod parts;
mod rule;
mod stretch;

#[cfg(test)]
mod tests;

use std::ops::Range;

use self::{band::Band, evidence::Kind, page::Page, rule::Strokes, stretch::Stretch};
use super::Sheet;
use crate::model::{Columns, ColumnsReason, Confidence, Language, Region, When};

/// Where the rule stands in its middle, as a share of the width: 0.47 to 0.54 (`docs/facts/corpus.md`, "Pages"), and a
/// little more.
const RULE: Range<f32> = 0.45..0.55;
/// Inches of text lines, one below the other, that a page has at least which is worth dividing.
const LEAST_TEXT: f32 = 1.0;
/// Inches. What stands beside so long a rule is no masthead, and a small table's line is shorter.
const LONG_RULE: f32 = 2.0;
/// So many lines are looked at, one after the other: a table's, and the rules of two parts of the page, which a crooked scan
/// does not keep in one line.
const LINES: usize = 4;

/// The columns of a page that is upright and straight, and its parts in the order in which a page of this language is
/// read: what stands above the columns, the columns, what stands below them. A page may have columns twice, with something
/// over the whole width between them; then [`Columns::divide`] goes from the first to the last. One part for a page that
/// is left whole.
///
/// The parts cover the page. Those of columns between which the rule leans overlap by as much.
pub fn columns(sheet: &Sheet<'_>, when: When, script: Language) -> (Columns, Vec<Region>) {
    let whole = |reason, sure: f32| {
        let columns = Columns { divide: None, reason, confidence: confidence(sure) };
        (columns, vec![Region::PAGE])
    };
    if when == When::Never {
        return whole(ColumnsReason::NotLookedFor, 1.0);
    }
    let page = Page::of(sheet);
    let text = page.inches(page.inner_rows().filter(|&y| !page.is_white(y, 0..0)).count());
    if text < LEAST_TEXT {
        return whole(ColumnsReason::Sparse, evidence::interpolate(text, LEAST_TEXT, 0.0));
    }
    let strokes = Strokes::of(&page);
    let Found { reason, bands, sure } = find_columns(&page, &strokes);
    let divided = |bands: &[Band], reason, sure| {
        let columns = Columns { divide: parts::divide(&page, bands), reason, confidence: confidence(sure) };
        (columns, parts::parts(&page, bands, script))
    };
    if reason == ColumnsReason::Rule {
        return divided(&bands, reason, sure);
    }
    if when == When::Auto {
        return whole(reason, sure);
    }
    let bands = if bands.is_empty() { gutter::longest_blank(&page, &strokes).into_iter().collect() } else { bands };
    if bands.is_empty() { whole(ColumnsReason::Sparse, 0.0) } else { divided(&bands, ColumnsReason::Forced, 0.0) }
}

/// From a guess, 50, to 99: nothing is certain.
fn confidence(sure: f32) -> Confidence {
    Confidence(50 + (sure.clamp(0.0, 1.0) * 49.0).round() as u8)
}

/// What stands in the middle of a page.
struct Found {
    reason: ColumnsReason,
    /// Where its lines divide the page, whether or not they should.
    bands: Vec<Band>,
    /// 0.0..=1.0.
    sure: f32,
}

fn find_columns(page: &Page, strokes: &Strokes) -> Found {
    let mut free: Vec<usize> = (0..page.bits.down).collect();
    let mut columns: Vec<(Band, f32)> = Vec::new();
    let mut tables: Vec<(Band, f32)> = Vec::new();
    let mut nothing: f32 = 1.0;
    for _ in 0..LINES {
        let Some((line, _)) = strokes.longest(&free, page.columns(RULE)) else { break };
        let passages = stretch::passages(page, strokes, &line);
        for stretch in Stretch::all(page, line, &passages) {
            if free.binary_search(&stretch.rows.start).is_err() {
                continue;
            }
            match evidence::kind(page, strokes, &stretch) {
                (Kind::Columns, sure) => columns.push((Band::surrounding(page, &stretch, &passages), sure)),
                (Kind::Table, sure) => tables.push((Band::surrounding(page, &stretch, &passages), sure)),
                (Kind::Nothing, sure) => nothing = nothing.min(sure),
            }
            free.retain(|y| !stretch.rows.contains(y));
        }
    }
    // Strokes of its letters may look like short rules.
    let is_long = |(band, _): &&(Band, f32)| page.inches(band.columns.len()) >= LONG_RULE;
    let end = columns.iter().filter(is_long).map(|(band, _)| band.cut.start).min().unwrap_or(page.bits.down);
    let masthead = evidence::masthead(page, strokes, end);
    let no_masthead = evidence::interpolate(masthead, 1.0, 0.5);
    let found = |reason, lines: Vec<(Band, f32)>, sure| {
        let bands = lines.into_iter().map(|(band, _)| band).collect();
        Found { reason, bands: Band::joined(page, bands), sure }
    };
    if masthead >= 1.0 {
        columns.retain(|line| is_long(&line));
        return found(ColumnsReason::Cover, columns, evidence::interpolate(masthead, 1.0, 2.0));
    }
    if !columns.is_empty() {
        let sure = columns.iter().map(|(_, sure)| *sure).fold(no_masthead, f32::min);
        return found(ColumnsReason::Rule, columns, sure);
    }
    if !tables.is_empty() {
        let sure = tables.iter().map(|(_, sure)| *sure).fold(0.0, f32::max);
        let longest = tables.into_iter().filter(|line| is_long(&line)).max_by_key(|(band, _)| band.columns.len());
        return found(ColumnsReason::Table, longest.into_iter().collect(), sure);
    }
    found(ColumnsReason::NoDivision, Vec::new(), nothing.min(no_masthead))
}
