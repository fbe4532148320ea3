//! Finds two columns and the rule between them.
//!
//! The gazette's rule is a thin upright line near the middle of the page (`docs/facts/corpus.md`, "Pages"). The line of
//! a table has other lines beside it and across it; a cover has the heavy letters of its masthead.

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
use crate::{Columns, ColumnsReason, Confidence, Language, Region, When};

/// Position of the middle of the rule, as a share of the width: 0.47 to 0.54 (`docs/facts/corpus.md`, "Pages"), with a
/// tolerance.
const RULE: Range<f32> = 0.45..0.55;
/// Least height of text lines together, in inches, of a page that is worth dividing.
const LEAST_TEXT: f32 = 1.0;
/// Length of a long rule in inches. Text beside a longer rule is no masthead, and the line of a small table is shorter.
const LONG_RULE: f32 = 2.0;
/// Most lines that are examined, one after the other. A page may have the line of a table and the rules of two parts,
/// which are not in one line on a skewed scan.
const LINES: usize = 4;

/// The columns of an upright and straight page, and its parts in the reading order of its script: the part above the
/// columns, the columns, the part below them. A page may have columns twice, with text over the whole width between
/// them; then [`Columns::divide`] reaches from the first to the last. A page that is not divided has one part.
///
/// The parts cover the page. The two parts beside a leaning rule overlap by the width that it leans.
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

/// The confidence, from 50 for a guess to 99: nothing is certain.
fn confidence(sure: f32) -> Confidence {
    Confidence(50 + (sure.clamp(0.0, 1.0) * 49.0).round() as u8)
}

/// The lines in the middle of a page.
struct Found {
    reason: ColumnsReason,
    /// Where the lines divide the page, if it is divided.
    bands: Vec<Band>,
    /// Confidence, 0.0..=1.0.
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
    // Only a long rule ends the search for a masthead: strokes of its letters may look like short rules.
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
