//! Makes the images for an engine from a rendered page: upright, straight, clean and in parts, as the rule asks.
//!
//! [`crate::layout`] analyses the page; this module changes it.

use crate::{
    BBox, ColumnsReason, GlyphSource, Grid, Language, LayoutRule, PageLayout, Pixels, Region, Rotation, Skew,
    TextDirection, View, When,
    clean::{clean, needs_cleaning},
    cut::{Piece, cut, turned},
    layout::{Ink, columns, page_turn, script, skew, turned_region},
    split_views,
    straighten::{loses_ink, straightened},
    text_direction,
};

/// A page in its parts.
pub struct Division {
    /// The layout that was found and the preprocessing that was done.
    pub layout: PageLayout,
    /// The ink of the page before any preprocessing.
    pub ink: Ink,
    /// The parts in reading order.
    pub parts: Vec<PartImage>,
}

/// A part of a page, upright.
pub struct PartImage {
    /// Its pixels.
    pub pixels: Pixels,
    /// Its place on the page as it is displayed, with its padding.
    pub bbox: BBox,
    /// Its place without padding.
    pub place: BBox,
    /// The rotation that brought it upright.
    pub turn: Rotation,
    /// Its ink, after the preprocessing.
    pub ink: Ink,
}

/// A part lower than this share of the page's height is not halved.
const LEAST_HALVED: f64 = 0.4;

/// Divides a page rendered at `dpi`; `None` where the view does not exist, because the page has no place to cut it.
///
/// What the pixels suggest to be turned is turned only if the glyphs do not say otherwise: on tables of numbers and
/// on dot leaders, pixels alone are sometimes wrong.
pub fn divide(
    pixels: Pixels,
    glyphs: GlyphSource<'_>,
    dpi: f32,
    grid: Grid,
    rule: LayoutRule,
    view: View,
) -> Option<Division> {
    let ink = pixels.ink(dpi);
    let mut layout = PageLayout::default();
    if ink.blank && view != View::Halves {
        let part = PartImage { pixels, bbox: BBox::PAGE, place: BBox::PAGE, turn: Rotation::None, ink };
        return Some(Division { layout, ink, parts: vec![part] });
    }
    let page = prepare(pixels, glyphs, dpi, rule, &mut layout);
    let regions = match view {
        View::Whole | View::Reduced => regions(&page, glyphs, dpi, rule.columns, rule, &mut layout),
        View::Halves => more_regions(&page, glyphs, dpi, rule, &mut layout)?,
    };
    let back = |bbox: BBox| bbox.turned(layout.turn.inverse());
    let is_as_drawn = regions == [Region::PAGE] && !layout.is_changed();
    let image = |region: &Region, pixels: Pixels, bbox: BBox| PartImage {
        ink: if is_as_drawn { ink } else { pixels.ink(dpi) },
        pixels,
        bbox: back(bbox),
        place: back(region.bbox),
        turn: layout.turn.then(region.turn),
    };
    let parts = match regions.as_slice() {
        // The whole page: it need not be copied.
        [region] if *region == Region::PAGE => vec![image(region, page, BBox::PAGE)],
        regions => {
            let part = |region: &Region| {
                let Piece { pixels, bbox } = cut(&page, *region, grid);
                image(region, pixels, bbox)
            };
            regions.iter().map(part).collect()
        }
    };
    Some(Division { layout, ink, parts })
}

/// Brings the page upright, straight and clean.
fn prepare(pixels: Pixels, glyphs: GlyphSource<'_>, dpi: f32, rule: LayoutRule, layout: &mut PageLayout) -> Pixels {
    let mut page = pixels;
    if rule.upright {
        layout.turn = proved_turn(page_turn(&page.sheet(dpi)), glyphs);
        page = turned(page, layout.turn);
    }
    if rule.straighten {
        let sheet = page.sheet(dpi);
        let (found, paper) = (skew(&sheet), sheet.paper);
        let is_skewed = |skew: &Skew| skew.0.unsigned_abs() > Skew::NEGLIGIBLE.0.unsigned_abs();
        let removable = found.filter(is_skewed).filter(|skew| !loses_ink(&sheet, *skew));
        drop(sheet);
        layout.skew = found;
        layout.straightened = removable.is_some();
        if let Some(found) = removable {
            page = straightened(page, found, paper);
        }
    }
    layout.cleaned = match rule.clean {
        When::Never => false,
        When::Auto => needs_cleaning(&page.sheet(dpi)),
        When::Always => true,
    };
    if layout.cleaned { clean(&page, dpi) } else { page }
}

