//! Whether the data of a stream are whole.

use flate2::{Decompress, FlushDecompress, Status};
use hayro_syntax::{Filter, object::Stream};

/// Bytes of zero in a row that no text has, and compressed data rarely. A copy that was cut off has whole disk blocks of them.
const HOLE: usize = 512;
/// Bytes that are inflated at once.
const PIECE: usize = 1 << 16;
/// Most bytes that are inflated of one stream; a longer one counts as whole.
const MOST_INFLATED: u64 = 1 << 30;
/// Bytes of the zlib header before the deflated data.
const ZLIB_HEADER: usize = 2;

/// The data of a stream of operators; `None` if they are damaged.
pub(super) fn operators(stream: &Stream<'_>) -> Option<Vec<u8>> {
    let decoded = is_whole(stream).then(|| stream.decoded_data().ok()).flatten()?;
    (!has_hole(&decoded)).then(|| decoded.into_owned())
}

/// Whether data that are compressed without loss, or not at all, are whole.
pub(super) fn is_whole(stream: &Stream<'_>) -> bool {
    let raw = stream.raw_data();
    if raw.is_empty() {
        return !is_shorter_than_said(stream, 0);
    }
    match stream.filters().as_slice() {
        [] => !is_shorter_than_said(stream, raw.len() as u64),
        [Filter::FlateDecode] => inflates(&raw),
        _ => stream.decoded_data().is_ok(),
    }
}

/// Whether data are shorter than the stream's dictionary says.
fn is_shorter_than_said(stream: &Stream<'_>, bytes: u64) -> bool {
    // The end of a line may count or not.
    stream.dict().get::<u32>("Length").is_some_and(|said| u64::from(said) > bytes + 2)
}

/// Whether the data have a run of zeros.
pub(super) fn has_hole(data: &[u8]) -> bool {
    let zeros = |bytes: &mut dyn Iterator<Item = &u8>| bytes.take_while(|byte| **byte == 0).count();
    // Such a run covers one of these places.
    let mut places = (HOLE - 1..data.len()).step_by(HOLE).filter(|place| data[*place] == 0);
    places.any(|place| zeros(&mut data[..place].iter().rev()) + zeros(&mut data[place..].iter()) >= HOLE)
}

/// Whether deflated data have their end. Their checksum counts only where they have a hole: some producers write a wrong
/// one, and a run of zeros may be what is deflated.
fn inflates(data: &[u8]) -> bool {
    let with_checksum = has_hole(data);
    let Some(deflated) = data.get(if with_checksum { 0 } else { ZLIB_HEADER }..) else { return false };
    let mut inflate = Decompress::new(with_checksum);
    let mut piece = vec![0; PIECE];
    while inflate.total_out() < MOST_INFLATED {
        let (read, written) = (inflate.total_in(), inflate.total_out());
        let rest = usize::try_from(read).ok().and_then(|read| deflated.get(read..)).unwrap_or_default();
        match inflate.decompress(rest, &mut piece, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return true,
            Ok(_) if (inflate.total_in(), inflate.total_out()) != (read, written) => {}
            Ok(_) | Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::ZlibEncoder};
    use std::io::Write;

    #[test]
    fn a_hole_is_found_wherever_it_begins() {
        for begin in 0..2 * HOLE {
            let mut data = vec![1; 4 * HOLE];
            data[begin..begin + HOLE].fill(0);
            assert!(has_hole(&data), "{begin}");
            data[begin + HOLE / 3] = 1;
            assert!(!has_hole(&data), "{begin}");
        }
        assert!(has_hole(&[0; HOLE]) && !has_hole(&[0; HOLE - 1]));
    }

    #[test]
    fn deflated_data_need_their_end_and_not_their_checksum() {
        let text: Vec<u8> = (0..90_000u32).flat_map(|number| number.to_string().into_bytes()).collect();
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&text).unwrap();
        let mut deflated = encoder.finish().unwrap();
        assert!(inflates(&deflated));
        let end = deflated.len() - 1;
        deflated[end] ^= 0xFF;
        assert!(inflates(&deflated), "only the checksum is wrong");
        assert!(!inflates(&deflated[..end / 2]), "cut");
        deflated[end / 2..end / 2 + 4096].fill(0);
        assert!(!inflates(&deflated), "a hole");
        assert!(!inflates(&[0; 110]), "zeros only");
        assert!(!inflates(&[]), "nothing");
    }
}
