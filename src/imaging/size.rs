//! Computes the pixel size of a page. Pure arithmetic, done before memory is allocated.

use crate::model::{Grid, ImageRule, PixelSize, Scaling};

/// Points per inch in PDF.
const POINTS_PER_INCH: f64 = 72.0;
/// A page is rendered with at most this many times the largest number of pixels that is sent, at four bytes each in
/// PDFium. A larger page (A2 at 192 dpi) is rendered at its final size with any rule. The package has no such bound.
const MOST_OVERDRAWN: u64 = 4;

/// Width and height of a page in points (1/72 inch), its `/Rotate` applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PageSize {
    /// Points from left to right.
    pub width: f64,
    /// Points from top to bottom.
    pub height: f64,
}

impl PageSize {
    /// Whether the page is smaller than an inch, so that its size must be in another unit.
    pub(super) fn is_tiny(self) -> bool {
        self.width.min(self.height) < POINTS_PER_INCH
    }

    /// The size of a page whose unit is `unit` points. The models' packages ignore the unit, so it counts only for a
    /// page that is tiny without it.
    pub(super) fn times(self, unit: f64) -> PageSize {
        PageSize { width: self.width * unit, height: self.height * unit }
    }
}

/// The size and resolution of a rendering.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Size that PDFium renders at, in pixels. It differs from `size` only with [`Scaling::Parity`].
    pub drawn: PixelSize,
    /// Size of the image in pixels.
    pub size: PixelSize,
    /// Dots per inch of the image: the geometric mean of both directions, which differ slightly because of the grid.
    pub dpi: f32,
}

impl Target {
    /// The size of `page` under `rule`, as the model's own pipeline computes it (`docs/facts/chandra.md`, "Page
    /// images"): rendered at the rule's resolution with both sides rounded up, then fitted into the pixel bounds and
    /// the grid.
    ///
    /// `None` for a page without an area.
    pub fn of(page: PageSize, rule: &ImageRule) -> Option<Target> {
        let shorter = page.width.min(page.height);
        if !(shorter > 0.0 && page.width.is_finite() && page.height.is_finite()) {
            return None;
        }
        // The same order of operations as in the package: a rounding error above a whole pixel gives one pixel more.
        let scale = f64::from(rule.dpi).max(f64::from(rule.min_side) / shorter * POINTS_PER_INCH) / POINTS_PER_INCH;
        let longest = rule.max_side.map_or(f64::INFINITY, f64::from).max(1.0);
        let scale = scale.min(longest / page.width.max(page.height));
        let drawn = [page.width, page.height].map(|points| (points * scale).ceil().clamp(1.0, longest));
        let [width, height] = match rule.grid {
            Grid::Free => fit_freely(drawn, rule),
            Grid::Cells(cell) => fit_to_grid(drawn, f64::from(cell.max(1)), rule),
        };
        let size = PixelSize { width: width as u32, height: height as u32 };
        let drawn = match rule.scaling {
            Scaling::Parity if drawn[0] * drawn[1] <= rule.max_pixels.saturating_mul(MOST_OVERDRAWN) as f64 => {
                PixelSize { width: drawn[0] as u32, height: drawn[1] as u32 }
            }
            Scaling::Parity | Scaling::Direct => size,
        };
        let square_inches = page.width * page.height / (POINTS_PER_INCH * POINTS_PER_INCH);
        Some(Target { drawn, size, dpi: (size.area() as f64 / square_inches).sqrt() as f32 })
    }
}

/// The factor of the sides that brings the area into the rule's bounds.
fn scale_into_bounds([width, height]: [f64; 2], rule: &ImageRule) -> f64 {
    let (area, least, most) = (width * height, rule.min_pixels as f64, rule.max_pixels as f64);
    if area > most {
        (most / area).sqrt()
    } else if area < least {
        (least / area).sqrt()
    } else {
        1.0
    }
}

/// Chandra 1's rule: any size within the bounds.
fn fit_freely(drawn: [f64; 2], rule: &ImageRule) -> [f64; 2] {
    let scale = scale_into_bounds(drawn, rule);
    let fitted = drawn.map(|side| {
        let scaled = side * scale;
        if scale < 1.0 { scaled.floor().max(1.0) } else { scaled.ceil() }
    });
    // If a side was raised to one pixel, the other side is too long.
    let most = rule.max_pixels.max(1) as f64;
    [fitted[0].min((most / fitted[1]).max(1.0).floor()), fitted[1].min((most / fitted[0]).max(1.0).floor())]
}