/// The rotation of a page for which the pixels suggest `suggested`.
fn proved_turn(suggested: Rotation, glyphs: GlyphSource<'_>) -> Rotation {
    if suggested == Rotation::None {
        return suggested;
    }
    match text_direction(glyphs(), BBox::PAGE) {
        TextDirection::Unknown => suggested,
        TextDirection::Mixed => Rotation::None,
        TextDirection::Upright(turn) => turn,
    }
}

/// Whether the glyphs in `region`, which was found on a page that was rotated by `turn`, allow its rotation.
fn is_proved(region: Region, turn: Rotation, glyphs: GlyphSource<'_>) -> bool {
    match text_direction(glyphs(), region.bbox.turned(turn.inverse())) {
        TextDirection::Unknown => true,
        TextDirection::Mixed => false,
        TextDirection::Upright(upright) => upright == turn.then(region.turn),
    }
}

/// The parts of a page in the whole view, in reading order.
fn regions(
    page: &Pixels,
    glyphs: GlyphSource<'_>,
    dpi: f32,
    divided: When,
    rule: LayoutRule,
    layout: &mut PageLayout,
) -> Vec<Region> {
    let sheet = page.sheet(dpi);
    let found = script(&sheet);
    layout.script = found.language;
    if rule.upright
        && let Some((region, confidence)) = turned_region(&sheet)
        && is_proved(region, layout.turn, glyphs)
    {
        layout.columns.reason = ColumnsReason::Turned;
        layout.columns.confidence = confidence;
        return surrounding_regions(region);
    }
    let direction = match found.language {
        Language::Mixed if found.arabic > 0.5 => Language::Arabic,
        Language::Mixed => Language::French,
        language => language,
    };
    let (columns, regions) = columns(&sheet, divided, direction);
    layout.columns = columns;
    regions
}

/// The region, extended to the full width, and the regions above and below it.
fn surrounding_regions(region: Region) -> Vec<Region> {
    let above = Region { bbox: BBox { bottom: region.bbox.top, ..BBox::PAGE }, ..Region::PAGE };
    let below = Region { bbox: BBox { top: region.bbox.bottom, ..BBox::PAGE }, ..Region::PAGE };
    let middle = Region { bbox: BBox { top: region.bbox.top, bottom: region.bbox.bottom, ..BBox::PAGE }, ..region };
    [above, middle, below].into_iter().filter(|part| part.bbox.top < part.bbox.bottom).collect()
}

/// More parts than in the whole view; `None` if there is no place to cut. If columns are normally not divided, the
/// division into columns is tried first; otherwise, or without columns, high parts are halved.
fn more_regions(
    page: &Pixels,
    glyphs: GlyphSource<'_>,
    dpi: f32,
    rule: LayoutRule,
    layout: &mut PageLayout,
) -> Option<Vec<Region>> {
    let divided = if rule.columns == When::Never { When::Auto } else { rule.columns };
    let regions = regions(page, glyphs, dpi, divided, rule, layout);
    if rule.columns == When::Never && layout.columns.divide.is_some() {
        return Some(regions);
    }
    let mut more = Vec::new();
    for region in &regions {
        let piece = cut(page, *region, Grid::Free).pixels;
        let is_high = f64::from(piece.size.height) >= f64::from(page.size.height) * LEAST_HALVED;
        let at = if is_high { split_views::cut_at(&piece, dpi) } else { None };
        match at {
            None => more.push(*region),
            Some(at) => more.extend([BBox { bottom: at, ..BBox::PAGE }, BBox { top: at, ..BBox::PAGE }].map(|half| {
                Region { bbox: half.turned(region.turn.inverse()).within(region.bbox), turn: region.turn }
            })),
        }
    }
    (more.len() > regions.len()).then_some(more)
}
