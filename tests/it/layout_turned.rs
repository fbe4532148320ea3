//! Turned pages and tables, skew and script, on real pages that are turned and rotated in memory.
//!
//! `BOCR_CORPUS`, a folder of gazettes, switches on the same questions for every page that `tests/data/layout/labels.tsv`
//! has a row for. A process can load PDFium once only, so name this file then: `cargo test --test it layout_turned`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bulletin_ocr::{
    imaging::{Renderer, find_library},
    model::{Grid, ImageRule, Language, PageIndex, PixelSize, Rotation, Scaling},
};
use page_image::{
    Pixels,
    layout::{Sheet, page_turn, script, skew, turned_region},
    turned,
};

const RULE: ImageRule = ImageRule {
    dpi: 192.0,
    min_side: 1,
    max_side: None,
    min_pixels: 1,
    max_pixels: 9_000_000,
    grid: Grid::Free,
    scaling: Scaling::Direct,
};

/// Whole pages of text, scans and digital, French and Arabic: file, page from 1, language, whether it is a scan.
const PAGES: [(&str, u32, Language, bool); 10] = [
    ("pages/digital_fr.pdf", 1, Language::French, false),
    ("pages/digital_ar.pdf", 1, Language::Arabic, false),
    ("pages/scan_fr.pdf", 1, Language::French, true),
    ("pages/scan_ar.pdf", 1, Language::Arabic, true),
    ("pages/cover_fr.pdf", 1, Language::French, false),
    ("gazettes/fr/BO_7510_Fr.pdf", 3, Language::French, false),
    ("gazettes/fr/BO_7510_Fr.pdf", 4, Language::Mixed, false),
    ("gazettes/fr/BO_6804_Fr.pdf", 2, Language::French, true),
    ("gazettes/ar/BO_7412_Ar.pdf", 1, Language::Arabic, false),
    ("gazettes/ar/BO_7412_Ar.pdf", 3, Language::Arabic, false),
];

#[derive(Clone)]
struct Page {
    size: PixelSize,
    levels: Vec<u8>,
    dpi: f32,
}

impl Page {
    fn sheet(&self) -> Sheet<'_> {
        Sheet::new(self.size, self.dpi, self.levels.as_slice().into())
    }

    fn pixels(&self) -> Pixels {
        Pixels { size: self.size, bytes: self.levels.clone(), grey: true }
    }

    fn turned(&self, turn: Rotation) -> Page {
        let Pixels { size, bytes, .. } = turned(self.pixels(), turn);
        Page { size, levels: bytes, dpi: self.dpi }
    }

    /// Rotated clockwise about its middle, white where nothing was.
    fn rotated(&self, degrees: f32) -> Page {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let (sine, cosine) = degrees.to_radians().sin_cos();
        let (middle_x, middle_y) = (width as f32 / 2.0, height as f32 / 2.0);
        let mut levels = Vec::with_capacity(self.levels.len());
        // Plain loops: in a development build each closure costs more than what it does.
        for row in 0..height {
            let y = row as f32 - middle_y;
            for column in 0..width {
                let x = column as f32 - middle_x;
                let from = (cosine * x + sine * y + middle_x + 0.5, cosine * y - sine * x + middle_y + 0.5);
                let is_inside = from.0 >= 0.0 && from.1 >= 0.0 && from.0 < width as f32 && from.1 < height as f32;
                levels.push(if is_inside { self.levels[from.1 as usize * width + from.0 as usize] } else { 255 });
            }
        }
        Page { levels, ..*self }
    }

    /// The page with everything below its running header turned about the middle of the body.
    fn with_turned_body(&self, turn: Rotation) -> Page {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let head = height * 9 / 100;
        let body = Page {
            size: PixelSize { height: (height - head) as u32, ..self.size },
            levels: self.levels[head * width..].to_vec(),
            dpi: self.dpi,
        };
        let (body, mut page) = (body.turned(turn), self.clone());
        let (across, down) = (body.size.width as usize, body.size.height as usize);
        // The turned body is wider than the page and lower: its margins fall away at the sides.
        for y in head..height {
            for x in 0..width {
                let from = (x + across.saturating_sub(width) / 2, y - head);
                page.levels[y * width + x] =
                    if from.0 < across && from.1 < down { body.levels[from.1 * across + from.0] } else { 255 };
            }
        }
        page
    }
}

