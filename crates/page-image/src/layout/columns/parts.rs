//! The parts that a page is cut into.

use std::ops::Range;

use super::{band::Band, page::Page};
use crate::{BBox, Divide, Language, Region, Rotation};

/// The line from the top of the first band to the bottom of the last.
pub(super) fn divide(page: &Page, bands: &[Band]) -> Option<Divide> {
    let (first, last) = (bands.first()?, bands.last()?);
    let (across, down) = (page.bits.across, page.bits.down);
    Some(Divide {
        top: thousandths(first.columns.start, down),
        bottom: thousandths(last.columns.end, down),
        x_top: thousandths(first.line[0], across),
        x_bottom: thousandths(last.line[1], across),
    })
}

/// The parts in reading order. They cover the page. Rows without text above the first or below the last band get no
/// part of their own: the columns reach to the edge of the page there.
pub(super) fn parts(page: &Page, bands: &[Band], script: Language) -> Vec<Region> {
    let (across, down) = (page.bits.across, page.bits.down);
    let region = |x: Range<u16>, y: Range<u16>| {
        let bbox = BBox { left: x.start, top: y.start, right: x.end, bottom: y.end };
        (x.start < x.end && y.start < y.end).then_some(Region { bbox, turn: Rotation::None })
    };
    let mut parts = Vec::new();
    let mut done = 0;
    for (index, band) in bands.iter().enumerate() {
        if page.has_text(done..band.cut.start) {
            parts.extend(region(0..BBox::SCALE, thousandths(done, down)..thousandths(band.cut.start, down)));
            done = band.cut.start;
        }
        let is_last = index + 1 == bands.len();
        let end = if is_last && !page.has_text(band.cut.end..down) { down } else { band.cut.end };
        let rows = thousandths(done, down)..thousandths(end, down);
        let [upper, lower] = band.line;
        let (from, to) = (upper.min(lower), upper.max(lower));
        // An upright line is cut through its middle. If the line leans, both parts have all of it.
        let (right_from, left_to) = if to - from <= 1 { (from, from) } else { (from, to + 1) };
        let left = region(0..thousandths(left_to, across), rows.clone());
        let right = region(thousandths(right_from, across)..BBox::SCALE, rows);
        parts.extend(if script == Language::Arabic { [right, left] } else { [left, right] }.into_iter().flatten());
        done = end;
    }
    if done < down {
        parts.extend(region(0..BBox::SCALE, thousandths(done, down)..BBox::SCALE));
    }
    parts
}

fn thousandths(cells: usize, of: usize) -> u16 {
    let of = of.max(1);
    ((cells.min(of) * usize::from(BBox::SCALE) + of / 2) / of) as u16
}
