//! What of a page an image shows.

use serde::{Deserialize, Serialize};

use super::{BBox, PixelSize, Rotation, Skew, View};

/// The image of a page in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The view of the page.
    pub view: View,
    /// Index of the image among those of the view, from 0.
    pub part: u8,
    /// Place of the image on the page as a PDF reader displays it, except for its skew. It includes the white margin
    /// that was added because the engine's grid asks for more than what is shown.
    pub bbox: BBox,
    /// The rotation that brought the content upright.
    pub turn: Rotation,
    /// The skew that was corrected; 0 without a correction.
    pub skew: Skew,
    /// Size of the image.
    pub size: PixelSize,
}

impl Shown {
    /// The whole page in one image, unchanged.
    pub fn whole(size: PixelSize) -> Shown {
        Shown { view: View::Whole, part: 0, bbox: BBox::PAGE, turn: Rotation::None, skew: Skew(0), size }
    }

    /// Converts a box on the image to a box on the page as it is displayed.
    pub fn on_page(&self, inner: BBox) -> BBox {
        inner.turned(self.turn.inverse()).within(self.bbox).rotated(self.skew, self.page_aspect())
    }

    /// Whether the image shows about the same place of the page as another one, or a part of it.
    pub fn shares_place(&self, other: Shown) -> bool {
        self.bbox.lies_mostly_in(other.bbox) || other.bbox.lies_mostly_in(self.bbox)
    }

    /// Width of the page over its height.
    fn page_aspect(&self) -> f64 {
        let (width, height) = if self.turn.is_sideways() {
            (self.size.height, self.size.width)
        } else {
            (self.size.width, self.size.height)
        };
        let page =
            |pixels: u32, from: u16, to: u16| f64::from(pixels.max(1)) / f64::from(to.saturating_sub(from).max(1));
        page(width, self.bbox.left, self.bbox.right) / page(height, self.bbox.top, self.bbox.bottom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A4: PixelSize = PixelSize { width: 1600, height: 2240 };

    fn bbox(left: u16, top: u16, right: u16, bottom: u16) -> BBox {
        BBox { left, top, right, bottom }
    }

    #[test]
    fn a_box_on_a_column_lies_in_that_column() {
        let shown = Shown { bbox: bbox(500, 0, 1000, 1000), ..Shown::whole(PixelSize { width: 800, height: 2240 }) };
        assert_eq!(shown.on_page(bbox(0, 100, 1000, 200)), bbox(500, 100, 1000, 200));
        let inner = bbox(10, 20, 30, 40);
        assert_eq!(Shown::whole(A4).on_page(inner), inner);
    }

    #[test]
    fn a_box_on_a_turned_table_lies_where_the_table_has_it() {
        // The table's head is at the left of the page; a rotation to the right brings it to the top.
        let shown = Shown {
            bbox: bbox(0, 100, 1000, 900),
            turn: Rotation::Right,
            ..Shown::whole(PixelSize { width: 1792, height: 1600 })
        };
        assert_eq!(shown.on_page(bbox(0, 0, 1000, 100)), bbox(0, 100, 100, 900));
        let left = Shown { turn: Rotation::Left, ..shown };
        assert_eq!(left.on_page(bbox(0, 0, 1000, 100)), bbox(900, 100, 1000, 900));
    }

    #[test]
    fn a_box_on_a_straightened_page_is_rotated_back() {
        let shown = Shown { skew: Skew(200), ..Shown::whole(A4) };
        // Lines fall to the right: at the right edge they are lower than where straightening moved them.
        let right = shown.on_page(bbox(1000, 500, 1000, 500));
        assert_eq!((right.top, right.bottom), (512, 512));
        let left = shown.on_page(bbox(0, 500, 0, 500));
        assert_eq!((left.top, left.bottom), (488, 488));
    }
}
