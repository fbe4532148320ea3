//! A page that is drawn with lines and text, as a PDF; and a picture as a PDF, as a scanner writes it.

use std::{collections::BTreeSet, fmt::Write as _};

use super::font::Face;
use page_image::Pixels;

/// A page under way. Places are in points from its upper left corner.
pub struct Drawing<'a> {
    pub width: f32,
    pub height: f32,
    faces: Vec<&'a Face>,
    /// Glyphs of each face that are used.
    used: Vec<BTreeSet<u16>>,
    content: String,
}

impl<'a> Drawing<'a> {
    pub fn new(width: f32, height: f32) -> Self {
        Drawing { width, height, faces: Vec::new(), used: Vec::new(), content: String::new() }
    }

    /// Writes a text whose base line begins at `x`, `y`.
    pub fn text(&mut self, face: &'a Face, size: f32, x: f32, y: f32, text: &str) {
        self.write(face, size, [1.0, 0.0, 0.0, 1.0, x, self.height - y], text);
    }

    /// Writes a text that ends at `x`.
    pub fn text_to(&mut self, face: &'a Face, size: f32, x: f32, y: f32, text: &str) {
        self.text(face, size, x - size * face.width(text), y, text);
    }

    /// Writes a text that runs upwards.
    pub fn text_upwards(&mut self, face: &'a Face, size: f32, x: f32, y: f32, text: &str) {
        self.write(face, size, [0.0, 1.0, -1.0, 0.0, x, self.height - y], text);
    }

    fn write(&mut self, face: &'a Face, size: f32, matrix: [f32; 6], text: &str) {
        let number = self.faces.iter().position(|known| std::ptr::eq(*known, face)).unwrap_or_else(|| {
            self.faces.push(face);
            self.used.push(BTreeSet::new());
            self.faces.len() - 1
        });
        let mut codes = String::new();
        for char in text.chars() {
            match face {
                Face::Standard(_) => write!(codes, "{:02x}", char as u32 & 0xff).unwrap(),
                Face::File(font) => {
                    let glyph = font.glyph(char).unwrap_or(0);
                    self.used[number].insert(glyph);
                    write!(codes, "{glyph:04x}").unwrap();
                }
            }
        }
        let [a, b, c, d, x, y] = matrix;
        writeln!(self.content, "BT /F{number} {size} Tf {a} {b} {c} {d} {x} {y} Tm <{codes}> Tj ET").unwrap();
    }

    /// Draws a line.
    pub fn line(&mut self, from: (f32, f32), to: (f32, f32), thickness: f32) {
        let height = self.height;
        let (x, y, to_x, to_y) = (from.0, height - from.1, to.0, height - to.1);
        writeln!(self.content, "{thickness} w {x} {y} m {to_x} {to_y} l S").unwrap();
    }

    /// Fills a rectangle with a grey from 0.0 (black) to 1.0.
    pub fn bar(&mut self, left: f32, top: f32, width: f32, height: f32, grey: f32) {
        let bottom = self.height - top - height;
        writeln!(self.content, "{grey} g {left} {bottom} {width} {height} re f 0 g").unwrap();
    }

