//! Cleans bad scans: evens out the light, raises the contrast, removes specks.
//!
//! A cleaned page is grey. An intended grey tone, such as a shaded cell, becomes white if it is smaller than
//! [`PATCH_INCHES`]. Cleaning is therefore for bad scans only, and [`needs_cleaning`] finds them.

use crate::Pixels;
use crate::layout::{Sheet, extent, for_each_mark};

/// Side of the squares in which the lightness of the paper is measured, in inches. It is wider than a letter of the
/// body text, so that each square has paper.
const PATCH_INCHES: f32 = 0.2;
/// The lightness of the paper is this quantile of a square's pixels.
const PAPER_SHARE: f32 = 0.8;
/// A square darker than this share of the page's lightest square is no paper, but a picture or the black edge of the
/// scan.
const DARKEST_PAPER: f32 = 0.4;
/// The darkest ink is this quantile of all pixels. It is small, so that a page with a few lines has ink.
const DARKEST_SHARE: f32 = 0.002;
/// A page has ink if the level halfway to the darkest ink is at least this many levels darker than the paper.
const FAINTEST: u8 = 12;
/// Ink is this quantile of the pixels that are darker than halfway from paper to the darkest ink. The edges of strokes
/// are lighter.
const INK_SHARE: f32 = 0.25;
/// Levels above this share of the difference from ink to paper become white, which removes the grain of the paper.
const WHITE_POINT: f32 = 0.95;
/// A mark neither wider nor higher than this, in inches, is a speck. A full stop of the gazette is 0.016 inches.
const SPECK_INCHES: f32 = 0.0105;
/// Halfway from black to white.
const MIDDLE: u8 = 128;

/// A page with more specks than this in a square inch is cleaned. Pages of the corpus have up to 25 (median below 2, on
/// rough scans 6); pages that were made grainy or speckled have more than 120.
const SPECKS_PER_SQUARE_INCH: f32 = 30.0;

/// The cleaned page: grey, with light paper everywhere, without specks.
pub fn clean(pixels: &Pixels, dpi: f32) -> Pixels {
    let width = pixels.size.width as usize;
    let luma = pixels.sheet(dpi).levels;
    let mut levels = luma.to_vec();
    if let Some(paper) = Paper::of(&luma, width, dpi) {
        paper.even_out(&mut levels, width);
    }
    raise_contrast(&mut levels);
    remove_specks(&mut levels, width, dpi);
    Pixels { size: pixels.size, bytes: levels, grey: true }
}

/// Whether a page has so many specks, or such grainy paper, that cleaning improves the reading.
///
/// Uneven light and faint print alone are no reason: Tesseract reads grey levels, and reads such pages worse after
/// cleaning.
pub fn needs_cleaning(sheet: &Sheet<'_>) -> bool {
    let width = sheet.size.width as usize;
    let Some(ink) = ink(&sheet.levels, sheet.paper) else { return false };
    let middle = ink.midpoint(sheet.paper);
    let mut inked: Vec<bool> = sheet.levels.iter().map(|&level| level < middle).collect();
    let limit = speck_limit(sheet.dpi);
    let mut specks = 0u32;
    for_each_mark(&mut inked, width, |mark| specks += u32::from(is_speck(mark, width, limit)));
    let square_inches = sheet.size.area() as f32 / (sheet.dpi * sheet.dpi).max(1.0);
    specks as f32 / square_inches.max(1.0) > SPECKS_PER_SQUARE_INCH
}

/// Lightness of the paper in squares over the whole page.
struct Paper {
    side: usize,
    across: usize,
    down: usize,
    levels: Vec<u8>,
}

impl Paper {
    /// `None` for a page without paper: it has no pixels, or is dark everywhere.
    fn of(levels: &[u8], width: usize, dpi: f32) -> Option<Paper> {
        let side = ((PATCH_INCHES * dpi).round() as usize).max(2);
        let height = levels.len().checked_div(width)?;
        let (across, down) = (width.div_ceil(side), height.div_ceil(side));
        let mut found = Vec::with_capacity(across * down);
        for strip in levels.chunks(side * width) {
            let mut histograms = vec![[0u32; 256]; across];
            for row in strip.chunks_exact(width) {
                for (histogram, cell) in histograms.iter_mut().zip(row.chunks(side)) {
                    cell.iter().for_each(|&level| histogram[usize::from(level)] += 1);
                }
            }
            found.extend(histograms.iter().map(|histogram| quantile(histogram, PAPER_SHARE)));
        }
        let lightest = found.iter().copied().max().filter(|&lightest| lightest >= MIDDLE)?;
        let paper = Paper { side, across, down, levels: found };
        Some(paper.without_pictures((f32::from(lightest) * DARKEST_PAPER) as u8).smoothed())
    }

