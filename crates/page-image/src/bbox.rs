//! Boxes on a page.

use serde::{Deserialize, Serialize};

use crate::{Rotation, Skew};

/// A box on the page, in thousandths of the page's width and height, origin top left.
///
/// Engines use other scales (Chandra 1: 1024, Chandra 2: 1000, DeepSeek-OCR: 999); parsers convert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BBox {
    /// Left edge, 0..=1000.
    pub left: u16,
    /// Top edge, 0..=1000.
    pub top: u16,
    /// Right edge, 0..=1000, never less than `left`.
    pub right: u16,
    /// Bottom edge, 0..=1000, never less than `top`.
    pub bottom: u16,
}

impl BBox {
    /// The scale of every stored box.
    pub const SCALE: u16 = 1000;

    /// The whole page.
    pub const PAGE: BBox = BBox { left: 0, top: 0, right: Self::SCALE, bottom: Self::SCALE };

    /// A box from coordinates on an engine's own `scale`. Swapped corners are exchanged, and coordinates outside the
    /// page are clamped: models produce both (`docs/facts/chandra.md`, "Boxes").
    pub fn from_scale(coordinates: [f64; 4], scale: f64) -> BBox {
        let [x0, y0, x1, y1] = coordinates.map(|v| {
            let thousandths = v / scale * f64::from(Self::SCALE);
            if thousandths.is_nan() { 0 } else { thousandths.round().clamp(0.0, f64::from(Self::SCALE)) as u16 }
        });
        BBox { left: x0.min(x1), top: y0.min(y1), right: x0.max(x1), bottom: y0.max(y1) }
    }

    /// The same box after the page was rotated by `turn`.
    #[must_use]
    pub fn turned(self, turn: Rotation) -> BBox {
        let BBox { left, top, right, bottom } = self;
        let far = |value: u16| Self::SCALE.saturating_sub(value);
        match turn {
            Rotation::None => self,
            Rotation::Right => BBox { left: far(bottom), top: left, right: far(top), bottom: right },
            Rotation::Half => BBox { left: far(right), top: far(bottom), right: far(left), bottom: far(top) },
            Rotation::Left => BBox { left: top, top: far(right), right: bottom, bottom: far(left) },
        }
    }

    /// Converts a box on the scale of the part at `frame` to the scale of the page.
    #[must_use]
    pub fn within(self, frame: BBox) -> BBox {
        let place = |value: u16, start: u16, end: u16| {
            let span = u32::from(end.saturating_sub(start));
            let scale = u32::from(Self::SCALE);
            start + ((u32::from(value) * span + scale / 2) / scale) as u16
        };
        BBox {
            left: place(self.left, frame.left, frame.right),
            top: place(self.top, frame.top, frame.bottom),
            right: place(self.right, frame.left, frame.right),
            bottom: place(self.bottom, frame.top, frame.bottom),
        }
    }

    /// Area shared with another box, in millionths of the page.
    pub fn shared_with(self, other: BBox) -> u32 {
        let span = |from: u16, to: u16| u32::from(to.saturating_sub(from));
        span(self.left.max(other.left), self.right.min(other.right))
            * span(self.top.max(other.top), self.bottom.min(other.bottom))
    }

    /// Whether more than half of its area lies in another box.
    pub fn lies_mostly_in(self, other: BBox) -> bool {
        2 * self.shared_with(other) > self.shared_with(self)
    }

    /// The upright box around this one after a page with width/height `aspect` was rotated by `skew` about its middle.
    #[must_use]
    pub fn rotated(self, skew: Skew, aspect: f64) -> BBox {
        if skew == Skew(0) {
            return self;
        }
        let middle = f64::from(Self::SCALE) / 2.0;
        let (sine, cosine) = f64::from(skew.degrees()).to_radians().sin_cos();
        let corner = |x: u16, y: u16| {
            let (x, y) = ((f64::from(x) - middle) * aspect, f64::from(y) - middle);
            ((x * cosine - y * sine) / aspect + middle, x * sine + y * cosine + middle)
        };
        let BBox { left, top, right, bottom } = self;
        let corners = [corner(left, top), corner(right, top), corner(left, bottom), corner(right, bottom)];
        let least = |pick: fn(&(f64, f64)) -> f64| corners.iter().map(pick).fold(f64::INFINITY, f64::min);
        let most = |pick: fn(&(f64, f64)) -> f64| corners.iter().map(pick).fold(f64::NEG_INFINITY, f64::max);
        let outer =
            [least(|corner| corner.0), least(|corner| corner.1), most(|corner| corner.0), most(|corner| corner.1)];
        BBox::from_scale(outer, f64::from(Self::SCALE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_scaled_clamped_and_corrected() {
        let bbox = BBox::from_scale([1024.0, -5.0, 512.0, 2000.0], 1024.0);
        assert_eq!(bbox, BBox { left: 500, top: 0, right: 1000, bottom: 1000 });
        assert_eq!(BBox::from_scale([f64::NAN, 0.0, 0.0, 0.0], 1000.0).left, 0);
    }
}
