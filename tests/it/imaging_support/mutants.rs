//! Damaged PDFs, the same for the same seed.

use oorandom::Rand32;

/// Numbers that lead a reader astray.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1",
    "2",
    "255",
    "32768",
    "65536",
    "2147483647",
    "-2147483648",
    "4294967296",
    "99999999999999999999",
    "0.00001",
    "1e9",
    "-0.5",
];
/// Keys whose number, array or reference is worth changing.
const KEYS: [&str; 26] = [
    "/Width",
    "/Height",
    "/BitsPerComponent",
    "/Kids",
    "/Count",
    "/Length",
    "/Length1",
    "/MediaBox",
    "/CropBox",
    "/UserUnit",
    "/Rotate",
    "/BBox",
    "/Matrix",
    "/Size",
    "/First",
    "/N",
    "/Index",
    "/W",
    "/Prev",
    "/Columns",
    "/Rows",
    "/K",
    "/Predictor",
    "/Domain",
    "/Decode",
    "/Parent",
];
const FILTERS: [&str; 9] = [
    "/FlateDecode",
    "/LZWDecode",
    "/ASCIIHexDecode",
    "/ASCII85Decode",
    "/RunLengthDecode",
    "/DCTDecode",
    "/JPXDecode",
    "/CCITTFaxDecode",
    "/JBIG2Decode",
];

/// A copy of `file` with one to four wounds.
pub fn mutant(file: &[u8], random: &mut Rand32) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..random.rand_range(1..5) {
        match random.rand_range(0..10) {
            0 | 1 => flip(&mut bytes, random),
            2 => {
                let chunk = range(&bytes, random);
                bytes.drain(chunk);
            }
            3 => {
                let chunk = bytes[range(&bytes, random)].to_vec();
                let at = place(&bytes, random);
                bytes.splice(at..at, chunk);
            }
            4 => {
                let chunk = range(&bytes, random);
                let other = place(&bytes, random).min(bytes.len() - chunk.len());
                (0..chunk.len()).for_each(|i| bytes.swap(chunk.start + i, other + i));
            }
            5 => bytes.truncate(place(&bytes, random)),
            6 => renumber(&mut bytes, 0, random),
            7 | 8 => {
                let key = KEYS[random.rand_range(0..KEYS.len() as u32) as usize];
                if let Some(at) = one_of(&bytes, key.as_bytes(), random) {
                    renumber(&mut bytes, at + key.len(), random);
                }
            }
            _ => {
                let [old, new] = [(); 2].map(|()| FILTERS[random.rand_range(0..FILTERS.len() as u32) as usize]);
                if let Some(at) = one_of(&bytes, old.as_bytes(), random) {
                    bytes.splice(at..at + old.len(), new.bytes());
                }
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

fn place(bytes: &[u8], random: &mut Rand32) -> usize {
    random.rand_range(0..bytes.len() as u32) as usize
}

/// Up to a kilobyte, or a tenth of the file.
fn range(bytes: &[u8], random: &mut Rand32) -> std::ops::Range<usize> {
    let start = place(bytes, random);
    let most = if random.rand_range(0..2) == 0 { 64 } else { (bytes.len() / 10).max(1024) };
    start..(start + 1 + random.rand_range(0..most as u32) as usize).min(bytes.len())
}

fn flip(bytes: &mut [u8], random: &mut Rand32) {
    for _ in 0..random.rand_range(1..21) {
        let at = place(bytes, random);
        bytes[at] = random.rand_u32() as u8;
    }
}

/// A place where `word` stands.
fn one_of(bytes: &[u8], word: &[u8], random: &mut Rand32) -> Option<usize> {
    let places: Vec<usize> =
        bytes.windows(word.len()).enumerate().filter(|(_, it)| *it == word).map(|(at, _)| at).collect();
    (!places.is_empty()).then(|| places[random.rand_range(0..places.len() as u32) as usize])
}

/// Exchanges a number: the first after `from`, or any if that is 0.
fn renumber(bytes: &mut Vec<u8>, from: usize, random: &mut Rand32) {
    let from = if from == 0 { place(bytes, random) } else { from };
    let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit).map(|at| from + at) else { return };
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = NUMBERS[random.rand_range(0..NUMBERS.len() as u32) as usize];
    bytes.splice(start..start + length, number.bytes());
}
