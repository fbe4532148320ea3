//! Pieces of lines of text, two thirds of an inch long, and features of the shapes of their letters.

use std::ops::{Range, RangeInclusive};

use super::super::mask::Mask;

/// Lines are found in the ink of rows, smoothed over this many inches: about the height of a small letter, so that the
/// upper and the lower edges of letters make one peak.
const SMOOTHED: f32 = 0.06;
/// Two peaks are two lines if the ink between them falls below this share of both.
const VALLEY: f32 = 0.5;
/// Height of a line in inches, from 6 point to a headline. Other heights are dirt or drawings.
const HEIGHT: RangeInclusive<f32> = 0.04..=0.4;
/// Least number of inked cells of a piece: three letters.
const LEAST_INK: u32 = 40;

/// Number of places over the height of a line that are described, half a standard deviation of its ink apart.
pub(super) const PLACES: usize = 10;
const SPACING: f32 = 0.5;
/// Counts at every place: ink, runs of ink along the row, upper edges, lower edges.
const COUNTS: usize = 4;
/// Number of features of a piece.
pub(super) const FEATURES: usize = PLACES * COUNTS + 3;

/// A piece of a line, as wide as a word of the mask.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// The column of the word, and the rows.
    pub(super) place: (usize, Range<usize>),
    /// Number of columns of cells that have ink in some row.
    pub(super) covered: u32,
    /// For each place, the share of the ink, then of runs, of upper edges and of lower edges. Then the mean length of a
    /// level run, the mean length of an upright run, and the mean ink of a covered column, all in standard deviations.
    pub(super) features: [f32; FEATURES],
}

/// All pieces of level lines on a mask without rules.
pub(super) fn pieces(mask: &Mask) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for column in 0..mask.words {
        let ink: Vec<u32> = (0..mask.down).map(|y| mask.word(column, y).count_ones()).collect();
        pieces.extend(ink_peaks(&ink, mask.cells(SMOOTHED)).into_iter().filter_map(|rows| piece(mask, column, rows)));
    }
    pieces
}

/// Spans of rows, divided at the valleys of the smoothed ink.
fn ink_peaks(ink: &[u32], width: usize) -> Vec<Range<usize>> {
    let smooth = smoothed(&smoothed(ink, width), width);
    let (mut spans, mut start) = (Vec::new(), 0);
    let (mut peak, mut valley, mut valley_at) = (0, u32::MAX, 0);
    for (y, &here) in smooth.iter().enumerate() {
        let fell = (valley as f32) <= VALLEY * peak as f32;
        if fell && valley as f32 <= VALLEY * here as f32 && here > 0 {
            spans.push(start..valley_at);
            (start, peak, valley) = (valley_at, 0, u32::MAX);
        }
        if here >= peak {
            (peak, valley) = (here, u32::MAX);
        } else if here < valley {
            (valley, valley_at) = (here, y);
        }
    }
    spans.push(start..ink.len());
    spans
}

/// Sums over a window of `width` around every value.
fn smoothed(values: &[u32], width: usize) -> Vec<u32> {
    let half = width / 2;
    let mut sums = Vec::with_capacity(values.len());
    let mut sum: u32 = values.iter().take(half).sum();
    for at in 0..values.len() {
        sum += values.get(at + half).copied().unwrap_or(0);
        if let Some(gone) = at.checked_sub(half + 1) {
            sum -= values[gone];
        }
        sums.push(sum);
    }
    sums
}

fn piece(mask: &Mask, column: usize, mut rows: Range<usize>) -> Option<Piece> {
    let inked = |y: &usize| mask.word(column, *y) != 0;
    let top = rows.find(inked)?;
    let bottom = rows.rfind(inked).unwrap_or(top) + 1;
    if !HEIGHT.contains(&((bottom - top) as f32 / mask.per_inch)) {
        return None;
    }
    let counts: Vec<[u32; COUNTS]> = (top..bottom)
        .map(|y| {
            let word = mask.word(column, y);
            let above = y.checked_sub(1).map_or(0, |y| mask.word(column, y));
            let below = mask.word(column, y + 1);
            [word, word & !(word << 1), word & !above, word & !below].map(u64::count_ones)
        })
        .collect();
    let totals =
        counts.iter().fold([0; COUNTS], |sums: [u32; COUNTS], row| std::array::from_fn(|at| sums[at] + row[at]));
    let [ink, runs, edges, _] = totals;
    if ink < LEAST_INK {
        return None;
    }
    let covered = (top..bottom).fold(0, |all, y| all | mask.word(column, y)).count_ones();
    let (middle, spread) = moments(&counts, ink);
    let mut features = [0.0; FEATURES];
    for (y, row) in counts.iter().enumerate() {
        let place = (y as f32 - middle) / (spread * SPACING) + (PLACES as f32 - 1.0) / 2.0;
        let place = place.clamp(0.0, PLACES as f32 - 1.0);
        let lower = (place as usize).min(PLACES - 2);
        let part = place - lower as f32;
        for (at, (&count, &total)) in row.iter().zip(&totals).enumerate() {
            let share = count as f32 / total.max(1) as f32;
            features[at * PLACES + lower] += share * (1.0 - part);
            features[at * PLACES + lower + 1] += share * part;
        }
    }
    let lengths = [(ink, runs), (ink, edges), (ink, covered)].map(|(ink, of)| ink as f32 / of.max(1) as f32 / spread);
    features[PLACES * COUNTS..].copy_from_slice(&lengths);
    Some(Piece { place: (column, top..bottom), covered, features })
}