/// Chandra 2's rule: both sides are whole numbers of cells, rounded half to even as in Python. While the area is above
/// the bound, one side loses a cell: the side whose loss changes the aspect ratio less.
fn fit_to_grid(drawn: [f64; 2], cell: f64, rule: &ImageRule) -> [f64; 2] {
    let scale = scale_into_bounds(drawn, rule);
    let [mut across, mut down] = drawn.map(|side| (side * scale / cell).round_ties_even().max(1.0));
    let aspect = drawn[0] / drawn[1];
    let most_cells = (rule.max_pixels as f64 / (cell * cell)).floor().max(1.0);
    while across * down > most_cells {
        if across == 1.0 || down == 1.0 {
            let longer = across.max(down).min(most_cells);
            (across, down) = if across == 1.0 { (1.0, longer) } else { (longer, 1.0) };
            break;
        }
        let narrower = ((across - 1.0) / down - aspect).abs();
        let shorter = (across / (down - 1.0) - aspect).abs();
        if narrower < shorter {
            across -= 1.0;
        } else {
            down -= 1.0;
        }
    }
    [across * cell, down * cell]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANDRA_2: ImageRule = ImageRule {
        dpi: 192.0,
        min_side: 1024,
        max_side: None,
        min_pixels: 50_176,
        max_pixels: 6_291_456,
        grid: Grid::Cells(28),
        scaling: Scaling::Direct,
    };

    fn target(width: f64, height: f64, rule: &ImageRule) -> (u32, u32) {
        let size = Target::of(PageSize { width, height }, rule).unwrap().size;
        (size.width, size.height)
    }

    /// Name, points, drawn, grid 28, the server's cells of 32 (`docs/facts/chandra.md`, "Page images").
    type Row = (&'static str, (f64, f64), (u32, u32), (u32, u32), (u32, u32));
    const PAGES: [Row; 7] = [
        ("A5", (419.528, 595.276), (1119, 1588), (1120, 1596), (1120, 1600)),
        ("A4", (595.276, 841.890), (1588, 2246), (1596, 2240), (1600, 2240)),
        ("Letter", (612.0, 792.0), (1632, 2112), (1624, 2100), (1632, 2112)),
        ("Legal", (612.0, 1008.0), (1632, 2688), (1624, 2688), (1632, 2688)),
        ("B4", (708.661, 1000.630), (1890, 2669), (1904, 2660), (1920, 2656)),
        ("A3", (841.890, 1190.551), (2246, 3175), (2100, 2968), (2112, 2976)),
        ("half A4", (297.638, 841.890), (1024, 2897), (1036, 2884), (1024, 2880)),
    ];

    #[test]
    fn sizes_are_those_of_the_models_own_pipeline() {
        let drawn_rule = ImageRule { min_pixels: 0, max_pixels: u64::MAX, grid: Grid::Free, ..CHANDRA_2 };
        for (name, (width, height), drawn, grid_28, _) in PAGES {
            assert_eq!(target(width, height, &drawn_rule), drawn, "{name} as drawn");
            assert_eq!(target(width, height, &CHANDRA_2), grid_28, "{name} on the grid of 28");
        }
    }

    #[test]
    fn for_parity_a_page_is_drawn_before_it_is_fitted_unless_that_is_monstrous() {
        let rule = ImageRule { scaling: Scaling::Parity, ..CHANDRA_2 };
        for (name, (width, height), drawn, grid_28, _) in PAGES {
            let target = Target::of(PageSize { width, height }, &rule).unwrap();
            assert_eq!((target.drawn.width, target.drawn.height), drawn, "{name}");
            assert_eq!((target.size.width, target.size.height), grid_28, "{name}");
        }
        let poster = Target::of(PageSize { width: 1800.0, height: 3600.0 }, &rule).unwrap();
        assert_eq!(poster.drawn, poster.size);
    }

    #[test]
    fn drawn_at_the_servers_cells_a_page_needs_no_second_resampling() {
        let rule = ImageRule { grid: Grid::Cells(32), ..CHANDRA_2 };
        for (name, (width, height), _, _, server) in PAGES {
            // Rounded once, these end elsewhere than rounded to the grid of 28 and then to that of 32.
            let direct = match name {
                "B4" => (1888, 2656),
                "half A4" => (1024, 2912),
                _ => server,
            };
            assert_eq!(target(width, height, &rule), direct, "{name} on the grid of 32");
        }
    }

    #[test]
    fn a_free_rule_keeps_the_drawn_size_and_only_shrinks_what_is_over_the_bound() {
        let rule = ImageRule { min_pixels: 784, grid: Grid::Free, ..CHANDRA_2 };
        assert_eq!(target(595.276, 841.89, &rule), (1588, 2246));
        assert_eq!(target(841.89, 1190.551, &rule), (2109, 2982));
    }

    #[test]
    fn monstrous_pages_stay_within_the_bound() {
        let free = ImageRule { grid: Grid::Free, ..CHANDRA_2 };
        assert_eq!(target(8400.0, 8400.0, &CHANDRA_2), (2492, 2520));
        assert_eq!(target(8400.0, 8400.0, &free), (2508, 2508));
        for (width, height) in [(14_400.0, 14_400.0), (1.0, 100_000.0), (100_000.0, 0.01), (3.4e38, 3.4e38)] {
            for rule in [CHANDRA_2, free] {
                let size = Target::of(PageSize { width, height }, &rule).unwrap().size;
                assert!((1..=rule.max_pixels).contains(&size.area()), "{width} x {height} pt: {size:?}");
            }
        }
    }

    #[test]
    fn small_pages_are_brought_up_to_the_lower_bound() {
        let rule = ImageRule { dpi: 72.0, min_side: 0, ..CHANDRA_2 };
        let size = Target::of(PageSize { width: 100.0, height: 50.0 }, &rule).unwrap().size;
        assert_eq!((size.width, size.height), (308, 168));
    }

    #[test]
    fn the_longer_side_is_no_longer_than_the_rule_allows() {
        let rule =
            ImageRule { dpi: 200.0, min_side: 0, max_side: Some(1288), min_pixels: 1, grid: Grid::Free, ..CHANDRA_2 };
        assert_eq!(target(595.276, 841.89, &rule), (911, 1288));
        assert_eq!(target(1190.551, 841.89, &rule), (1288, 911));
        assert_eq!(target(200.0, 300.0, &rule), (556, 834), "a small page keeps its resolution");
    }

    #[test]
    fn resolution_is_that_of_the_image() {
        let target = Target::of(PageSize { width: 595.276, height: 841.89 }, &CHANDRA_2).unwrap();
        assert!((target.dpi - 192.3).abs() < 0.1, "{}", target.dpi);
    }

    #[test]
    fn a_page_without_area_has_no_size() {
        for (width, height) in [(0.0, 842.0), (595.0, -1.0), (f64::NAN, 842.0), (f64::INFINITY, 842.0)] {
            assert_eq!(Target::of(PageSize { width, height }, &CHANDRA_2), None);
        }
    }
}
