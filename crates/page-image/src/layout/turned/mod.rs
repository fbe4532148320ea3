//! Finds content that is on its side or upside down.

mod direction;
mod head;
mod neighbours;

use std::ops::Range;

pub(super) use self::head::head_end;
use self::{
    direction::{Direction, bands},
    head::has_level_head,
    neighbours::Neighbours,
};
use super::{Sheet, letters, mask::Mask};
use crate::{BBox, Confidence, Region, Rotation};

/// Share of ink in upright lines above which text runs up and down. On the corpus's upright pages the share is at most
/// 0.22 (drawn titles of covers, narrow lists), in tables on their side at least 0.96.
const MOST: f32 = 0.6;
/// Least mean logarithm of the odds, over all pieces of lines, at which the letters decide which side is up. With a
/// model fitted on the other issues only, one upright page in a hundred has less than 0.8; the lowest is -0.2 (capitals
/// and figures), the median 3.4.
const CLEAR_ODDS: f32 = 0.5;
/// The same if lines run up and down, so that only two rotations are possible.
const CLEAR_SIDE: f32 = 0.25;
/// Least number of pieces of lines for a decision by letters: about five lines.
const LEAST_PIECES: usize = 40;
/// Least height of a region on its side, as a share of the page's height.
const LEAST_HEIGHT: f32 = 0.15;
/// Height in inches of the white between a region and the content above or below it.
const CLEAR: f32 = 0.1;
/// Share of the width over which that white may have specks.
const SPECKS: f32 = 0.01;
/// Most level letters outside a region, as a share of the upright letters in it. With more, the region is the heads of
/// an upright table.
const MOST_OUTSIDE: f32 = 0.25;
/// A region ends at the whitest row within this many inches of the edge of its tiles.
const EDGE: f32 = 0.34;

/// The rotation that brings the whole page upright. [`Rotation::None`] unless direction and letters are clear and no
/// running header is upright.
pub fn page_turn(sheet: &Sheet<'_>) -> Rotation {
    let mask = Mask::of(sheet, letters::PER_INCH);
    let text = without_rules(&mask);
    let direction = Direction::of_rows(&text, 0..text.down);
    if direction.upright_share() > MOST {
        if has_level_head(&mask, &text) || !is_on_its_side(&text) {
            return Rotation::None;
        }
        let (odds, pieces) = letters::uprightness(&text.turned_right());
        return if is_clear(odds, CLEAR_SIDE, pieces) { side(odds) } else { Rotation::None };
    }
    let (odds, pieces) = letters::uprightness(&text);
    if !direction.is_text() || odds > 0.0 || !is_clear(odds, CLEAR_ODDS, pieces) {
        return Rotation::None;
    }
    let reversed = |mask: &Mask| mask.turned_right().turned_right();
    if has_level_head(&mask, &text) && !has_level_head(&reversed(&mask), &reversed(&text)) {
        return Rotation::None;
    }
    Rotation::Half
}

/// The rotation for text that runs up and down, by the odds that a rotation to the right brings it upright.
fn side(odds: f32) -> Rotation {
    if odds > 0.0 { Rotation::Right } else { Rotation::Left }
}

/// The part of an upright page that is on its side. It spans the width, from the rule of the running header or a white
/// row to a white row or the foot of the page. `None` if direction or letters are not clear.
pub fn turned_region(sheet: &Sheet<'_>) -> Option<(Region, Confidence)> {
    let mask = Mask::of(sheet, letters::PER_INCH);
    let text = without_rules(&mask);
    let body = head_end(&mask).unwrap_or(0)..mask.down;
    let rows = rows_on_their_side(&mask, &text, body)?;
    if (rows.len() as f32) < LEAST_HEIGHT * mask.down as f32 {
        return None;
    }
    let (odds, pieces) = letters::uprightness(&text.cut(rows.clone()).turned_right());
    if !is_clear(odds, CLEAR_SIDE, pieces) {
        return None;
    }
    let thousandths = |row: usize| (row as f32 / mask.down as f32 * f32::from(BBox::SCALE)).clamp(0.0, 1000.0);
    let bbox =
        BBox { top: thousandths(rows.start).ceil() as u16, bottom: thousandths(rows.end).round() as u16, ..BBox::PAGE };
    Some((Region { bbox, turn: side(odds) }, confidence(odds)))
}

/// Whether text runs up and down; on a mask without rules.
pub(super) fn is_on_its_side(text: &Mask) -> bool {
    let direction = Direction::of_rows(text, 0..text.down);
    direction.is_text() && direction.upright_share() > MOST && run_up_and_down(text)
}

/// Whether letters follow one another up and down, and neither half of the text is level. The heads of a table alone
/// may run up and down over level figures.
fn run_up_and_down(text: &Mask) -> bool {
    let middle = text.down / 2;
    let [upper, lower] = [0..middle, middle..text.down].map(|rows| Neighbours::of(&text.cut(rows)));
    (upper + lower).run_up_and_down() && [upper, lower].iter().all(|half| !half.run_level())
}

