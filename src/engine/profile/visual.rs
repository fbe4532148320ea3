//! How many prompt tokens an image costs. These tokens determine the load of the GPU, and what they leave of the
//! context is the token budget of the answer.

use serde::{Deserialize, Serialize};

use crate::model::PixelSize;

/// The rule by which a model turns pixels into prompt tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum VisualTokens {
    /// Qwen3-VL and Qwen3.5: one token for each cell of `cell` x `cell` pixels, after the server has rounded both
    /// sides to the grid within its pixel bounds (`docs/facts/chandra.md`, "Page images").
    Cells {
        /// Patch size times merge size, pixels.
        cell: u32,
        /// The server's `min_pixels`.
        min_pixels: u64,
        /// The server's `max_pixels`.
        max_pixels: u64,
    },
    /// DeepSeek-OCR in its Gundam mode: one global view and a grid of tiles (`docs/facts/deepseek.md`, "Tiles and
    /// tokens").
    Gundam {
        /// Side of a tile, pixels.
        tile: u32,
        /// Side of the global view, pixels.
        base: u32,
        /// Fewest tiles of an image that is larger than one tile.
        min_tiles: u32,
        /// Most tiles.
        max_tiles: u32,
    },
    /// Pixtral's encoder in LightOnOCR: one token for each begun cell, after the server has shrunk the longer side
    /// (`docs/facts/engines.md`, "LightOnOCR-2").
    Patches {
        /// Patch size times merge size, pixels.
        cell: u32,
        /// The server's limit of the longer side, pixels.
        max_side: u32,
    },
    /// Idefics3's encoder in Granite-Docling: the longer side is brought to `longest_side`, the image is split into tiles,
    /// and a small view of the whole follows (`docs/facts/engines.md`, "Granite-Docling").
    Splits {
        /// Side of a tile, pixels.
        tile: u32,
        /// Length of the longer side, pixels.
        longest_side: u32,
        /// Tokens of a tile.
        tokens: u32,
    },
    /// DeepSeek-OCR-2: the same views, without the tokens that end a row.
    Tiles {
        /// Side of a tile, pixels.
        tile: u32,
        /// Side of the global view, pixels.
        base: u32,
        /// Fewest tiles of an image that is larger than one tile.
        min_tiles: u32,
        /// Most tiles.
        max_tiles: u32,
    },
}

impl VisualTokens {
    /// Prompt tokens of an image of this size.
    pub fn count(&self, size: PixelSize) -> u32 {
        match *self {
            VisualTokens::Cells { cell, min_pixels, max_pixels } => {
                let resized = smart_resize(size, cell, min_pixels, max_pixels);
                (resized.width / cell).saturating_mul(resized.height / cell)
            }
            VisualTokens::Patches { cell, max_side } => {
                let longer = size.width.max(size.height).max(1);
                let shrunk = |side: u32| match longer > max_side {
                    true => (u64::from(side) * u64::from(max_side) / u64::from(longer)) as u32,
                    false => side,
                };
                let cells = |side: u32| shrunk(side).div_ceil(cell).max(1);
                cells(size.width).saturating_mul(cells(size.height))
            }
            VisualTokens::Splits { tile, longest_side, tokens } => {
                let longer = size.width.max(size.height).max(1);
                let scaled = |side: u32| (u64::from(side) * u64::from(longest_side)).div_ceil(u64::from(longer)) as u32;
                let (across, down) =
                    (scaled(size.width).div_ceil(tile).max(1), scaled(size.height).div_ceil(tile).max(1));
                // Each tile begins with two tokens that name it, and each row ends with one; the whole view has four.
                down.saturating_mul(across.saturating_mul(tokens + 2) + 1).saturating_add(tokens + 4)
            }
            VisualTokens::Gundam { tile, base, min_tiles, max_tiles } => {
                let (global, local) = (tokens_of_side(base), tokens_of_side(tile));
                let overview = global * (global + 1) + 1;
                match tile_grid(size, tile, min_tiles, max_tiles) {
                    None => overview,
                    Some((across, down)) => overview + local * down * (local * across + 1),
                }
            }
            VisualTokens::Tiles { tile, base, min_tiles, max_tiles } => {
                let (global, local) = (tokens_of_side(base), tokens_of_side(tile));
                let overview = global * global + 1;
                match tile_grid(size, tile, min_tiles, max_tiles) {
                    None => overview,
                    Some((across, down)) => overview + local * down * local * across,
                }
            }
        }
    }
}

/// Patch side of DeepSeek-OCR's encoder, pixels.
const PATCH: u32 = 16;
/// Factor of its convolutional down-sampling.
const DOWNSAMPLE: u32 = 4;

/// Tokens along one side of a view, for a side of so many pixels.
fn tokens_of_side(pixels: u32) -> u32 {
    pixels.div_ceil(PATCH).div_ceil(DOWNSAMPLE)
}

