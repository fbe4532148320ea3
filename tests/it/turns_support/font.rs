//! Faces for made pages: the standard fonts of PDF, and TrueType files.

use std::collections::BTreeMap;

/// A face.
pub enum Face {
    /// One of the 14 standard fonts, by its name: not in the file, drawn with PDFium's own.
    Standard(&'static str),
    /// A TrueType font that is put into the file.
    File(TrueType),
}

/// The text faces of the standard fonts.
pub const STANDARD: [&str; 12] = [
    "Helvetica",
    "Helvetica-Bold",
    "Helvetica-Oblique",
    "Helvetica-BoldOblique",
    "Times-Roman",
    "Times-Bold",
    "Times-Italic",
    "Times-BoldItalic",
    "Courier",
    "Courier-Bold",
    "Courier-Oblique",
    "Courier-BoldOblique",
];

impl Face {
    /// Width of a text in ems; of a standard font about that.
    pub fn width(&self, text: &str) -> f32 {
        match self {
            Face::Standard(name) => text.chars().map(|char| standard_width(name, char)).sum(),
            Face::File(font) => text.chars().map(|char| font.advance(font.glyph(char).unwrap_or(0))).sum(),
        }
    }

    /// Whether it has all letters of the text.
    pub fn has(&self, text: &str) -> bool {
        match self {
            Face::Standard(_) => text.chars().all(|char| (char as u32) < 256),
            Face::File(font) => text.chars().all(|char| font.glyph(char).is_some()),
        }
    }
}

fn standard_width(name: &str, char: char) -> f32 {
    match char {
        _ if name.starts_with("Courier") => 0.6,
        '.' | ',' | ' ' | ':' | '\'' | 'i' | 'l' | 'j' => 0.27,
        'A'..='Z' | 'm' | 'w' => 0.72,
        _ if name.starts_with("Times") => 0.48,
        _ => 0.556,
    }
}

/// A font file with the glyphs of its letters.
pub struct TrueType {
    /// The file.
    pub bytes: Vec<u8>,
    glyphs: BTreeMap<char, u16>,
    /// Advance widths in ems.
    advances: Vec<f32>,
}

impl TrueType {
    /// Reads a font; `None` if it has no table of Unicode characters of format 4.
    pub fn read(bytes: Vec<u8>) -> Option<TrueType> {
        let table = |tag: &[u8]| {
            let entry = (0..word(&bytes, 4)?).map(|index| 12 + 16 * usize::from(index));
            let at = entry.into_iter().find(|at| bytes.get(*at..at + 4) == Some(tag))?;
            Some(long(&bytes, at + 8)? as usize)
        };
        let (head, hhea, hmtx, cmap) = (table(b"head")?, table(b"hhea")?, table(b"hmtx")?, table(b"cmap")?);
        let em = f32::from(word(&bytes, head + 18)?);
        let count = usize::from(word(&bytes, hhea + 34)?);
        let advances = (0..count).map(|glyph| Some(f32::from(word(&bytes, hmtx + 4 * glyph)?) / em));
        let advances = advances.collect::<Option<Vec<f32>>>()?;
        let subtables = (0..usize::from(word(&bytes, cmap + 2)?)).map(|index| cmap + 4 + 8 * index);
        let unicode = subtables
            .filter(|at| matches!((word(&bytes, *at), word(&bytes, at + 2)), (Some(0), _) | (Some(3), Some(1))))
            .filter_map(|at| Some(cmap + long(&bytes, at + 4)? as usize))
            .find(|at| word(&bytes, *at) == Some(4))?;
        let glyphs = format_four(&bytes, unicode)?;
        Some(TrueType { bytes, glyphs, advances })
    }

    /// The glyph of a letter.
    pub fn glyph(&self, char: char) -> Option<u16> {
        self.glyphs.get(&char).copied()
    }

    /// Advance width of a glyph in ems.
    pub fn advance(&self, glyph: u16) -> f32 {
        self.advances.get(usize::from(glyph)).or(self.advances.last()).copied().unwrap_or(0.5)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The glyphs of a `cmap` of format 4.
fn format_four(bytes: &[u8], at: usize) -> Option<BTreeMap<char, u16>> {
    let double = usize::from(word(bytes, at + 6)?);
    let mut glyphs = BTreeMap::new();
    for segment in (0..double).step_by(2) {
        let field = |array: usize| at + 14 + array * double + if array > 0 { 2 } else { 0 } + segment;
        let [end, start, delta, offset] = [0, 1, 2, 3].map(|array| word(bytes, field(array)));
        let (end, start, delta, offset) = (end?, start?, delta?, usize::from(offset?));
        for code in start..=end.min(0xfffe) {
            let glyph = match offset {
                0 => code.wrapping_add(delta),
                _ => match word(bytes, field(3) + offset + 2 * usize::from(code - start))? {
                    0 => 0,
                    glyph => glyph.wrapping_add(delta),
                },
            };
            if let (Some(char), 1..) = (char::from_u32(code.into()), glyph) {
                glyphs.insert(char, glyph);
            }
        }
    }
    Some(glyphs)
}
