//! Measures the skew of a page: the angle of its lines of text.

use std::ops::Range;

use super::{Sheet, mask::Mask};
use crate::Skew;

/// Cells for each inch: a tenth of a degree is then half a cell over the width of a column.
const PER_INCH: f32 = 96.0;
/// The largest skew that is searched for, in degrees to each side.
const WIDEST: f32 = 5.0;
/// Degrees between the angles that are tried first: finer than the peak that a small letter makes over the width of a
/// page.
const COARSE: f32 = 0.25;
/// Degrees between the angles that are tried around the best of these.
const FINE: f32 = 0.05;
/// Upright runs longer than this, in inches, are rules and edges. They do not help to find level lines, and their ink
/// would hide them.
const UPRIGHT_RUN: f32 = 0.5;
/// Width of a strip in cells: in a third of an inch no line falls by more than three cells.
const STRIP: usize = 32;
/// The sharpness of the best angle must be this many times the median of all angles; otherwise the page has no lines.
const SHARPNESS: f32 = 1.5;
/// Two measurements must agree within this many degrees. Pictures without lines agree only by chance.
const AGREEMENT: f32 = 0.3;
/// Level runs of ink longer than this, in inches, are rules: letters have none, but a rule that falls by three degrees
/// has.
const RULE_RUN: f32 = 0.2;
/// The halves of a sheet that was bent in the scanner differ from the whole sheet by at most this many degrees.
const BENT: f32 = 0.6;

/// The skew of an upright page, up to five degrees; `None` if the page has too few lines to measure it.
///
/// At the angle of the lines, the ink changes most from row to row. The two halves of the page are measured separately.
/// If they differ, as on a sheet that was bent in the scanner, rules and text are measured separately.
pub fn skew(sheet: &Sheet<'_>) -> Option<Skew> {
    let mask = Mask::of(sheet, PER_INCH);
    let lines = mask.without_upright_runs(mask.cells(UPRIGHT_RUN));
    let degrees = of_lines(&Strips::of(&lines)).or_else(|| of_bent_sheet(&mask, &lines))?;
    Some(Skew((degrees * 100.0).round() as i16))
}

/// The angle of the lines, if both halves of the page agree.
fn of_lines(strips: &Strips) -> Option<f32> {
    let (upper, lower) = strips.halves()?;
    if (upper - lower).abs() > AGREEMENT { None } else { strips.level_angle(0..strips.down) }
}

/// The mean angle of text and rules if they agree; else the angle of the text if its halves are near it.
fn of_bent_sheet(mask: &Mask, lines: &Mask) -> Option<f32> {
    let run = mask.cells(RULE_RUN);
    let text = Strips::of(&lines.without_runs(run));
    let whole = text.level_angle(0..text.down)?;
    let rules = Strips::of(&mask.level_runs(run));
    if let Some(rules) = rules.level_angle(0..rules.down).filter(|rules| (rules - whole).abs() <= AGREEMENT) {
        return Some((whole + rules) / 2.0);
    }
    let (upper, lower) = text.halves()?;
    (upper - whole).abs().max((lower - whole).abs()).le(&BENT).then_some(whole)
}

/// The ink of every row, in strips side by side.
struct Strips {
    /// Distance of each strip's middle from the middle of the page, in cells.
    places: Vec<f32>,
    ink: Vec<Vec<u16>>,
    down: usize,
}

impl Strips {
    fn of(mask: &Mask) -> Strips {
        let count = mask.across.div_ceil(STRIP);
        let (mut places, mut ink) = (Vec::new(), Vec::new());
        for strip in 0..count {
            let bits = |y| mask.word(strip / 2, y) >> (strip % 2 * STRIP) as u32 & u64::from(u32::MAX);
            let rows: Vec<u16> = (0..mask.down).map(|y| bits(y).count_ones() as u16).collect();
            if rows.iter().any(|&ink| ink > 0) {
                places.push((strip * STRIP + STRIP / 2) as f32 - mask.across as f32 / 2.0);
                ink.push(rows);
            }
        }
        Strips { places, ink, down: mask.down }
    }

    /// The row that has half of the ink above it.
    fn middle_row(&self) -> usize {
        let rows: Vec<u64> = (0..self.down).map(|y| self.ink.iter().map(|strip| u64::from(strip[y])).sum()).collect();
        let half = rows.iter().sum::<u64>() / 2;
        let mut above = 0;
        rows.iter()
            .position(|ink| {
                above += ink;
                above > half
            })
            .unwrap_or(0)
    }

    /// The angles of the upper and of the lower half of the ink.
    fn halves(&self) -> Option<(f32, f32)> {
        let middle = self.middle_row();
        Some((self.level_angle(0..middle)?, self.level_angle(middle..self.down)?))
    }

