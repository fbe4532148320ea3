//! Reads a PNG's size and resolution, and whether it is complete, without decompressing it.

use crate::model::PixelSize;

/// Pillow's limit on the pixels of an image, which vLLM inherits.
const MAX_PIXELS: u64 = 178_956_970;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A PNG as received.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The encoded bytes.
    pub png: Vec<u8>,
    /// Size in pixels.
    pub size: PixelSize,
    /// Dots per inch, where the file has them.
    pub dpi: Option<f32>,
}

/// Why bytes are no picture, in the words of the real server's image library.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPicture {
    /// The bytes are not a PNG.
    #[error("cannot identify image file <_io.BytesIO object> (a stand-in takes PNG only)")]
    Unknown,
    /// The end of the PNG is missing.
    #[error("image file is truncated")]
    Truncated,
    /// The PNG has more pixels than the limit.
    #[error("Image size ({0} pixels) exceeds limit of {MAX_PIXELS} pixels, could be decompression bomb DOS attack.")]
    TooLarge(u64),
}

impl Picture {
    /// Reads the chunks of a PNG.
    ///
    /// # Errors
    /// The bytes are not a PNG, the PNG is incomplete, or it has too many pixels.
    pub fn from_png(png: Vec<u8>) -> Result<Self, NoPicture> {
        let mut rest = png.strip_prefix(SIGNATURE).ok_or(NoPicture::Unknown)?;
        let mut size = None;
        let mut dpi = None;
        loop {
            let (kind, body, after) = chunk(rest).ok_or(NoPicture::Truncated)?;
            match kind {
                b"IHDR" => size = header(body),
                b"pHYs" => dpi = resolution(body),
                b"IEND" => break,
                _ => {}
            }
            rest = after;
        }
        let size = size.ok_or(NoPicture::Unknown)?;
        if size.area() > MAX_PIXELS {
            return Err(NoPicture::TooLarge(size.area()));
        }
        Ok(Picture { png, size, dpi })
    }
}

/// Type and body of the first chunk, and the bytes after it; `None` where the bytes end within the chunk.
fn chunk(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_at_checked(4)?;
    let (body, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((kind, body, rest.get(4..)?))
}

fn header(body: &[u8]) -> Option<PixelSize> {
    let (width, rest) = body.split_first_chunk::<4>()?;
    let (height, _) = rest.split_first_chunk::<4>()?;
    let size = PixelSize { width: u32::from_be_bytes(*width), height: u32::from_be_bytes(*height) };
    (size.width > 0 && size.height > 0).then_some(size)
}

/// Dots per inch of a `pHYs` chunk, which counts pixels per metre.
fn resolution(body: &[u8]) -> Option<f32> {
    let (per_metre, rest) = body.split_first_chunk::<4>()?;
    let metres = rest.get(4) == Some(&1);
    metres.then(|| u32::from_be_bytes(*per_metre) as f32 * 0.0254).filter(|dpi| *dpi >= 1.0)
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageFormat};

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        GrayImage::new(width, height).write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_png_tells_its_size() {
        let picture = Picture::from_png(png(31, 7)).unwrap();
        assert_eq!(picture.size, PixelSize { width: 31, height: 7 });
        assert_eq!(picture.dpi, None);
    }

    #[test]
    fn a_cut_png_is_truncated_and_junk_is_unknown() {
        let whole = png(64, 64);
        assert_eq!(Picture::from_png(whole[..whole.len() / 2].to_vec()).unwrap_err(), NoPicture::Truncated);
        assert_eq!(Picture::from_png(whole[..whole.len() - 1].to_vec()).unwrap_err(), NoPicture::Truncated);
        assert_eq!(Picture::from_png(b"%PDF-1.4".to_vec()).unwrap_err(), NoPicture::Unknown);
        assert_eq!(Picture::from_png(Vec::new()).unwrap_err(), NoPicture::Unknown);
    }

    #[test]
    fn a_resolution_is_turned_into_dots_per_inch() {
        let body = [&7559_u32.to_be_bytes()[..], &7559_u32.to_be_bytes()[..], &[1]].concat();
        assert!((resolution(&body).unwrap() - 192.0).abs() < 0.1);
        assert_eq!(resolution(&[0; 9]), None);
    }

    #[test]
    fn a_decompression_bomb_is_refused_by_its_header() {
        let mut bytes = SIGNATURE.to_vec();
        for (kind, body) in
            [(b"IHDR", [14_000_u32.to_be_bytes(), 14_000_u32.to_be_bytes()].concat()), (b"IEND", vec![])]
        {
            bytes.extend((body.len() as u32).to_be_bytes());
            bytes.extend(kind);
            bytes.extend(body);
            bytes.extend([0; 4]);
        }
        assert_eq!(Picture::from_png(bytes).unwrap_err(), NoPicture::TooLarge(196_000_000));
    }
}
