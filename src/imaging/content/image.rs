//! Whether an image is whole.

use hayro_syntax::{
    Filter,
    object::{Array, Dict, Name, Object, Stream, stream::ImageDecodeParams},
};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, options::DecoderOptions},
};

use super::{missing::Missing, stream};

/// Larger images are not decoded here; PDFium refuses images that do not fit into memory.
const MOST_PIXELS: u64 = 1 << 28;
/// Share of a bilevel image's bytes that a decoder may leave over. Some producers append a kilobyte of their own.
const LEFT_OVER: f64 = 0.5;
/// Share of the rows of a bilevel image that a decoder must find.
const ROWS: f64 = 0.99;
/// Bytes at the end of a photograph in which its end marker is looked for.
const TAIL: usize = 4096;

/// What of an image, or of its mask, cannot be drawn.
pub(super) fn missing(image: &Stream<'_>) -> Option<Missing> {
    let mask = image.dict().get::<Stream<'_>>("SMask");
    [Some(image), mask.as_ref()].into_iter().flatten().find_map(damaged).map(Missing::Image)
}

/// The compression of an image that is damaged; `None` if it is whole.
fn damaged(image: &Stream<'_>) -> Option<&'static str> {
    let size = Size::of(image.dict());
    if size.pixels() > MOST_PIXELS {
        return None;
    }
    let filters = image.filters();
    let Some(last) = filters.last() else { return (!is_uncompressed_whole(image, size)).then_some("uncompressed") };
    let (name, whole) = match last {
        Filter::CcittFaxDecode => ("CCITT", filters.len() > 1 || is_fax_whole(image, size)),
        Filter::Jbig2Decode => ("JBIG2", filters.len() > 1 || is_jbig2_whole(image)),
        Filter::DctDecode => ("JPEG", filters.len() > 1 || is_jpeg_whole(&image.raw_data())),
        Filter::JpxDecode => ("JPEG 2000", filters.len() > 1 || is_jpx_whole(image, size)),
        _ => ("Flate", stream::is_whole(image)),
    };
    (!whole).then_some(name)
}

/// Width and height in pixels.
#[derive(Debug, Clone, Copy)]
struct Size {
    width: u32,
    height: u32,
}

impl Size {
    fn of(image: &Dict<'_>) -> Size {
        let side = |long, short| image.get::<u32>(long).or_else(|| image.get(short)).unwrap_or(0);
        Size { width: side("Width", "W"), height: side("Height", "H") }
    }

    fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// An uncompressed image has at least the bytes of one component.
fn is_uncompressed_whole(image: &Stream<'_>, size: Size) -> bool {
    let bits = image.dict().get::<u32>("BitsPerComponent").unwrap_or(1);
    let row = (u64::from(size.width) * u64::from(bits)).div_ceil(8);
    image.raw_data().len() as u64 >= row * u64::from(size.height)
}

/// The parameters of the last filter.
fn parameters<'a>(image: &Stream<'a>) -> Dict<'a> {
    let image = image.dict();
    let of_array = || image.get::<Array<'a>>("DecodeParms")?.iter::<Object<'a>>().last()?.into_dict();
    image.get::<Dict<'a>>("DecodeParms").or_else(of_array).unwrap_or_else(Dict::empty)
}

/// The rows that a fax decoder finds.
#[derive(Default)]
struct Rows(u32);

impl hayro_ccitt::Decoder for Rows {
    fn push_row(&mut self, _: &[u32]) {
        self.0 += 1;
    }
}

fn is_fax_whole(image: &Stream<'_>, size: Size) -> bool {
    let (parameters, data) = (parameters(image), image.raw_data());
    let is_set = |name| parameters.get::<bool>(name);
    let settings = hayro_ccitt::DecodeSettings {
        columns: parameters.get::<u32>("Columns").unwrap_or(1728),
        rows: size.height,
        end_of_block: is_set("EndOfBlock").unwrap_or(true),
        end_of_line: is_set("EndOfLine").unwrap_or(false),
        rows_are_byte_aligned: is_set("EncodedByteAlign").unwrap_or(false),
        encoding: match parameters.get::<i32>("K").unwrap_or(0) {
            ..0 => hayro_ccitt::EncodingMode::Group4,
            0 => hayro_ccitt::EncodingMode::Group3_1D,
            _ => hayro_ccitt::EncodingMode::Group3_2D,
        },
        strict: false,
    };
    let mut rows = Rows::default();
    let read = hayro_ccitt::decode(&data, &mut rows, &mut hayro_ccitt::DecoderContext::new(settings));
    // Damaged data often look like the end of the image; then most of them are left over.
    let all_read = read.as_ref().map_or(true, |&read| read as f64 >= data.len() as f64 * LEFT_OVER);
    let is_short = f64::from(rows.0) < f64::from(size.height) * ROWS;
    all_read && !(is_short && read.is_err()) && rows.0 > 0
}