impl Page {
    fn part(&self, [left, top, width, height]: [usize; 4]) -> Page {
        let row = |y: usize| &self.levels[y * self.size.width as usize + left..][..width];
        let levels = (top..top + height).flat_map(row).copied().collect();
        Page { size: PixelSize { width: width as u32, height: height as u32 }, levels, dpi: self.dpi }
    }

    fn paste(&mut self, part: &Page, left: usize, top: usize) {
        for (y, row) in part.levels.chunks(part.size.width as usize).enumerate() {
            self.levels[(top + y) * self.size.width as usize + left..][..row.len()].copy_from_slice(row);
        }
    }

    /// White below its running header, or all over.
    fn emptied(&self, keeps_header: bool) -> Page {
        let mut page = self.clone();
        let kept = if keeps_header { self.levels.len() * 9 / 100 } else { 0 };
        page.levels[kept..].fill(255);
        page
    }
}

fn draw(renderer: &Renderer, path: &Path, number: u32) -> Page {
    let drawing = renderer.open(path, None).unwrap().render(PageIndex(number - 1), &RULE).unwrap();
    Page {
        size: drawing.pixels.size,
        levels: drawing.pixels.sheet(drawing.target.dpi).levels.into_owned(),
        dpi: drawing.target.dpi,
    }
}

type Sample = (String, Page, Language, bool);

/// One test, as a process can load PDFium once only.
#[test]
fn turned_content_skew_and_script_of_real_pages() {
    let renderer = Renderer::load(&find_library(None).unwrap(), 2 << 30).unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let samples = PAGES.map(|(file, number, language, is_scan)| {
        (format!("{file} page {number}"), draw(&renderer, &data.join(file), number), language, is_scan)
    });
    whole_pages_are_told_upright_turned_skewed_and_in_their_script(&samples);
    a_body_on_its_side_under_an_upright_header_is_found_whole_and_the_right_way(&samples);
    heads_on_their_side_leave_a_table_upright(&samples[0].1);
    a_region_may_end_where_white_and_level_text_follow(&samples[0].1);
    if let Some(corpus) = std::env::var_os("BOCR_CORPUS") {
        every_labelled_page(&renderer, Path::new(&corpus));
    }
}

fn whole_pages_are_told_upright_turned_skewed_and_in_their_script(samples: &[Sample]) {
    let mut silent = Vec::new();
    for (name, page, language, is_scan) in samples {
        for turn in Rotation::ALL {
            assert_eq!(page_turn(&page.turned(turn).sheet()), turn.inverse(), "{name} turned by {}", turn.degrees());
        }
        assert_eq!(turned_region(&page.sheet()), None, "{name}");

        let level = skew(&page.sheet()).unwrap_or_else(|| panic!("{name} has no skew")).degrees();
        assert!(level.abs() < if *is_scan { 1.5 } else { 0.05 }, "{name}: {level}");
        for degrees in [0.4, -2.0, 3.5] {
            match skew(&page.rotated(degrees).sheet()) {
                Some(found) => assert!(
                    (found.degrees() - level - degrees).abs() < 0.25,
                    "{name} by {degrees}: {} and {level}",
                    found.degrees()
                ),
                None => silent.push((name, degrees)),
            }
        }

        let found = script(&page.sheet());
        assert_eq!(found.language, *language, "{name}: {found:?}");
    }
    assert!(silent.len() <= 1, "no skew found: {silent:?}");
}

fn a_body_on_its_side_under_an_upright_header_is_found_whole_and_the_right_way(samples: &[Sample]) {
    let whole_bodies = ["digital_fr.pdf page 1", "digital_ar.pdf page 1", "scan_fr.pdf page 1"];
    for (name, page, language, _) in
        samples.iter().filter(|page| whole_bodies.iter().any(|body| page.0.ends_with(body)))
    {
        for turn in [Rotation::Right, Rotation::Left] {
            let page = page.with_turned_body(turn);
            assert_eq!(page_turn(&page.sheet()), Rotation::None, "{name}");
            let (region, _) = turned_region(&page.sheet()).unwrap_or_else(|| panic!("{name}: no region"));
            assert_eq!(region.turn, turn.inverse(), "{name}");
            assert_eq!((region.bbox.left, region.bbox.right), (0, 1000), "{name}");
            assert!((80..=105).contains(&region.bbox.top) && region.bbox.bottom > 600, "{name}: {:?}", region.bbox);
            assert_eq!(script(&page.sheet()).language, *language, "{name}");
        }
    }
}

