//! What the glyphs of a page say about the direction of its text.

use crate::{BBox, Rotation};

/// Fewer glyphs prove nothing: a running head of a page whose text is drawn as shapes has as many.
const LEAST_GLYPHS: usize = 40;
/// Share of the glyphs that must agree, in hundredths. Heads of columns on their side are less than the rest.
const AGREEMENT: usize = 80;

/// A glyph that is drawn on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyph {
    /// Position from the left of the page as it is displayed, in thousandths of its width.
    pub x: u16,
    /// Position from the top of the page as it is displayed, in thousandths of its height.
    pub y: u16,
    /// The rotation that brings it upright; `None` for a glyph at an angle of its own.
    pub upright: Option<Rotation>,
}

/// The direction of the text in a part of a page, by its glyphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextDirection {
    /// There are too few glyphs: only pixels can tell.
    Unknown,
    /// Glyphs that need different rotations.
    Mixed,
    /// This rotation brings the glyphs upright.
    Upright(Rotation),
}

/// The glyphs of a page, on demand: they are needed only where the pixels suggest that something is turned.
pub type GlyphSource<'a> = &'a dyn Fn() -> &'a [Glyph];

/// The direction of the text in `place`, on the page as it is displayed.
pub fn text_direction(glyphs: &[Glyph], place: BBox) -> TextDirection {
    let lies_in =
        |glyph: &&Glyph| (place.left..=place.right).contains(&glyph.x) && (place.top..=place.bottom).contains(&glyph.y);
    let within: Vec<&Glyph> = glyphs.iter().filter(lies_in).collect();
    if within.len() < LEAST_GLYPHS {
        return TextDirection::Unknown;
    }
    let count = |turn: Rotation| within.iter().filter(|glyph| glyph.upright == Some(turn)).count();
    let agreed = |turn: &Rotation| count(*turn) * 100 >= AGREEMENT * within.len();
    Rotation::ALL.into_iter().find(agreed).map_or(TextDirection::Mixed, TextDirection::Upright)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glyphs(count: u16, top: u16, turn: Rotation) -> Vec<Glyph> {
        (0..count).map(|index| Glyph { x: 100 + index, y: top, upright: Some(turn) }).collect()
    }

    #[test]
    fn most_glyphs_decide_and_few_prove_nothing() {
        let body = glyphs(90, 500, Rotation::Left);
        let page = [glyphs(10, 20, Rotation::None), body.clone()].concat();
        assert_eq!(text_direction(&page, BBox::PAGE), TextDirection::Upright(Rotation::Left));
        assert_eq!(text_direction(&page, BBox { bottom: 100, ..BBox::PAGE }), TextDirection::Unknown);
        let half = [glyphs(60, 20, Rotation::None), body].concat();
        assert_eq!(text_direction(&half, BBox::PAGE), TextDirection::Mixed);
        assert_eq!(text_direction(&half, BBox { top: 100, ..BBox::PAGE }), TextDirection::Upright(Rotation::Left));
        assert_eq!(text_direction(&[], BBox::PAGE), TextDirection::Unknown);
    }
}