    /// The angle at which lines in these rows are level, in degrees.
    fn level_angle(&self, rows: Range<usize>) -> Option<f32> {
        let reach = (WIDEST / COARSE) as i32;
        let tried: Vec<f32> = (-reach..=reach).map(|step| self.sharpness(step as f32 * COARSE, rows.clone())).collect();
        let best = (0..tried.len()).max_by(|&a, &b| tried[a].total_cmp(&tried[b]))?;
        let mut ordered = tried.clone();
        ordered.sort_by(f32::total_cmp);
        if tried[best] <= SHARPNESS * ordered[ordered.len() / 2] || best == 0 || best + 1 == tried.len() {
            return None;
        }
        let around = (best as i32 - reach) as f32 * COARSE;
        let steps = (COARSE / FINE) as i32;
        let fine: Vec<f32> =
            (-steps..=steps).map(|step| self.sharpness(around + step as f32 * FINE, rows.clone())).collect();
        let peak = (0..fine.len()).max_by(|&a, &b| fine[a].total_cmp(&fine[b]))?;
        let [before, at, after] = [peak.checked_sub(1), Some(peak), Some(peak + 1)]
            .map(|index| index.and_then(|index| fine.get(index)).copied().unwrap_or(fine[peak]));
        // The peak of the parabola through the best angle and its neighbours.
        let bend = before - 2.0 * at + after;
        let between = if bend < 0.0 { 0.5 * (before - after) / bend } else { 0.0 };
        Some(around + (peak as f32 - steps as f32 + between) * FINE)
    }

    /// How much the ink changes from row to row, along lines that fall by `degrees` to the right.
    fn sharpness(&self, degrees: f32, rows: Range<usize>) -> f32 {
        let slope = degrees.to_radians().tan();
        let mut sums = vec![0u16; rows.len()];
        for (place, ink) in self.places.iter().zip(&self.ink) {
            let from = rows.start as isize + (place * slope).round() as isize;
            let moved = ink.get(from.max(0) as usize..).unwrap_or_default();
            let sums = sums.iter_mut().skip((-from).max(0) as usize);
            sums.zip(moved).for_each(|(sum, ink)| *sum = sum.saturating_add(*ink));
        }
        sums.windows(2).map(|pair| f32::from(pair[0].abs_diff(pair[1])).powi(2)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelSize;

    const SIZE: PixelSize = PixelSize { width: 1588, height: 2246 };

    /// Lines of words that fall by this many degrees, in two columns.
    fn page(degrees: f32, lines: usize) -> Vec<u8> {
        angle_votes(degrees..degrees, lines)
    }

    /// The same on a bent sheet: the first line falls by this many degrees, the last by that many.
    fn angle_votes(degrees: Range<f32>, lines: usize) -> Vec<u8> {
        let mut levels = vec![255; SIZE.area() as usize];
        for line in 0..lines {
            let fall = degrees.start + (degrees.end - degrees.start) * line as f32 / lines as f32;
            let slope = fall.to_radians().tan();
            for x in (150..1440).filter(|x| x % 40 < 32 && !(780..820).contains(x)) {
                let top = 220.0 + line as f32 * 33.0 + (x as f32 - 794.0) * slope;
                (top as usize..top as usize + 13).for_each(|y| levels[y * SIZE.width as usize + x] = 0);
            }
        }
        levels
    }

    fn found(levels: Vec<u8>) -> Option<f32> {
        skew(&Sheet::new(SIZE, 192.0, levels.into())).map(Skew::degrees)
    }

    #[test]
    fn drawn_lines_are_measured_to_a_tenth_of_a_degree() {
        for degrees in [0.0, 0.3, -0.7, 1.45, -3.2, 4.5] {
            let found = found(page(degrees, 50)).unwrap();
            assert!((found - degrees).abs() < 0.1, "{degrees}: {found}");
        }
    }

    #[test]
    fn a_sheet_that_bent_is_given_an_angle_between() {
        for (first, last) in [(1.2, 0.2), (-0.9, -0.2), (0.3, 1.1)] {
            let found = found(angle_votes(first..last, 50));
            let between = found.is_some_and(|found| (found - first) * (found - last) < 0.0);
            assert!(between, "{first} to {last}: {found:?}");
        }
    }

    #[test]
    fn nothing_is_said_of_a_page_without_lines() {
        assert_eq!(found(vec![255; SIZE.area() as usize]), None);
        let mut picture = vec![255; SIZE.area() as usize];
        for (index, level) in picture.iter_mut().enumerate() {
            let (x, y) = (index % SIZE.width as usize, index / SIZE.width as usize);
            if (x.abs_diff(800).pow(2) + y.abs_diff(1100).pow(2)) / 20_000 % 2 == 1 {
                *level = 0;
            }
        }
        assert_eq!(found(picture), None, "rings");
    }
}