/// Mean row of the ink and its standard deviation, in rows.
fn moments(counts: &[[u32; COUNTS]], ink: u32) -> (f32, f32) {
    let mean = |of: &dyn Fn(f32) -> f32| {
        let sum: f32 = counts.iter().enumerate().map(|(y, row)| row[0] as f32 * of(y as f32)).sum();
        sum / ink.max(1) as f32
    };
    let middle = mean(&|y| y);
    (middle, mean(&|y| (y - middle) * (y - middle)).sqrt().max(0.5))
}

/// The features of the same piece upside down: the places in reverse, upper and lower edges exchanged.
pub(super) fn upside_down(features: &[f32; FEATURES]) -> [f32; FEATURES] {
    let mut turned = *features;
    for (count, from) in [0, 1, 3, 2].into_iter().enumerate() {
        for place in 0..PLACES {
            turned[count * PLACES + place] = features[(from + 1) * PLACES - 1 - place];
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{Sheet, mask::WORD},
        *,
    };
    use crate::PixelSize;

    /// Lines of strokes, as high and as far apart as print of ten point.
    fn page(lines: &[(usize, usize)]) -> Mask {
        let size = PixelSize { width: 400, height: 300 };
        let mut levels = vec![255; size.area() as usize];
        for &(top, height) in lines {
            for y in top..top + height {
                (20..380).filter(|x| x % 8 < 4).for_each(|x| levels[y * 400 + x] = 0);
            }
        }
        Mask::of(&Sheet::new(size, 192.0, levels.into()), 96.0)
    }

    #[test]
    fn lines_are_found_apart_and_whole() {
        let mut rows: Vec<_> =
            pieces(&page(&[(40, 14), (72, 14), (104, 14)])).into_iter().map(|piece| piece.place).collect();
        rows.retain(|(column, _)| *column == 1);
        assert_eq!(rows, [(1, 20..27), (1, 36..43), (1, 52..59)]);
    }

    #[test]
    fn dirt_and_drawings_are_no_lines() {
        assert!(pieces(&page(&[(40, 2)])).is_empty(), "a line of specks");
        assert!(pieces(&page(&[(40, 200)])).is_empty(), "an inch of hatching");
    }

    #[test]
    fn a_piece_upside_down_has_the_features_that_the_page_upside_down_gives() {
        let mask = page(&[(40, 14), (72, 20), (78, 6)]);
        let turned = mask.turned_right().turned_right();
        let (piece, other) = (&pieces(&mask)[1], pieces(&turned));
        let expected = upside_down(&piece.features);
        let differs = |piece: &Piece| piece.features.iter().zip(&expected).map(|(a, b)| (a - b).abs()).sum::<f32>();
        assert!(other.iter().any(|piece| differs(piece) < 0.5), "{:?}", other.iter().map(differs).collect::<Vec<_>>());
        assert_eq!(upside_down(&expected), piece.features);
    }

    /// Writes one line for each piece: folder, page, its box as fractions of the page, its features.
    #[test]
    #[ignore = "for scripts/lib/fit_letters.py: BOCR_PAGES/<issue>/pNNN.png, drawn at BOCR_DPI, to BOCR_PIECES"]
    fn pieces_of_all_pages() {
        use std::{env::var, io::Write};
        let dpi: f32 = var("BOCR_DPI").unwrap().parse().unwrap();
        let mut out = std::io::BufWriter::new(std::fs::File::create(var("BOCR_PIECES").unwrap()).unwrap());
        for file in walkdir::WalkDir::new(var("BOCR_PAGES").unwrap()).sort_by_file_name() {
            let path = file.unwrap().into_path();
            if path.extension().is_none_or(|extension| extension != "png") {
                continue;
            }
            let image = image::open(&path).unwrap().into_luma8();
            let size = PixelSize { width: image.width(), height: image.height() };
            let mask = Mask::of(&Sheet::new(size, dpi, image.into_raw().into()), super::super::PER_INCH);
            let mask = mask.without_runs(mask.cells(super::super::LONGEST_STROKE));
            let [issue, page] = [path.parent().unwrap(), &path].map(|path| path.file_stem().unwrap().to_string_lossy());
            let (across, down) = (mask.across as f32, mask.down as f32);
            for Piece { place: (column, rows), features, .. } in pieces(&mask) {
                let (left, right) = (column * WORD, (column + 1) * WORD);
                let bbox =
                    [left as f32 / across, rows.start as f32 / down, right as f32 / across, rows.end as f32 / down];
                let numbers: Vec<String> = bbox.iter().chain(&features).map(|number| format!("{number:.4}")).collect();
                writeln!(out, "{issue}\t{}\t{}", &page[1..], numbers.join("\t")).unwrap();
            }
        }
    }
}
