//! Columns are found where a person saw them, on the pages of `tests/data/layout`, which were labelled by looking at them.
//!
//! The pages that travel with the repository are drawn as the search sees them, in cells of 1/96 inch, so that they are
//! neither easier nor harder than the pages themselves. With the gazettes at hand, `BOCR_CORPUS` names their folder and all
//! labelled pages are searched as PDFium draws them.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    borrow::Cow,
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use bulletin_ocr::{
    imaging::{Renderer, find_library},
    model::{BBox, Columns, ColumnsReason, Grid, ImageRule, Language, PageIndex, PixelSize, Region, Scaling, When},
};
use page_image::layout::{Bits, Sheet, columns};
use rayon::prelude::*;

/// Cells to an inch of the pages that travel with the repository, which are what the search itself makes of a page.
const CELLS: f32 = 96.0;
/// As the pages were drawn for those who labelled them.
const FULL: ImageRule = ImageRule {
    dpi: 192.0,
    min_side: 0,
    max_side: None,
    min_pixels: 0,
    max_pixels: 6_291_456,
    grid: Grid::Free,
    scaling: Scaling::Direct,
};
/// Labelled heights are exact to this share of the page's.
const EXACT: f64 = 0.0205;

/// What a person saw on a page.
#[derive(Debug, Clone)]
struct Label {
    file: String,
    page: u32,
    kind: String,
    /// Where the columns begin and end, as shares of the height.
    columns: Option<[f64; 2]>,
    script: Language,
    /// Whether the page travels with the repository.
    drawn: bool,
}

impl Label {
    fn is_divided(&self) -> bool {
        matches!(self.kind.as_str(), "two" | "mixed")
    }

    fn name(&self) -> String {
        format!("{} page {} ({})", self.file, self.page, self.kind)
    }
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/layout")
}

fn labels() -> BTreeMap<String, Vec<Label>> {
    let mut files: BTreeMap<String, Vec<Label>> = BTreeMap::new();
    for line in fs::read_to_string(data().join("labels.tsv")).unwrap().lines().skip(1) {
        let [file, page, kind, top, bottom, _, _, script, _, drawn, _] =
            line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let script = match script {
            "ara" => Language::Arabic,
            "both" => Language::Mixed,
            "none" => Language::Unknown,
            _ => Language::French,
        };
        let columns = top.parse().ok().zip(bottom.parse().ok()).map(|(top, bottom)| [top, bottom]);
        let [file, kind] = [file, kind].map(str::to_owned);
        let label = Label { file, page: page.parse().unwrap(), kind, columns, script, drawn: drawn == "y" };
        files.entry(label.file.clone()).or_default().push(label);
    }
    files
}

/// The pages of a file that travel with the repository, which stand one below the other in one picture.
fn drawn(file: &str, pages: usize) -> Vec<(PixelSize, Vec<u8>)> {
    let picture = image::open(data().join(file).with_extension("png")).unwrap().into_luma8();
    let size = PixelSize { width: picture.width(), height: picture.height() / pages as u32 };
    picture.chunks_exact(size.area() as usize).map(|page| (size, page.to_vec())).collect()
}

type Found = (Label, Columns, Vec<Region>);

fn search(label: &Label, size: PixelSize, dpi: f32, levels: &[u8]) -> Found {
    let sheet = Sheet::new(size, dpi, Cow::Borrowed(levels));
    let (columns, parts) = columns(&sheet, When::Auto, label.script);
    (label.clone(), columns, parts)
}

/// What was found on the pages that travel with the repository.
static DRAWN: LazyLock<Vec<Found>> = LazyLock::new(search_drawn);

fn search_drawn() -> Vec<Found> {
    let files: Vec<_> = labels().into_iter().collect();
    let search_file = |(file, labels): &(String, Vec<Label>)| {
        let labels: Vec<_> = labels.iter().filter(|label| label.drawn).collect();
        let pages = if labels.is_empty() { Vec::new() } else { drawn(file, labels.len()) };
        labels.iter().zip(pages).map(|(label, (size, levels))| search(label, size, CELLS, &levels)).collect::<Vec<_>>()
    };
    files.par_iter().flat_map(search_file).collect()
}

/// Every labelled page of a folder with the gazettes, as PDFium draws it, given to `use_page`.
fn for_each_page(corpus: &Path, mut use_page: impl FnMut(&Label, PixelSize, f32, &[u8])) {
    let renderer = Renderer::load(&find_library(None).unwrap(), 2 << 30).unwrap();
    for (file, labels) in labels() {
        let places = [corpus.join(&file), corpus.join("nasty").join(&file)].map(|path| path.with_extension("pdf"));
        let document = renderer.open(places.iter().find(|path| path.exists()).unwrap(), None).unwrap();
        for label in labels {
            let drawing = document.render(PageIndex(label.page - 1), &FULL).unwrap();
            use_page(&label, drawing.pixels.size, drawing.target.dpi, &drawing.pixels.sheet(drawing.target.dpi).levels);
        }
    }
}