/// Heads two inches high over narrow columns of figures; places in pixels of the first page.
fn heads_on_their_side_leave_a_table_upright(page: &Page) {
    let heads = page.part([118, 340, 400, 1350]).turned(Rotation::Left);
    let two_figures = page.part([62, 150, 29, 30]);
    for has_header in [true, false] {
        let mut table = page.emptied(has_header);
        table.paste(&heads, 120, 240);
        for (x, y) in (120..1440).step_by(77).flat_map(|x| (680..2050).step_by(58).map(move |y| (x, y))) {
            table.paste(&two_figures, x, y);
        }
        assert_eq!(page_turn(&table.sheet()), Rotation::None, "header: {has_header}");
        assert_eq!(turned_region(&table.sheet()), None, "header: {has_header}");
    }
}

fn a_region_may_end_where_white_and_level_text_follow(page: &Page) {
    let mut mixed = page.emptied(true);
    mixed.paste(&page.part([60, 340, 640, 1350]).turned(Rotation::Left), 120, 240);
    mixed.paste(&page.part([820, 660, 640, 105]), 120, 980);
    let region = turned_region(&mixed.sheet()).map(|(region, _)| region);
    assert!(
        region.is_some_and(|region| region.turn == Rotation::Right && (390..=440).contains(&region.bbox.bottom)),
        "{region:?}"
    );

    (0..12).for_each(|more| mixed.paste(&page.part([800, 660, 660, 105]), 120 + more % 2 * 670, 980 + more / 2 * 105));
    assert_eq!(turned_region(&mixed.sheet()), None, "more level text than turned");
}

/// A row of `labels.tsv`: what is on a page, told by eye.
struct Label {
    file: PathBuf,
    page: u32,
    region: Option<Rotation>,
    script: String,
}

fn labels(corpus: &Path) -> Vec<Label> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/layout/labels.tsv");
    let text = std::fs::read_to_string(&table).expect("the labels of the corpus");
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let rows = lines.map(|line| names.iter().copied().zip(line.split('\t')).collect::<BTreeMap<_, _>>());
    rows.filter_map(|row| {
        let stem = row["file"].trim_end_matches(".pdf");
        let file = ["", "nasty"].map(|folder| corpus.join(folder).join(format!("{stem}.pdf")));
        let degrees = row["region"].rsplit(',').next().and_then(|degrees| degrees.parse::<u16>().ok());
        Some(Label {
            file: file.into_iter().find(|file| file.is_file())?,
            page: row["page"].parse().ok()?,
            region: degrees.and_then(|degrees| Rotation::ALL.into_iter().find(|turn| turn.degrees() == degrees)),
            script: row["script"].to_owned(),
        })
    })
    .collect()
}

fn every_labelled_page(renderer: &Renderer, corpus: &Path) {
    let labels = labels(corpus);
    let (mut turns, mut regions, mut scripts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for label in &labels {
        let page = draw(renderer, &label.file, label.page);
        for turn in Rotation::ALL.into_iter().filter(|_| label.region.is_none() && label.script != "none") {
            let found = page_turn(&page.turned(turn).sheet()).degrees();
            *turns.entry((turn.inverse().degrees(), found)).or_insert(0) += 1;
        }
        let found = turned_region(&page.sheet()).map(|(region, _)| region.turn.degrees());
        *regions.entry((label.region.map(Rotation::degrees), found)).or_insert(0) += 1;
        *scripts.entry((label.script.clone(), script(&page.sheet()).language.name())).or_insert(0) += 1;
    }
    println!(
        "{} pages\nturn (needed, found): {turns:?}\nregion (label, found): {regions:?}\nscript: {scripts:?}",
        labels.len()
    );
    assert!(
        turns.iter().all(|((needed, found), _)| needed == found || *found == 0),
        "a page turned the wrong way: {turns:?}"
    );
    assert!(regions.keys().all(|(label, found)| label == found), "{regions:?}");
    for confused in [("fra", "ar"), ("ara", "fr")] {
        assert_eq!(scripts.get(&(confused.0.to_owned(), confused.1)), None, "{scripts:?}");
    }
}