    /// Squares without paper take the level of the lightest neighbour, or the lightest level of the page.
    fn without_pictures(self, darkest: u8) -> Paper {
        let lightest = self.levels.iter().copied().max().unwrap_or(255);
        let levels = self.rank_filter(|levels| {
            let nearest = levels.iter().copied().max().unwrap_or(0);
            if levels[0] >= darkest {
                levels[0]
            } else if nearest >= darkest {
                nearest
            } else {
                lightest
            }
        });
        Paper { levels, ..self }
    }

    /// Each square gets the median of its own and its neighbours' levels, so that a letter larger than a square is no
    /// shade.
    fn smoothed(self) -> Paper {
        let levels = self.rank_filter(|levels| {
            levels.sort_unstable();
            levels[levels.len() / 2]
        });
        Paper { levels, ..self }
    }

    /// Applies `choose` to each square. Its argument is the square's level, then the levels of the square and its
    /// neighbours.
    fn rank_filter(&self, choose: impl Fn(&mut [u8]) -> u8) -> Vec<u8> {
        let mut near = Vec::with_capacity(10);
        let squares = (0..self.down).flat_map(|y| (0..self.across).map(move |x| (x, y)));
        squares
            .map(|(x, y)| {
                near.clear();
                near.push(self.levels[y * self.across + x]);
                for near_y in y.saturating_sub(1)..(y + 2).min(self.down) {
                    let row = &self.levels[near_y * self.across..][..self.across];
                    near.extend_from_slice(&row[x.saturating_sub(1)..(x + 2).min(self.across)]);
                }
                choose(&mut near)
            })
            .collect()
    }

    /// Divides the levels of a page by its paper. Between the middles of squares, the lightness of the paper is
    /// interpolated.
    fn even_out(&self, levels: &mut [u8], width: usize) {
        let columns: Vec<Between> = (0..width).map(|x| Between::of(x, self.side, self.across)).collect();
        for (y, row) in levels.chunks_exact_mut(width).enumerate() {
            let between = Between::of(y, self.side, self.down);
            let above = &self.levels[between.first * self.across..][..self.across];
            let below = &self.levels[between.second * self.across..][..self.across];
            let line: Vec<f32> =
                above.iter().zip(below).map(|(&one, &other)| between.mix(one.into(), other.into())).collect();
            for (level, column) in row.iter_mut().zip(&columns) {
                let paper = column.mix(line[column.first], line[column.second]).max(1.0);
                *level = (f32::from(*level) * 255.0 / paper).min(255.0) as u8;
            }
        }
    }
}

/// A position between the middles of two squares.
struct Between {
    first: usize,
    second: usize,
    /// 0.0 at the first, 1.0 at the second.
    way: f32,
}

impl Between {
    fn of(pixel: usize, side: usize, squares: usize) -> Between {
        let place = (pixel as f32 + 0.5) / side as f32 - 0.5;
        let first = (place.max(0.0) as usize).min(squares - 1);
        Between { first, second: (first + 1).min(squares - 1), way: (place - first as f32).clamp(0.0, 1.0) }
    }

    fn mix(&self, first: f32, second: f32) -> f32 {
        first + (second - first) * self.way
    }
}

/// The lowest level that at least `share` of the pixels do not exceed.
fn quantile(histogram: &[u32; 256], share: f32) -> u8 {
    let wanted = histogram.iter().map(|&count| u64::from(count)).sum::<u64>() as f32 * share;
    let mut sum = 0u64;
    let reached = |&count: &u32| {
        sum += u64::from(count);
        sum as f32 >= wanted
    };
    histogram.iter().position(reached).map_or(255, |level| level as u8)
}

/// The lightness of ink on paper of this lightness; `None` where there is no ink.
fn ink(levels: &[u8], paper: u8) -> Option<u8> {
    let mut histogram = [0u32; 256];
    levels.iter().for_each(|&level| histogram[usize::from(level)] += 1);
    let middle = quantile(&histogram, DARKEST_SHARE).midpoint(paper);
    if paper.saturating_sub(middle) < FAINTEST {
        return None;
    }
    histogram[usize::from(middle)..].fill(0);
    Some(quantile(&histogram, INK_SHARE))
}