    /// The page as a PDF.
    pub fn pdf(&self) -> Vec<u8> {
        let mut objects: Vec<Vec<u8>> = Vec::new();
        let mut fonts = String::new();
        // Objects 1 to 4 are the catalogue, the pages, the page and its content.
        for (number, (face, used)) in self.faces.iter().zip(&self.used).enumerate() {
            let first = 5 + objects.len();
            write!(fonts, "/F{number} {first} 0 R").unwrap();
            match face {
                Face::Standard(name) => objects.push(
                    format!("<</Type/Font/Subtype/Type1/BaseFont/{name}/Encoding/WinAnsiEncoding>>").into_bytes(),
                ),
                Face::File(font) => {
                    let widths: String =
                        used.iter().map(|glyph| format!("{glyph}[{}]", 1000.0 * font.advance(*glyph))).collect();
                    let (cid, descriptor, file) = (first + 1, first + 2, first + 3);
                    objects.push(
                        format!(
                            "<</Type/Font/Subtype/Type0/BaseFont/Made/Encoding/Identity-H/DescendantFonts[{cid} 0 R]>>"
                        )
                        .into_bytes(),
                    );
                    objects.push(
                        format!(
                            "<</Type/Font/Subtype/CIDFontType2/BaseFont/Made/CIDToGIDMap/Identity/W[{widths}]\
                             /CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/FontDescriptor {descriptor} 0 R>>"
                        )
                        .into_bytes(),
                    );
                    objects.push(
                        format!(
                            "<</Type/FontDescriptor/FontName/Made/Flags 4/FontBBox[0 -300 1000 1000]/ItalicAngle 0\
                             /Ascent 900/Descent -300/StemV 80/FontFile2 {file} 0 R>>"
                        )
                        .into_bytes(),
                    );
                    objects.push(stream("", &font.bytes));
                }
            }
        }
        objects.insert(0, stream("", self.content.as_bytes()));
        page_of(self.width, self.height, &format!("/Font<<{fonts}>>"), &objects)
    }
}

/// How a scanner keeps the levels of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    Grey,
    /// Black where a level is less than this.
    Bilevel(u8),
}

/// A grey picture over the whole of a page.
pub fn scan(picture: &Pixels, dpi: f32, levels: Levels) -> Vec<u8> {
    assert!(picture.grey, "pictures are made in grey");
    let (across, down) = (picture.size.width as usize, picture.size.height as usize);
    let (bits, bytes) = match levels {
        Levels::Grey => (8, picture.bytes.clone()),
        Levels::Bilevel(threshold) => {
            // Plain loops: in a development build each closure costs more than what it does.
            let mut packed = Vec::with_capacity(picture.bytes.len() / 8 + down);
            for row in picture.bytes.chunks(across) {
                for eight in row.chunks(8) {
                    let mut byte = 0;
                    for (place, level) in eight.iter().enumerate() {
                        byte |= u8::from(*level >= threshold) << (7 - place);
                    }
                    packed.push(byte);
                }
            }
            (1, packed)
        }
    };
    let image = format!(
        "/Type/XObject/Subtype/Image/Width {across}/Height {down}/ColorSpace/DeviceGray/BitsPerComponent {bits}"
    );
    let (width, height) = (across as f32 * 72.0 / dpi, down as f32 * 72.0 / dpi);
    let content = format!("q {width} 0 0 {height} 0 0 cm /I Do Q");
    let objects = [stream("", content.as_bytes()), stream(&image, &bytes)];
    page_of(width, height, "/XObject<</I 5 0 R>>", &objects)
}

fn stream(entries: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!("<<{entries}/Length {}>>stream\n", bytes.len()).into_bytes();
    [&head[..], bytes, b"\nendstream"].concat()
}

/// A document of one page, whose content is the first of `objects`; they have the numbers from 4 on.
fn page_of(width: f32, height: f32, resources: &str, objects: &[Vec<u8>]) -> Vec<u8> {
    let head = [
        "<</Type/Catalog/Pages 2 0 R>>".into(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".into(),
        format!("<</Type/Page/Parent 2 0 R/MediaBox[0 0 {width} {height}]/Contents 4 0 R/Resources<<{resources}>>>>"),
    ];
    let head = head.map(String::into_bytes);
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut places = Vec::new();
    for (index, object) in head.iter().chain(objects).enumerate() {
        places.push(file.len());
        file.extend(format!("{} 0 obj", index + 1).into_bytes());
        file.extend(object);
        file.extend(b"\nendobj\n");
    }
    let start = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", places.len() + 1).into_bytes());
    places.iter().for_each(|place| file.extend(format!("{place:010} 00000 n \n").into_bytes()));
    let size = places.len() + 1;
    file.extend(format!("trailer<</Root 1 0 R/Size {size}>>\nstartxref\n{start}\n%%EOF\n").into_bytes());
    file
}
