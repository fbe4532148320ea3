//! Makes the images for an engine from a rendered page: upright, straight, clean and in parts, as the rule asks.
//!
//! [`crate::layout`] analyses the page; this module changes it.

use crate::{
    BBox, ColumnsReason, Evidence, Grid, Language, LayoutRule, PageLayout, Pixels, Proof, Region, Rotation, Skew,
    TextDirection, TurnPlace, TurnProposal, View, When,
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

/// Why a page is not divided.
#[derive(Debug, Clone, PartialEq)]
pub enum Undivided {
    /// The view does not exist, because the page has no place to cut it.
    NoPlace,
    /// The letters propose a rotation, and nothing yet says whether they are right.
    TurnInQuestion(Box<TurnProposal>),
}

/// A part lower than this share of the page's height is not halved.
const LEAST_HALVED: f64 = 0.4;

/// Divides a page rendered at `dpi`.
///
/// What the letters propose to be turned is turned only on proof, by `evidence`: on tables of numbers and on dot leaders
/// they are sometimes wrong.
///
/// # Errors
/// The view does not exist, or a proposal is neither settled by the glyphs nor examined yet.
pub fn divide(
    pixels: Pixels,
    evidence: Evidence<'_>,
    dpi: f32,
    grid: Grid,
    rule: LayoutRule,
    view: View,
) -> Result<Division, Undivided> {
    let ink = pixels.ink(dpi);
    let mut layout = PageLayout::default();
    if ink.blank && view != View::Halves {
        let part = PartImage { pixels, bbox: BBox::PAGE, place: BBox::PAGE, turn: Rotation::None, ink };
        return Ok(Division { layout, ink, parts: vec![part] });
    }
    let page = prepare(pixels, evidence, dpi, rule, &mut layout)?;
    let regions = match view {
        View::Whole | View::Reduced => regions(&page, evidence, dpi, rule.columns, rule, &mut layout)?,
        View::Halves => more_regions(&page, evidence, dpi, rule, &mut layout)?,
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
    Ok(Division { layout, ink, parts })
}

/// Brings the page upright, straight and clean.
fn prepare(
    pixels: Pixels,
    evidence: Evidence<'_>,
    dpi: f32,
    rule: LayoutRule,
    layout: &mut PageLayout,
) -> Result<Pixels, Undivided> {
    let mut page = pixels;
    if rule.upright {
        layout.turn = proved_turn(&page, dpi, evidence)?;
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
    Ok(if layout.cleaned { clean(&page, dpi) } else { page })
}

/// The rotation of the whole page, if letters and proof agree on one.
fn proved_turn(page: &Pixels, dpi: f32, evidence: Evidence<'_>) -> Result<Rotation, Undivided> {
    let proposed = page_turn(&page.sheet(dpi));
    if proposed == Rotation::None {
        return Ok(proposed);
    }
    match text_direction((evidence.glyphs)(), BBox::PAGE) {
        TextDirection::Mixed => Ok(Rotation::None),
        TextDirection::Upright(turn) => Ok(turn),
        TextDirection::Unknown => match evidence.proofs.get(TurnPlace::Page) {
            Some(Proof::Proven) => Ok(proposed),
            Some(Proof::Unproven) => Ok(Rotation::None),
            None => Err(in_question(TurnPlace::Page, proposed, page, BBox::PAGE, dpi)),
        },
    }
}

/// Whether the proposal to turn `region` of a page, which itself was rotated by `turn`, is proven.
fn is_proved(
    region: Region,
    turn: Rotation,
    page: &Pixels,
    dpi: f32,
    evidence: Evidence<'_>,
) -> Result<bool, Undivided> {
    match text_direction((evidence.glyphs)(), region.bbox.turned(turn.inverse())) {
        TextDirection::Mixed => Ok(false),
        TextDirection::Upright(upright) => Ok(upright == turn.then(region.turn)),
        TextDirection::Unknown => match evidence.proofs.get(TurnPlace::Region) {
            Some(proof) => Ok(proof == Proof::Proven),
            None => Err(in_question(TurnPlace::Region, region.turn, page, region.bbox, dpi)),
        },
    }
}

fn in_question(place: TurnPlace, turn: Rotation, page: &Pixels, bbox: BBox, dpi: f32) -> Undivided {
    Undivided::TurnInQuestion(Box::new(TurnProposal::new(place, turn, page, bbox, dpi)))
}

/// The parts of a page in the whole view, in reading order.
fn regions(
    page: &Pixels,
    evidence: Evidence<'_>,
    dpi: f32,
    divided: When,
    rule: LayoutRule,
    layout: &mut PageLayout,
) -> Result<Vec<Region>, Undivided> {
    let sheet = page.sheet(dpi);
    let found = script(&sheet);
    layout.script = found.language;
    if rule.upright
        && let Some((region, confidence)) = turned_region(&sheet)
        && is_proved(region, layout.turn, page, dpi, evidence)?
    {
        layout.columns.reason = ColumnsReason::Turned;
        layout.columns.confidence = confidence;
        return Ok(surrounding_regions(region));
    }
    let direction = match found.language {
        Language::Mixed if found.arabic > 0.5 => Language::Arabic,
        Language::Mixed => Language::French,
        language => language,
    };
    let (columns, regions) = columns(&sheet, divided, direction);
    layout.columns = columns;
    Ok(regions)
}

/// The region, extended to the full width, and the regions above and below it.
fn surrounding_regions(region: Region) -> Vec<Region> {
    let above = Region { bbox: BBox { bottom: region.bbox.top, ..BBox::PAGE }, ..Region::PAGE };
    let below = Region { bbox: BBox { top: region.bbox.bottom, ..BBox::PAGE }, ..Region::PAGE };
    let middle = Region { bbox: BBox { top: region.bbox.top, bottom: region.bbox.bottom, ..BBox::PAGE }, ..region };
    [above, middle, below].into_iter().filter(|part| part.bbox.top < part.bbox.bottom).collect()
}

/// More parts than in the whole view, if there is a place to cut. If columns are normally not divided, the
/// division into columns is tried first; otherwise, or without columns, high parts are halved.
fn more_regions(
    page: &Pixels,
    evidence: Evidence<'_>,
    dpi: f32,
    rule: LayoutRule,
    layout: &mut PageLayout,
) -> Result<Vec<Region>, Undivided> {
    let divided = if rule.columns == When::Never { When::Auto } else { rule.columns };
    let regions = regions(page, evidence, dpi, divided, rule, layout)?;
    if rule.columns == When::Never && layout.columns.divide.is_some() {
        return Ok(regions);
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
    if more.len() > regions.len() { Ok(more) } else { Err(Undivided::NoPlace) }
}