/// Stretches the levels so that ink becomes black and the grain of the paper white.
fn raise_contrast(levels: &mut [u8]) {
    let Some(ink) = ink(levels, u8::MAX).map(f32::from) else { return };
    let white = ink + (255.0 - ink) * WHITE_POINT;
    let stretched: [u8; 256] =
        std::array::from_fn(|level| ((level as f32 - ink) / (white - ink) * 255.0).clamp(0.0, 255.0) as u8);
    levels.iter_mut().for_each(|level| *level = stretched[usize::from(*level)]);
}

/// Makes specks white.
fn remove_specks(levels: &mut [u8], width: usize, dpi: f32) {
    let limit = speck_limit(dpi);
    let mut inked: Vec<bool> = levels.iter().map(|&level| level < MIDDLE).collect();
    for_each_mark(&mut inked, width, |mark| {
        if is_speck(mark, width, limit) {
            mark.iter().for_each(|&pixel| levels[pixel] = 255);
        }
    });
}

/// Longest side of a speck in pixels.
fn speck_limit(dpi: f32) -> usize {
    (SPECK_INCHES * dpi) as usize
}

fn is_speck(mark: &[usize], width: usize, limit: usize) -> bool {
    let (across, down) = extent(mark, width);
    across <= limit && down <= limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelSize;

    const DPI: f32 = 192.0;
    const SIZE: PixelSize = PixelSize { width: 800, height: 1000 };

    /// A page with lines of strokes; `light` gives the paper at a place.
    fn page(light: impl Fn(usize, usize) -> u8, ink: u8) -> Pixels {
        let bytes = (0..SIZE.area() as usize).map(|at| {
            let (x, y) = (at % 800, at / 800);
            let stroke = (100..700).contains(&x) && (100..900).contains(&y) && x % 14 < 4 && y % 40 < 18;
            if stroke { ink } else { light(x, y) }
        });
        Pixels { size: SIZE, bytes: bytes.collect(), grey: true }
    }

    fn is_cleaned(pixels: &Pixels) -> bool {
        super::needs_cleaning(&pixels.sheet(DPI))
    }

    fn at(pixels: &Pixels, x: usize, y: usize) -> u8 {
        pixels.bytes[y * 800 + x]
    }

    #[test]
    fn light_is_evened_out_and_the_print_stays() {
        let shaded = page(|x, _| 250 - (x / 8) as u8, 20);
        let cleaned = clean(&shaded, DPI);
        assert!(at(&cleaned, 20, 20) > 240 && at(&cleaned, 780, 980) > 240);
        assert!(at(&cleaned, 113, 122) < 40 && at(&cleaned, 687, 122) < 40);
    }

    #[test]
    fn faint_print_becomes_black_on_white() {
        let cleaned = clean(&page(|_, _| 200, 130), DPI);
        assert_eq!((at(&cleaned, 20, 20), at(&cleaned, 113, 122)), (255, 0));
    }

    #[test]
    fn specks_go_and_points_stay() {
        let mut speckled = page(|x, y| if (x * 7 + y * 13) % 211 == 0 { 0 } else { 255 }, 0);
        assert!(is_cleaned(&speckled));
        for (x, y) in [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2)] {
            speckled.bytes[(950 + y) * 800 + 400 + x] = 0;
        }
        let cleaned = clean(&speckled, DPI);
        assert_eq!(at(&cleaned, 401, 951), 0, "a point");
        assert!(!is_cleaned(&cleaned));
    }

    #[test]
    fn clean_print_needs_nothing_and_is_not_changed() {
        let print = page(|_, _| 255, 0);
        assert!(!is_cleaned(&print));
        assert_eq!(clean(&print, DPI), print);
    }

    #[test]
    fn the_black_edge_of_a_scan_stays_black() {
        let edge = page(|x, _| if x < 90 { 5 } else { 235 }, 5);
        let cleaned = clean(&edge, DPI);
        assert!(at(&cleaned, 20, 500) < 40 && at(&cleaned, 750, 500) == 255, "{}", at(&cleaned, 20, 500));
    }

    #[test]
    fn tiny_and_empty_images_do_no_harm() {
        for (width, height) in [(1, 1), (1, 3000), (3000, 1), (0, 0)] {
            let size = PixelSize { width, height };
            let pixels = Pixels { size, bytes: vec![7; size.area() as usize], grey: true };
            assert_eq!(clean(&pixels, DPI).bytes.len(), pixels.bytes.len());
            is_cleaned(&pixels);
        }
    }
}