/// Prints how well the pages were divided, and every error; returns precision, recall, and the share of tops and of
/// bottoms that are exact.
fn report(found: &[Found]) -> [f64; 4] {
    let mut counts = BTreeMap::new();
    let mut off = [Vec::new(), Vec::new()];
    for (label, columns, _) in found {
        let is_divided = columns.divide.is_some();
        *counts.entry((label.is_divided(), is_divided)).or_insert(0) += 1;
        if label.is_divided() != is_divided {
            println!("{}: {columns:?}", label.name());
        }
        if let (Some(seen), Some(divide)) = (label.columns, columns.divide) {
            for ((off, seen), found) in off.iter_mut().zip(seen).zip([divide.top, divide.bottom]) {
                off.push((seen - f64::from(found) / f64::from(BBox::SCALE)).abs());
                if off.last().is_some_and(|off| *off > EXACT) {
                    println!("{}: seen at {seen}, found at {found}", label.name());
                }
            }
        }
    }
    let count = |pair| f64::from(*counts.get(&pair).unwrap_or(&0));
    let precision = count((true, true)) / (count((true, true)) + count((false, true)));
    let recall = count((true, true)) / (count((true, true)) + count((true, false)));
    let mean = |off: &[f64]| off.iter().sum::<f64>() / off.len() as f64;
    let exact = |off: &[f64]| off.iter().filter(|off| **off <= EXACT).count() as f64 / off.len() as f64;
    let [tops, bottoms] = &off;
    println!("{} pages: precision {precision:.4}, recall {recall:.4}", found.len());
    println!("top off by {:.4} on the mean, exact {:.4}", mean(tops), exact(tops));
    println!("bottom off by {:.4} on the mean, exact {:.4}", mean(bottoms), exact(bottoms));
    [precision, recall, exact(tops), exact(bottoms)]
}

fn assert_good(found: &[Found]) {
    let [precision, recall, tops, bottoms] = report(found);
    assert!(precision >= 0.99, "{precision}");
    assert!(recall >= 0.99, "{recall}");
    assert!(tops >= 0.95 && bottoms >= 0.95, "{tops} {bottoms}");
}

#[test]
fn the_pages_are_divided_where_a_person_divides_them() {
    assert_good(&DRAWN);
}

#[test]
fn the_parts_cover_the_page_in_reading_order() {
    for (label, columns, parts) in &*DRAWN {
        let name = label.name();
        let boxes: Vec<BBox> = parts.iter().map(|part| part.bbox).collect();
        assert_eq!(columns.divide.is_some(), boxes.len() > 1, "{name}");
        let [first, last] = [boxes[0], boxes[boxes.len() - 1]];
        assert_eq!((first.top, last.bottom), (0, BBox::SCALE), "{name}");
        for pair in boxes.windows(2) {
            let [one, next] = [pair[0], pair[1]];
            if one.top == next.top {
                let [left, right] = if label.script == Language::Arabic { [next, one] } else { [one, next] };
                assert_eq!((left.left, right.right, one.bottom), (0, BBox::SCALE, next.bottom), "{name}");
                assert!(right.left <= left.right && left.right - right.left <= 25, "{name}: {left:?} {right:?}");
            } else {
                assert_eq!(one.bottom, next.top, "{name}");
            }
        }
    }
}

#[test]
fn pages_that_are_divided_wrongly_are_not_surely_so() {
    for (label, columns, _) in &*DRAWN {
        let is_wrong = columns.divide.is_some() != label.is_divided();
        assert!(!is_wrong || columns.confidence.0 < 80, "{}: {columns:?}", label.name());
        assert!(columns.reason != ColumnsReason::Cover || label.kind == "cover", "{}: {columns:?}", label.name());
    }
}

#[test]
fn all_labelled_pages_are_divided_so_at_full_size() {
    let Some(corpus) = env::var_os("BOCR_CORPUS").map(PathBuf::from) else { return };
    let mut found = Vec::new();
    for_each_page(&corpus, |label, size, dpi, levels| found.push(search(label, size, dpi, levels)));
    assert_good(&found);
    let full = found.iter().filter(|(label, ..)| label.drawn);
    for ((label, full, _), (_, reduced, _)) in full.zip(&*DRAWN) {
        if full != reduced {
            println!("{}: {full:?} at full size, {reduced:?} reduced", label.name());
        }
        assert_eq!(full.divide.is_some(), reduced.divide.is_some(), "{}", label.name());
    }
}

/// Makes the pictures that travel with the repository, from the gazettes in the folder that `BOCR_CORPUS` names.
#[test]
#[ignore = "writes tests/data/layout"]
fn draw() {
    let mut pictures: BTreeMap<String, (usize, usize, Vec<u8>)> = BTreeMap::new();
    for_each_page(Path::new(&env::var_os("BOCR_CORPUS").unwrap()), |label, size, dpi, levels| {
        if label.drawn {
            let bits = Bits::of(&Sheet::new(size, dpi, Cow::Borrowed(levels)), CELLS, 0.0);
            let (across, down, packed) = pictures.entry(label.file.clone()).or_insert((bits.across, 0, Vec::new()));
            assert_eq!(bits.across, *across, "{}: pages of one width", label.name());
            *down += bits.down;
            // White is 1, eight cells to a byte.
            let white = |eight: &[bool]| {
                eight.iter().enumerate().fold(u8::MAX, |byte, (at, &inked)| byte & !(u8::from(inked) << (7 - at)))
            };
            (0..bits.down).for_each(|y| packed.extend(bits.row(y).chunks(8).map(white)));
        }
    });
    for (file, (across, down, packed)) in pictures {
        let out = fs::File::create(data().join(file).with_extension("png")).unwrap();
        let mut encoder = png::Encoder::new(out, across as u32, down as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        encoder.set_compression(png::Compression::High);
        encoder.set_filter(png::Filter::NoFilter);
        encoder.write_header().unwrap().write_image_data(&packed).unwrap();
    }
}