pub(super) fn without_rules(mask: &Mask) -> Mask {
    mask.without_runs(mask.cells(letters::LONGEST_STROKE))
}

/// The span of rows in which most text runs up and down: the span of bands with the largest excess of upright over
/// level ink.
fn rows_on_their_side(mask: &Mask, text: &Mask, body: Range<usize>) -> Option<Range<usize>> {
    let bands: Vec<(Range<usize>, Direction)> =
        bands(&body).map(|band| (band.clone(), Direction::of_band(text, band))).collect();
    let (mut best, mut greatest) = (0..0, 0.0);
    let (mut start, mut sum) = (0, 0.0);
    for (index, (_, direction)) in bands.iter().enumerate() {
        if sum <= 0.0 {
            (start, sum) = (index, 0.0);
        }
        sum -= direction.balance();
        if sum > greatest {
            (best, greatest) = (start..index + 1, sum);
        }
    }
    let total = |bands: &[(Range<usize>, Direction)]| bands.iter().fold(Direction::default(), |sum, band| sum + band.1);
    let (above, inside, below) = (total(&bands[..best.start]), total(&bands[best.clone()]), total(&bands[best.end..]));
    if !inside.is_text() || inside.upright_share() < MOST {
        return None;
    }
    let top =
        bands.get(best.start).filter(|_| above.is_text()).map_or(body.start, |band| longest_blank(mask, band.0.start));
    let bottom =
        bands.get(best.end).filter(|_| below.is_text()).map_or(body.end, |band| longest_blank(mask, band.0.start));
    let rows = (top < bottom).then_some(top..bottom)?;
    stands_alone(mask, text, &body, &rows).then_some(rows)
}

/// Whether these rows of the body are not part of an upright table: white separates them from the content above and
/// below, and that content is small beside them.
fn stands_alone(mask: &Mask, text: &Mask, body: &Range<usize>, rows: &Range<usize>) -> bool {
    let inside = text.cut(rows.clone());
    let outside =
        Neighbours::of(&text.cut(body.start..rows.start)).beside + Neighbours::of(&text.cut(rows.end..body.end)).beside;
    let is_edge = |row: &usize| *row == body.start || *row == body.end;
    run_up_and_down(&inside)
        && outside as f32 <= MOST_OUTSIDE * Neighbours::of(&inside).below as f32
        && [rows.start, rows.end].iter().all(|row| is_edge(row) || is_clear_at(mask, *row))
}

/// Whether the rows around this one are white except for specks, and no rule crosses them.
fn is_clear_at(mask: &Mask, row: usize) -> bool {
    let gap = mask.cut(rows_near(mask, row));
    let is_crossed = gap.upright_runs(gap.down).covered(0..gap.down) > 0;
    !is_crossed && gap.covered(0..gap.down) as f32 <= SPECKS * mask.across as f32
}

/// The row near this one that has the least ink around it; the nearest of several.
fn longest_blank(mask: &Mask, row: usize) -> usize {
    let reach = mask.cells(EDGE);
    let near = row.saturating_sub(reach)..(row + reach).min(mask.down);
    near.min_by_key(|&y| (mask.covered(rows_near(mask, y)), y.abs_diff(row))).unwrap_or(row)
}

fn rows_near(mask: &Mask, row: usize) -> Range<usize> {
    let half = mask.cells(CLEAR / 2.0);
    row.saturating_sub(half)..row + half
}

fn is_clear(odds: f32, least: f32, pieces: usize) -> bool {
    odds.abs() >= least && pieces >= LEAST_PIECES
}

/// The confidence grows with the odds up to twice [`CLEAR_ODDS`].
fn confidence(odds: f32) -> Confidence {
    Confidence(50 + (49.0 * (odds.abs() / (2.0 * CLEAR_ODDS)).min(1.0)) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Language, PixelSize,
        layout::{script, skew},
    };

    #[test]
    fn tiny_black_and_white_pages_are_left_as_they_are() {
        for (width, height) in [(0, 0), (1, 1), (1, 3000), (3000, 1), (65, 63), (700, 900)] {
            for level in [0, 255] {
                let size = PixelSize { width, height };
                let sheet = Sheet::new(size, 192.0, vec![level; size.area() as usize].into());
                assert_eq!(page_turn(&sheet), Rotation::None, "{size:?}");
                assert_eq!(turned_region(&sheet), None, "{size:?}");
                assert_eq!(skew(&sheet), None, "{size:?}");
                assert_eq!(script(&sheet).language, Language::Unknown, "{size:?}");
            }
        }
    }

    #[test]
    fn strange_resolutions_do_no_harm() {
        let size = PixelSize { width: 90, height: 120 };
        let levels: Vec<u8> = (0..size.area()).map(|index| if index % 7 < 3 { 0 } else { 255 }).collect();
        for dpi in [0.0, 0.1, 5.0, 72.0, 4000.0, f32::NAN] {
            let sheet = Sheet::new(size, dpi, levels.as_slice().into());
            page_turn(&sheet);
            turned_region(&sheet);
            skew(&sheet);
            script(&sheet);
        }
    }
}
