//! A page in black and white, at a coarser resolution than the rendering.

use super::Sheet;

/// Square cells of a sheet, each inked or not.
#[derive(Debug, Clone)]
pub struct Bits {
    /// Number of cells from left to right.
    pub across: usize,
    /// Number of cells from top to bottom.
    pub down: usize,
    /// Side of a cell in pixels.
    pub side: usize,
    inked: Vec<bool>,
}

impl Bits {
    /// The sheet at about `per_inch` cells for each inch, never finer than its pixels. A cell is inked if at least
    /// `share` of its pixels are dark, and at least one. With a share of 0, the finest hairline stays complete.
    pub fn of(sheet: &Sheet<'_>, per_inch: f32, share: f32) -> Bits {
        let most = sheet.size.width.max(sheet.size.height).max(1) as usize;
        let side = ((sheet.dpi / per_inch).round() as usize).clamp(1, most);
        let width = sheet.size.width as usize;
        let (across, down) = (width.div_ceil(side), (sheet.size.height as usize).div_ceil(side));
        let threshold = sheet.threshold();
        let least = ((side * side) as f32 * share).ceil().max(1.0) as u32;
        let mut inked = Vec::with_capacity(across * down);
        let mut columns = vec![0u16; width];
        for strip in sheet.levels.chunks(side * width.max(1)) {
            columns.fill(0);
            for row in strip.chunks_exact(width.max(1)) {
                columns
                    .iter_mut()
                    .zip(row)
                    .for_each(|(count, &level)| *count = count.wrapping_add(u16::from(level < threshold)));
            }
            inked.extend(
                columns.chunks(side).map(|cell| cell.iter().map(|&count| u32::from(count)).sum::<u32>() >= least),
            );
        }
        Bits { across, down, side, inked }
    }

    /// The cells of a row, from left to right.
    pub fn row(&self, y: usize) -> &[bool] {
        &self.inked[y * self.across..][..self.across]
    }

    /// Whether the cell has ink.
    pub fn is_inked(&self, x: usize, y: usize) -> bool {
        self.inked[y * self.across + x]
    }
}
