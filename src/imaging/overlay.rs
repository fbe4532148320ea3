//! Draws the layout of a page for the user: its parts in reading order, and the line between its columns.

use std::io::Cursor;

use image::{ImageError, ImageFormat, Rgb, RgbImage};

use super::{
    filled::{self, Place},
    pool::{EncodedPage, EncodedPart},
};
use crate::model::{BBox, Rotation, Skew};

/// Colours of the parts, used in turn.
const COLOURS: [Rgb<u8>; 4] = [Rgb([0, 110, 220]), Rgb([0, 150, 70]), Rgb([200, 90, 0]), Rgb([140, 0, 180])];
const RULE: Rgb<u8> = Rgb([230, 0, 0]);
/// Thickness of lines, in thousandths of the picture's width.
const THICKNESS: f32 = 3.0;
/// The strokes of a seven-segment digit: left, top, right, bottom in a field of 4 by 8.
const STROKES: [[i32; 4]; 7] =
    [[0, 0, 4, 1], [3, 0, 4, 4], [3, 4, 4, 8], [0, 7, 4, 8], [0, 4, 1, 8], [0, 0, 1, 4], [0, 4, 4, 5]];
/// Which strokes each digit has.
const DIGITS: [u8; 10] = [0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f];

/// Draws over `page`, a PNG of the page as it is displayed. Every part has a frame, its number in reading order and, if
/// it was rotated, an arrow towards its upper side. The number of a blank part is grey.
///
/// # Errors
/// The page is not a PNG, or the picture cannot be encoded.
pub fn overlay(page: &[u8], drawn: &EncodedPage) -> Result<Vec<u8>, ImageError> {
    let mut picture = image::load_from_memory_with_format(page, ImageFormat::Png)?.into_rgb8();
    let canvas = Canvas::of(&picture, drawn.layout.skew_taken_out());
    for (place, part) in drawn.parts.iter().enumerate() {
        canvas.frame(&mut picture, part, place, COLOURS[place % COLOURS.len()]);
    }
    if let Some(divide) = drawn.layout.columns.divide {
        let end = |x: u16, y: u16| {
            let point = BBox { left: x, top: y, right: x, bottom: y }.turned(drawn.layout.turn.inverse());
            canvas.at(point.left, point.top)
        };
        canvas.line(&mut picture, end(divide.x_top, divide.top), end(divide.x_bottom, divide.bottom), RULE);
    }
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}

/// Converts thousandths of the page to pixels of the picture.
struct Canvas {
    width: f32,
    height: f32,
    skew: Skew,
}

impl Canvas {
    fn of(picture: &RgbImage, skew: Skew) -> Canvas {
        Canvas { width: picture.width() as f32, height: picture.height() as f32, skew }
    }

    /// The position in the picture of a point of the straightened page.
    fn at(&self, x: u16, y: u16) -> (f32, f32) {
        let unit = |value: u16| f32::from(value) / f32::from(BBox::SCALE) - 0.5;
        let (x, y) = (unit(x) * self.width, unit(y) * self.height);
        let (sine, cosine) = self.skew.degrees().to_radians().sin_cos();
        (x * cosine - y * sine + self.width / 2.0, x * sine + y * cosine + self.height / 2.0)
    }

    fn thickness(&self) -> f32 {
        (self.width / 1000.0 * THICKNESS).max(1.0)
    }

    fn frame(&self, picture: &mut RgbImage, part: &EncodedPart, place: usize, colour: Rgb<u8>) {
        let BBox { left, top, right, bottom } = part.place;
        let corners = [self.at(left, top), self.at(right, top), self.at(right, bottom), self.at(left, bottom)];
        for corner in 0..corners.len() {
            self.line(picture, corners[corner], corners[(corner + 1) % corners.len()], colour);
        }
        let middle = self.at(left / 2 + right / 2, top / 2 + bottom / 2);
        let colour = if part.blank { Rgb([128, 128, 128]) } else { colour };
        self.number(picture, middle, place + 1, colour);
        if part.shown.turn != Rotation::None {
            self.arrow(picture, middle, part.shown.turn, colour);
        }
    }

    /// A line as a thin polygon.
    fn line(&self, picture: &mut RgbImage, from: (f32, f32), to: (f32, f32), colour: Rgb<u8>) {
        let (along, down) = (to.0 - from.0, to.1 - from.1);
        let length = along.hypot(down).max(1.0);
        let half = self.thickness() / 2.0;
        let (across, up) = (-down / length * half, along / length * half);
        let corner =
            |end: (f32, f32), side: f32| -> Place { ((end.0 + side * across) as i32, (end.1 + side * up) as i32) };
        filled::polygon(picture, &[corner(from, 1.0), corner(to, 1.0), corner(to, -1.0), corner(from, -1.0)], colour);
    }

    fn number(&self, picture: &mut RgbImage, middle: (f32, f32), number: usize, colour: Rgb<u8>) {
        let unit = (self.thickness() * 2.0) as i32;
        let digits: Vec<usize> = number.to_string().bytes().map(|digit| usize::from(digit - b'0')).collect();
        for (place, digit) in digits.into_iter().enumerate() {
            let left = middle.0 as i32 + place as i32 * 5 * unit;
            for (stroke, [x, y, right, bottom]) in STROKES.iter().enumerate() {
                if DIGITS[digit] >> stroke & 1 == 1 {
                    let size = ((right - x) * unit, (bottom - y) * unit);
                    let corner = (left + x * unit, middle.1 as i32 + y * unit);
                    filled::rectangle(picture, corner, (size.0.max(1), size.1.max(1)), colour);
                }
            }
        }
    }

    /// An arrow towards the side that is up after the part is rotated.
    fn arrow(&self, picture: &mut RgbImage, (x, y): (f32, f32), turn: Rotation, colour: Rgb<u8>) {
        // A rotation to the right brings the left side up.
        let (along, down) = match turn {
            Rotation::None => (0.0, -1.0),
            Rotation::Right => (-1.0, 0.0),
            Rotation::Half => (0.0, 1.0),
            Rotation::Left => (1.0, 0.0),
        };
        let reach = self.thickness() * 40.0;
        let tip = (x + along * reach, y + down * reach);
        self.line(picture, (x, y), tip, colour);
        let wing = |side: f32| {
            let (x, y) = (tip.0 - (along - side * down) * reach / 4.0, tip.1 - (down + side * along) * reach / 4.0);
            (x as i32, y as i32)
        };
        filled::polygon(picture, &[(tip.0 as i32, tip.1 as i32), wing(0.5), wing(-0.5)], colour);
    }
}
