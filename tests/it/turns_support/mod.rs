//! Made upright pages of figures and leaders, and scans of pages.

pub mod arabic;
pub mod drawing;
pub mod font;
pub mod kinds;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use oorandom::Rand32;

use self::{
    drawing::Drawing,
    font::{Face, STANDARD, TrueType},
    kinds::{Head, Kind, Maker},
};

/// The faces of made pages: of all kinds, and of Arabic ones.
pub struct Faces(Vec<Face>);

impl Faces {
    /// The standard fonts, DejaVu, and the fonts in the folder that `BOCR_TURNS_FONTS` names.
    pub fn find() -> Faces {
        let read = |bytes: Vec<u8>| TrueType::read(bytes).map(Face::File);
        let dejavu = [dejavu::sans::regular(), dejavu::sans::bold(), dejavu::sans_condensed::regular()];
        let mut paths: Vec<PathBuf> = env::var_os("BOCR_TURNS_FONTS")
            .map_or(Vec::new(), |folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect());
        paths.sort();
        let named = paths.iter().map(|path| read(fs::read(path).unwrap()));
        let standard = STANDARD.into_iter().map(Face::Standard);
        Faces(standard.chain(dejavu.iter().filter_map(|bytes| read(bytes.to_vec()))).chain(named.flatten()).collect())
    }

    fn with(&self, letters: &str) -> Vec<&Face> {
        self.0.iter().filter(|face| face.has(letters)).collect()
    }

    /// How many have French letters and figures, and how many Arabic letters.
    pub fn counts(&self) -> [usize; 2] {
        [self.with("éà09.,").len(), self.with(&arabic::all_forms()).len()]
    }
}

/// A made page.
pub struct Made {
    pub kind: Kind,
    /// The drawn page.
    pub pdf: Vec<u8>,
}

/// The page with this index of this seed.
pub fn make(seed: u64, index: u64, faces: &Faces) -> Made {
    let mut random = Rand32::new(seed << 32 | index);
    let kind = Kind::ALL[index as usize % Kind::ALL.len()];
    let faces = if kind.is_arabic() { faces.with(&arabic::all_forms()) } else { faces.with("éà09.,") };
    let face = faces[random.rand_range(0..faces.len() as u32) as usize];
    let head = [Head::None, Head::Small, Head::Gazette][random.rand_range(0..3) as usize];
    let size = random.rand_range(14..23) as f32 / 2.0;
    let leading = size * random.rand_range(115..150) as f32 / 100.0;
    let is_landscape = random.rand_range(0..10) == 0;
    let (width, height) = if is_landscape { (842.0, 595.0) } else { (595.0, 842.0) };
    let bottom = height - random.rand_range(50..250) as f32;
    let mut maker = Maker { random, drawing: Drawing::new(width, height), face, size, leading, top: 0.0, bottom };
    maker.head(head, kind.is_arabic());
    maker.body(kind);
    Made { kind, pdf: maker.drawing.pdf() }
}

/// Writes a file into a folder.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}
