//! Cuts pieces out of a page, rotates them, and pads them to the grid.

use crate::Pixels;
use crate::{BBox, Grid, PixelSize, Region, Rotation};

/// A piece of a page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    /// The image, upright.
    pub(super) pixels: Pixels,
    /// The place of the image on the page, with its padding.
    pub(super) bbox: BBox,
}

/// Cuts `region` out of a page. The padding to the grid is white.
pub(super) fn cut(page: &Pixels, region: Region, grid: Grid) -> Piece {
    let size = page.size;
    let across = Span::of(region.bbox.left, region.bbox.right, size.width, grid);
    let down = Span::of(region.bbox.top, region.bbox.bottom, size.height, grid);
    let channels = if page.grey { 1 } else { 3 };
    let row_bytes = size.width as usize * channels;
    let mut bytes = vec![u8::MAX; across.length * down.length * channels];
    let (into, from) = (across.kept.start - across.start, across.kept.start * channels..across.kept.end * channels);
    for row in down.kept.clone() {
        let source = &page.bytes[row * row_bytes..][..row_bytes][from.clone()];
        let start = ((row - down.start) * across.length + into) * channels;
        bytes[start..start + source.len()].copy_from_slice(source);
    }
    let pixels =
        Pixels { size: PixelSize { width: across.length as u32, height: down.length as u32 }, bytes, grey: page.grey };
    let [left, right] = across.thousandths(size.width);
    let [top, bottom] = down.thousandths(size.height);
    Piece { pixels: turned(pixels, region.turn), bbox: BBox { left, top, right, bottom } }
}

/// Pixels along one direction.
struct Span {
    /// The first pixel of the image, counted on the page.
    start: usize,
    /// Pixels of the image.
    length: usize,
    /// The pixels of the page that the image shows; its other pixels are padding.
    kept: std::ops::Range<usize>,
}

impl Span {
    /// The pixels between two thousandths of a side, at least one, padded to whole cells as far as the page extends.
    fn of(from: u16, to: u16, side: u32, grid: Grid) -> Span {
        let side = side as usize;
        let pixel = |thousandths: u16| {
            let scale = usize::from(BBox::SCALE);
            ((usize::from(thousandths) * side + scale / 2) / scale).min(side)
        };
        let from = pixel(from).min(side.saturating_sub(1));
        let kept = from..pixel(to).max(from + 1).min(side.max(1));
        let cell = match grid {
            Grid::Free => 1,
            Grid::Cells(cell) => cell.max(1) as usize,
        };
        // The sides of the page are whole numbers of cells, or there is no grid.
        let length = kept.len().next_multiple_of(cell).min(side.max(1));
        Span { start: kept.start.min(side.saturating_sub(length)), length, kept }
    }

    fn thousandths(&self, side: u32) -> [u16; 2] {
        let side = (side as usize).max(1);
        let scale = usize::from(BBox::SCALE);
        [self.start, self.start + self.length].map(|pixel| ((pixel * scale + side / 2) / side).min(scale) as u16)
    }
}

