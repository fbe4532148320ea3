//! Filled shapes on a picture, as much of them as lies on it.

use image::{Rgb, RgbImage};

/// A place on a picture or off it, in pixels.
pub(super) type Place = (i32, i32);

/// Fills a rectangle.
pub(super) fn rectangle(picture: &mut RgbImage, (left, top): Place, (width, height): Place, colour: Rgb<u8>) {
    for y in top..top.saturating_add(height) {
        row(picture, y, left, left.saturating_add(width - 1), colour);
    }
}

/// Fills a polygon and draws its edges. One whose first and last corner are the same, as on a tiny page, has nothing to
/// fill.
pub(super) fn polygon(picture: &mut RgbImage, corners: &[Place], colour: Rgb<u8>) {
    let ends = corners.iter().copied().cycle().skip(1);
    let edges: Vec<(Place, Place)> = corners.iter().copied().zip(ends).collect();
    let heights = || corners.iter().map(|corner| corner.1);
    let (Some(top), Some(bottom)) = (heights().min(), heights().max()) else { return };
    if corners.first() == corners.last() {
        return;
    }
    for y in top.max(0)..=bottom.min(picture.height() as i32 - 1) {
        let mut crossings: Vec<i32> = edges.iter().flat_map(|&edge| crossed(edge, y)).collect();
        crossings.sort_unstable();
        let (inside, _) = crossings.as_chunks::<2>();
        for &[left, right] in inside {
            row(picture, y, left, right, colour);
        }
    }
    for (from, to) in edges {
        line(picture, from, to, colour);
    }
}

/// Where an edge crosses row `y`: a level one at both its ends, another one not at its lower end, where the next begins.
fn crossed(((x0, y0), (x1, y1)): (Place, Place), y: i32) -> impl Iterator<Item = i32> {
    let (first, second) = if y < y0.min(y1) || y > y0.max(y1) {
        (None, None)
    } else if y0 == y1 {
        (Some(x0), Some(x1))
    } else if y == y0 || y == y1 {
        ((y1 > y).then_some(x0), (y0 > y).then_some(x1))
    } else {
        let fraction = (y - y0) as f32 / (y1 - y0) as f32;
        (Some((x0 as f32 + fraction * (x1 - x0) as f32).round() as i32), None)
    };
    first.into_iter().chain(second)
}

/// A line one pixel thick, as Bresenham draws it.
fn line(picture: &mut RgbImage, (mut x, mut y): Place, (mut end_x, mut end_y): Place, colour: Rgb<u8>) {
    let steep = (end_y - y).abs() > (end_x - x).abs();
    if steep {
        (x, y, end_x, end_y) = (y, x, end_y, end_x);
    }
    if x > end_x {
        (x, y, end_x, end_y) = (end_x, end_y, x, y);
    }
    let (along, across, step) = (end_x - x, (end_y - y).abs(), if y < end_y { 1 } else { -1 });
    // In halves of a pixel, times `along`.
    let mut error = along;
    for x in x..=end_x {
        let (x, y_here) = if steep { (y, x) } else { (x, y) };
        row(picture, y_here, x, x, colour);
        error -= 2 * across;
        if error < 0 {
            y += step;
            error += 2 * along;
        }
    }
}

/// Fills a row from `left` to `right`, both included.
fn row(picture: &mut RgbImage, y: i32, left: i32, right: i32, colour: Rgb<u8>) {
    let (width, height) = (picture.width() as i32, picture.height() as i32);
    if (0..height).contains(&y) {
        for x in left.max(0)..=right.min(width - 1) {
            picture.put_pixel(x as u32, y as u32, colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_filled_as_imageproc_fills_them_and_cut_where_the_picture_ends() {
        let mut picture = RgbImage::new(24, 10);
        polygon(&mut picture, &[(1, 1), (20, 5), (19, 7), (0, 3)], Rgb([1; 3]));
        polygon(&mut picture, &[(12, 1), (30, -4), (22, 4)], Rgb([2; 3]));
        polygon(&mut picture, &[(8, 8), (12, 8), (8, 8)], Rgb([3; 3]));
        rectangle(&mut picture, (-2, 7), (6, 9), Rgb([3; 3]));
        let shown = picture.rows().map(|row| row.map(|pixel| [' ', '#', 'o', '='][usize::from(pixel.0[0])]).collect());
        let expected = [
            "              oooooooooo",
            " ###        oooooooooooo",
            " ########     oooooooooo",
            "#############     oooooo",
            "   ###############   oo ",
            "        #############   ",
            "            #########   ",
            "====             ###    ",
            "====                    ",
            "====                    ",
        ];
        assert_eq!(shown.collect::<Vec<String>>(), expected);
    }
}