/// The size to which a Qwen-VL server resizes an image: Hugging Face's `smart_resize`, which rounds ties to even.
fn smart_resize(size: PixelSize, cell: u32, min_pixels: u64, max_pixels: u64) -> PixelSize {
    let (width, height, grid) = (f64::from(size.width), f64::from(size.height), f64::from(cell));
    let rounded = |side: f64| ((side / grid).round_ties_even() * grid).max(grid);
    let (area, rounded_area) = (width * height, rounded(width) * rounded(height));
    let (new_width, new_height) = if rounded_area > max_pixels as f64 {
        let shrink = (area / max_pixels as f64).sqrt();
        let floored = |side: f64| ((side / shrink / grid).floor() * grid).max(grid);
        (floored(width), floored(height))
    } else if rounded_area < min_pixels as f64 {
        let grow = (min_pixels as f64 / area).sqrt();
        let raised = |side: f64| (side * grow / grid).ceil() * grid;
        (raised(width), raised(height))
    } else {
        (rounded(width), rounded(height))
    };
    PixelSize { width: new_width as u32, height: new_height as u32 }
}

/// Tiles across and down, for an image that is larger than one tile: the grid whose aspect ratio is nearest to the
/// image's. Of two equally near grids, the larger one if the image has more than half of that grid's pixels.
fn tile_grid(size: PixelSize, tile: u32, min_tiles: u32, max_tiles: u32) -> Option<(u32, u32)> {
    if size.width <= tile && size.height <= tile {
        return None;
    }
    let aspect = f64::from(size.width) / f64::from(size.height);
    let mut grids: Vec<(u32, u32)> = (1..=max_tiles)
        .flat_map(|across| (1..=max_tiles).map(move |down| (across, down)))
        .filter(|(across, down)| (min_tiles..=max_tiles).contains(&(across * down)))
        .collect();
    grids.sort_by_key(|(across, down)| across * down);
    let mut best = (1, 1);
    let mut best_difference = f64::INFINITY;
    for (across, down) in grids {
        let difference = (aspect - f64::from(across) / f64::from(down)).abs();
        let half_of_grid = u64::from(tile) * u64::from(tile) * u64::from(across * down) / 2;
        if difference < best_difference || (difference == best_difference && size.area() > half_of_grid) {
            (best, best_difference) = ((across, down), difference);
        }
    }
    Some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(width: u32, height: u32) -> u32 {
        VisualTokens::Cells { cell: 32, min_pixels: 3136, max_pixels: 6_291_456 }.count(PixelSize { width, height })
    }

    fn gundam(width: u32, height: u32) -> u32 {
        VisualTokens::Gundam { tile: 640, base: 1024, min_tiles: 2, max_tiles: 6 }.count(PixelSize { width, height })
    }

    /// The table of `docs/facts/chandra.md`, "Page images", client sizes on the 28 px grid.
    #[test]
    fn chandra_pages_cost_what_the_facts_say() {
        let table = [
            (1120, 1596, 1750),
            (1596, 2240, 3500),
            (1624, 2100, 3366),
            (1624, 2688, 4284),
            (1904, 2660, 4980),
            (2100, 2968, 6138),
            (1036, 2884, 2880),
            (1600, 2240, 3500),
        ];
        for (width, height, tokens) in table {
            assert_eq!(cells(width, height), tokens, "{width} x {height}");
        }
    }

    #[test]
    fn the_pixel_cap_bounds_any_image() {
        assert!(cells(23_333, 23_333) <= 6144);
        assert!(cells(6000, 6000) > 6000);
        assert!(cells(1, 1) >= 1);
    }

    /// The figures of `docs/facts/deepseek.md`, "Tiles and tokens", and two that a real server counted (915 and 285
    /// prompt tokens with 12 of text).
    #[test]
    fn deepseek_pages_cost_what_the_facts_say() {
        let table = [
            (1588, 2246, 903),
            (2246, 1588, 893),
            (640, 1920, 603),
            (640, 640, 273),
            (1000, 1400, 903),
            (320, 448, 273),
        ];
        for (width, height, tokens) in table {
            assert_eq!(gundam(width, height), tokens, "{width} x {height}");
        }
    }

    #[test]
    fn lighton_pages_cost_each_begun_cell_of_the_shrunk_image() {
        let rule = VisualTokens::Patches { cell: 28, max_side: 1540 };
        for (width, height, tokens) in [(1089, 1540, 39 * 55), (2178, 3080, 39 * 55), (28, 29, 2), (1, 1, 1)] {
            assert_eq!(rule.count(PixelSize { width, height }), tokens, "{width} x {height}");
        }
    }

    /// As the code of vLLM 0.32 counts them.
    #[test]
    fn the_second_deepseek_counts_no_ends_of_rows() {
        let rule = VisualTokens::Tiles { tile: 768, base: 1024, min_tiles: 2, max_tiles: 6 };
        for (width, height, tokens) in [(768, 768, 257), (1191, 1684, 257 + 36 * 24), (2000, 1000, 257 + 12 * 24)] {
            assert_eq!(rule.count(PixelSize { width, height }), tokens, "{width} x {height}");
        }
    }
}