/// The pixels after a rotation.
pub fn turned(pixels: Pixels, turn: Rotation) -> Pixels {
    if turn == Rotation::None {
        return pixels;
    }
    let Pixels { size, bytes: source, grey } = pixels;
    let size = if turn.is_sideways() { PixelSize { width: size.height, height: size.width } } else { size };
    let (width, height) = (size.width as usize, size.height as usize);
    let (source_width, channels) = (if turn.is_sideways() { height } else { width }, if grey { 1 } else { 3 });
    let mut bytes = Vec::with_capacity(source.len());
    for y in 0..height {
        for x in 0..width {
            let (from_x, from_y) = match turn {
                Rotation::None => (x, y),
                Rotation::Right => (y, width - 1 - x),
                Rotation::Half => (width - 1 - x, height - 1 - y),
                Rotation::Left => (height - 1 - y, x),
            };
            bytes.extend_from_slice(&source[(from_y * source_width + from_x) * channels..][..channels]);
        }
    }
    Pixels { size, bytes, grey }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page whose every pixel is another.
    fn page(width: u32, height: u32) -> Pixels {
        let size = PixelSize { width, height };
        Pixels { size, bytes: (0..size.area()).map(|place| (place % 251) as u8).collect(), grey: true }
    }

    fn region(left: u16, top: u16, right: u16, bottom: u16) -> Region {
        Region { bbox: BBox { left, top, right, bottom }, turn: Rotation::None }
    }

    #[test]
    fn pieces_hold_every_pixel_once_on_the_grid_and_know_their_place() {
        let page = page(64, 96);
        for grid in [Grid::Free, Grid::Cells(32)] {
            let [left, right] =
                [region(0, 0, 516, 1000), region(516, 0, 1000, 1000)].map(|part| cut(&page, part, grid));
            for y in 0..96 {
                let row = |piece: &Piece, from: usize, length: usize| {
                    piece.pixels.bytes[y * piece.pixels.size.width as usize + from..][..length].to_vec()
                };
                let padding = right.pixels.size.width as usize - 31;
                let joined = [row(&left, 0, 33), row(&right, padding, 31)].concat();
                assert_eq!(joined, page.bytes[y * 64..][..64], "{grid:?}");
                assert!(row(&left, 33, left.pixels.size.width as usize - 33).iter().all(|level| *level == 255));
            }
            let widths = [&left, &right].map(|piece| piece.pixels.size.width);
            assert_eq!(widths, if grid == Grid::Free { [33, 31] } else { [64, 32] });
            assert_eq!(right.bbox.left, if grid == Grid::Free { 516 } else { 500 });
        }
    }

    #[test]
    fn a_piece_is_turned_after_it_is_cut() {
        let page = page(4, 3);
        let turned_to = |turn| cut(&page, Region { turn, ..region(0, 0, 500, 1000) }, Grid::Free);
        assert_eq!(turned_to(Rotation::None).pixels.bytes, [0, 1, 4, 5, 8, 9]);
        let right = turned_to(Rotation::Right);
        assert_eq!(right.pixels.size, PixelSize { width: 3, height: 2 });
        assert_eq!(right.pixels.bytes, [8, 4, 0, 9, 5, 1]);
        assert_eq!(turned_to(Rotation::Half).pixels.bytes, [9, 8, 5, 4, 1, 0]);
        assert_eq!(turned_to(Rotation::Left).pixels.bytes, [1, 5, 9, 0, 4, 8]);
        assert_eq!(right.bbox, BBox { left: 0, top: 0, right: 500, bottom: 1000 });
    }

    #[test]
    fn colour_is_cut_and_turned_as_grey_is() {
        let grey = page(6, 4);
        let coloured = Pixels { bytes: grey.bytes.iter().flat_map(|level| [*level; 3]).collect(), grey: false, ..grey };
        let part = Region { turn: Rotation::Left, ..region(170, 250, 1000, 1000) };
        let [one, other] = [&page(6, 4), &coloured].map(|page| cut(page, part, Grid::Cells(4)));
        assert_eq!((one.bbox, one.pixels.size), (other.bbox, other.pixels.size));
        assert_eq!(other.pixels.sheet(96.0).levels, one.pixels.sheet(96.0).levels);
    }

    #[test]
    fn tiny_pages_and_empty_regions_are_cut_without_a_panic() {
        for (width, height) in [(1, 1), (1, 300), (300, 1), (5, 7)] {
            for part in [region(0, 0, 1000, 1000), region(1000, 1000, 1000, 1000), region(600, 600, 400, 400)] {
                for grid in [Grid::Free, Grid::Cells(32)] {
                    let piece = cut(&page(width, height), part, grid);
                    assert_eq!(piece.pixels.bytes.len() as u64, piece.pixels.size.area());
                    assert!(piece.pixels.size.area() > 0);
                }
            }
        }
    }
}
