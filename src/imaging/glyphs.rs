//! The drawn glyphs of a page, by PDFium: which way its text runs.

use page_image::{BBox, Glyph, Rotation};
use pdfium_render::prelude::*;

/// A glyph within this many degrees of a quarter turn counts as turned by it.
const TOLERANCE: f32 = 20.0;
/// A colour whose parts are all at least this is paper, not ink.
const PALE: u8 = 245;
/// Share of the page that images cover on a scan. Its text layer was made by a program that read the image: it is hidden
/// or drawn below the image, and it may be wrong.
const SCAN: f32 = 0.6;

/// The glyphs that can be seen on a page as it is displayed; none on a scan.
pub(super) fn drawn(page: &PdfPage<'_>) -> Vec<Glyph> {
    if is_scan(page) {
        return Vec::new();
    }
    let Ok(text) = page.text() else { return Vec::new() };
    let turned = page.rotation().map_or(0.0, |rotation| rotation.as_degrees());
    let scale = i32::from(BBox::SCALE);
    let thousandths = PdfRenderConfig::new().set_fixed_size(scale, scale);
    let clamped = |position: i32| position.clamp(0, scale) as u16;
    let glyph = |char: PdfPageTextChar<'_>| {
        if !is_shown(&char) {
            return None;
        }
        let (x, y) = char.origin().ok()?;
        let (x, y) = page.points_to_pixels(x, y, &thousandths).ok()?;
        // PDFium gives the angle clockwise, without `/Rotate` of the page.
        let upright = quarter_turn(char.angle_degrees().ok()? + turned).map(Rotation::inverse);
        Some(Glyph { x: clamped(x), y: clamped(y), upright })
    };
    text.chars().iter().filter_map(glyph).collect()
}

/// Whether a glyph on the page should leave ink: it is shown, in a colour that is ink, on the page. None on a scan.
pub(super) fn leave_ink(page: &PdfPage<'_>) -> bool {
    let on_page = |char: &PdfPageTextChar<'_>| {
        char.origin().is_ok_and(|(x, y)| {
            (0.0..page.width().value).contains(&x.value) && (0.0..page.height().value).contains(&y.value)
        })
    };
    let is_ink = |char: &PdfPageTextChar<'_>| {
        char.fill_color().is_ok_and(|colour| {
            let lightest = colour.red().min(colour.green()).min(colour.blue());
            colour.alpha() > 0 && lightest < PALE
        })
    };
    let Some(text) = page.text().ok().filter(|_| !is_scan(page)) else { return false };
    text.chars().iter().any(|char| is_shown(&char) && is_ink(&char) && on_page(&char))
}

fn is_shown(char: &PdfPageTextChar<'_>) -> bool {
    char.unicode_char().is_some_and(|char| !char.is_whitespace() && !char.is_control())
        && char.render_mode().is_ok_and(|mode| {
            !matches!(mode, PdfPageTextRenderMode::Invisible | PdfPageTextRenderMode::InvisibleClipping)
        })
}

/// The quarter turn next to an angle in degrees, clockwise; `None` for an angle in between.
fn quarter_turn(degrees: f32) -> Option<Rotation> {
    let quarters = (degrees / 90.0).round();
    let is_near = (degrees - quarters * 90.0).abs() <= TOLERANCE;
    is_near.then(|| Rotation::ALL[(quarters as i64).rem_euclid(4) as usize])
}

fn is_scan(page: &PdfPage<'_>) -> bool {
    let covered: f32 = page
        .objects()
        .iter()
        .filter(|object| object.as_image_object().is_some())
        .filter_map(|object| object.bounds().ok())
        .map(|bounds| bounds.width().value * bounds.height().value)
        .sum();
    covered >= SCAN * page.width().value * page.height().value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_angle_is_a_quarter_turn_or_none() {
        for (degrees, turn) in [
            (0.0, Some(Rotation::None)),
            (359.0, Some(Rotation::None)),
            (12.0, Some(Rotation::None)),
            (45.0, None),
            (90.0, Some(Rotation::Right)),
            (270.0, Some(Rotation::Left)),
            (450.0, Some(Rotation::Right)),
            (540.0, Some(Rotation::Half)),
        ] {
            assert_eq!(quarter_turn(degrees), turn, "{degrees}");
        }
    }
}