/// Takes the rows of a JBIG2 image, and needs none of them.
struct Ignored;

impl hayro_jbig2::Decoder for Ignored {
    fn push_pixel(&mut self, _: bool) {}

    fn push_pixel_chunk(&mut self, _: bool, _: u32) {}

    fn next_line(&mut self) {}
}

fn is_jbig2_whole(image: &Stream<'_>) -> bool {
    let settings = hayro_jbig2::DecodeSettings { strict: true };
    let parameters = parameters(image);
    let globals = match parameters.get::<Stream<'_>>("JBIG2Globals") {
        None if parameters.contains_key("JBIG2Globals") => return false,
        None => None,
        Some(globals) => {
            let Ok(data) = globals.decoded_data() else { return false };
            let Ok(globals) = hayro_jbig2::Globals::new(&data, &settings) else { return false };
            Some(globals)
        }
    };
    let data = image.raw_data();
    hayro_jbig2::Page::new_embedded(&data, globals.as_ref(), &settings)
        .is_ok_and(|page| page.decode(&mut Ignored).is_ok())
}

/// A photograph is decoded only where its bytes give a reason: its end is missing, or it has a hole.
fn is_jpeg_whole(data: &[u8]) -> bool {
    if stream::has_hole(data) && !may_have_zeros(data) {
        return false;
    }
    let options = DecoderOptions::default().set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(data), options);
    let has_end = data[data.len().saturating_sub(TAIL)..].windows(2).any(|pair| pair == [0xFF, 0xD9]);
    if has_end && !stream::has_hole(data) { decoder.decode_headers().is_ok() } else { decoder.decode().is_ok() }
}

/// Whether a JPEG may have long runs of zeros: its code of zeros ends a block, so that they are an even area, or it is
/// progressive. With the tables of the standard (ITU T.81, annex K) it does not.
fn may_have_zeros(data: &[u8]) -> bool {
    const TABLES: u8 = 0xC4;
    const PROGRESSIVE: u8 = 0xC2;
    const SCAN: u8 = 0xDA;
    /// Class and number of a table, and the number of its codes of each length.
    const HEAD: usize = 17;
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = data.get(at..at + 4) {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let segment = data.get(at + 4..at + 2 + length).unwrap_or_default();
        match marker {
            PROGRESSIVE => return true,
            SCAN => return false,
            TABLES => {
                let mut tables = segment;
                while let Some((head, symbols)) = tables.split_at_checked(HEAD) {
                    let is_of_ac = head[0] >> 4 == 1;
                    // The shortest code is all zeros; the symbol 0 is the end of a block.
                    if is_of_ac && symbols.first() == Some(&0) {
                        return true;
                    }
                    let codes = head[1..].iter().map(|&codes| usize::from(codes)).sum();
                    tables = symbols.get(codes..).unwrap_or_default();
                }
            }
            _ => {}
        }
        at += 2 + length;
    }
    false
}

fn is_jpx_whole(image: &Stream<'_>, size: Size) -> bool {
    let data = image.raw_data();
    let has_end = data[data.len().saturating_sub(TAIL)..].windows(2).any(|pair| pair == [0xFF, 0xD9]);
    let decodes = || {
        let parameters = ImageDecodeParams { width: size.width, height: size.height, ..Default::default() };
        image.decoded_image(&parameters).is_ok()
    };
    has_end && (!stream::has_hole(&data) || decodes())
}

/// Whether a stream is an image.
pub(super) fn is_image(stream: &Stream<'_>) -> bool {
    stream.dict().get::<Name<'_>>("Subtype").as_deref() == Some(b"Image")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A JPEG up to its scan, with a table whose shortest code stands for `symbol`.
    fn jpeg(frame: u8, class: u8, symbol: u8) -> Vec<u8> {
        let mut codes = [0; 16];
        codes[1] = 2;
        let table = [&[0xFF, 0xC4, 0, 21, class << 4], &codes[..], &[symbol, 5]].concat();
        [&[0xFF, 0xD8, 0xFF, frame, 0, 3, 8], &table[..], &[0xFF, 0xDA, 0, 2], &[0; 700]].concat()
    }

    #[test]
    fn a_run_of_zeros_in_a_jpeg_is_a_hole_unless_its_tables_allow_it() {
        assert!(!is_jpeg_whole(&jpeg(0xC0, 1, 0x01)), "the tables of the standard");
        assert!(may_have_zeros(&jpeg(0xC0, 1, 0x00)), "zeros end a block");
        assert!(!may_have_zeros(&jpeg(0xC0, 0, 0x00)), "a table of DC");
        assert!(may_have_zeros(&jpeg(0xC2, 1, 0x01)), "progressive");
        assert!(!may_have_zeros(b"\xFF\xD8\xFF"));
    }
}
