//! Which scans are turned: made upright pages of figures and leaders stay as they are, turned pages are brought upright.
//!
//! `BOCR_TURNS=5000` says how many pages are made, `BOCR_TURNS_SEED` another seed, `BOCR_TURNS_FONTS` a folder of further
//! TrueType fonts, `BOCR_TURNS_KEEP` a folder for the pages that were turned. `BOCR_CORPUS`, a folder of gazettes, has
//! every page that `tests/data/layout/labels.tsv` has a row for scanned in all four directions; `BOCR_TURNS_EVERY=4` takes
//! every fourth page only.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    env, fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use bulletin_ocr::{
    engine::Profile,
    imaging::{EncodedPage, Pool, PoolSettings, RenderJob, find_library},
    model::{Grid, ImageRule, LayoutRule, PageIndex, PixelSize, Rotation, View},
};
use futures_util::{StreamExt, stream};
use oorandom::Rand32;
use page_image::{Pixels, Proof, TurnPlace, turned};
use tempfile::TempDir;

use crate::turns_support::{
    Faces,
    drawing::{Levels, scan},
    make, write,
};

const PAGES: u64 = 48;
const SEED: u64 = 14;
/// Kept in flight: more than there are renderers.
const IN_FLIGHT: usize = 4;

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

async fn pool() -> Pool {
    let settings = PoolSettings {
        program: env!("CARGO_BIN_EXE_bocr").into(),
        pdfium: find_library(None).unwrap(),
        children: NonZeroU32::new(2).unwrap(),
        page_limit: Duration::from_secs(60),
        child_memory: 2 << 30,
        answers_per_child: PoolSettings::ANSWERS_PER_CHILD,
    };
    Pool::start(settings).await.unwrap()
}

fn job(document: &Path, page: u32, dpi: f32, layout: LayoutRule) -> RenderJob {
    let of_profile = Profile::load("chandra-2", None).unwrap().image;
    let rule = if layout == LayoutRule::AS_IS {
        ImageRule { dpi, min_side: 1, max_pixels: 40_000_000, grid: Grid::Free, ..of_profile }
    } else {
        of_profile
    };
    RenderJob { document: document.to_owned(), password: None, page: PageIndex(page), rule, layout, view: View::Whole }
}

/// A page as a scanner sees it.
async fn picture(pool: &Pool, document: &Path, page: u32, dpi: f32) -> Pixels {
    let drawn = pool.render(job(document, page, dpi, LayoutRule::AS_IS)).await.unwrap().unwrap();
    let image = image::load_from_memory(&drawn.parts[0].png).unwrap().into_luma8();
    let size = PixelSize { width: image.width(), height: image.height() };
    Pixels { size, bytes: image.into_raw(), grey: true }
}

/// What happens to a scan of this picture.
async fn scanned(pool: &Pool, folder: &Path, name: &str, picture: &Pixels, dpi: f32, levels: Levels) -> EncodedPage {
    let path = write(folder, name, &scan(picture, dpi, levels));
    let upright = LayoutRule { upright: true, ..LayoutRule::AS_IS };
    let page = pool.render(job(&path, 0, dpi, upright)).await.unwrap().unwrap();
    let was_turned = page.parts.iter().any(|part| part.shown.turn != Rotation::None);
    if let (true, Some(kept)) = (was_turned, env::var_os("BOCR_TURNS_KEEP")) {
        fs::copy(&path, Path::new(&kept).join(name)).unwrap();
    }
    fs::remove_file(path).unwrap();
    page
}

/// How many pages were looked at, how many the letters proposed to turn, and how many were turned.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    pages: u32,
    proposed: u32,
    turned: u32,
}

impl Count {
    fn add(&mut self, page: &EncodedPage) {
        self.pages += 1;
        self.proposed += u32::from(!page.turn_checks.is_empty());
        self.turned += u32::from(page.parts.iter().any(|part| part.shown.turn != Rotation::None));
    }
}

fn print(title: &str, counts: &BTreeMap<String, Count>) {
    println!("{title:<28}    pages proposed   turned");
    for (name, count) in counts {
        println!("{name:<28} {:>8} {:>8} {:>8}", count.pages, count.proposed, count.turned);
    }
    let sum = |of: fn(&Count) -> u32| counts.values().map(of).sum::<u32>();
    println!("{:<28} {:>8} {:>8} {:>8}", "all", sum(|c| c.pages), sum(|c| c.proposed), sum(|c| c.turned));
}

#[tokio::test]
async fn made_upright_pages_of_figures_and_leaders_stay_as_they_are() {
    let (count, seed) = (number("BOCR_TURNS", PAGES), number("BOCR_TURNS_SEED", SEED));
    let (pool, folder, faces) = (pool().await, tempfile::tempdir().unwrap(), Faces::find());
    let [latin, arabic] = faces.counts();
    assert!(latin >= 12 && arabic >= 3, "{latin} faces with French letters, {arabic} with Arabic ones");
    let pages = stream::iter(0..count).map(|index| {
        let made = make(seed, index, &faces);
        let (pool, folder) = (&pool, folder.path());
        let mut random = Rand32::new(seed << 32 | index);
        let dpi = [150.0, 200.0, 300.0][random.rand_range(0..3) as usize];
        let threshold = random.rand_range(110..190) as u8;
        let levels = if random.rand_range(0..2) == 0 { Levels::Grey } else { Levels::Bilevel(threshold) };
        async move {
            let drawn = write(folder, &format!("drawn-{index}.pdf"), &made.pdf);
            let picture = picture(pool, &drawn, 0, dpi).await;
            fs::remove_file(drawn).unwrap();
            let name = format!("{:?}-{seed}-{index}.pdf", made.kind);
            (made.kind, scanned(pool, folder, &name, &picture, dpi, levels).await, name)
        }
    });
    let mut pages = pages.buffer_unordered(IN_FLIGHT);
    let (mut counts, mut wrong) = (BTreeMap::<String, Count>::new(), Vec::new());
    while let Some((kind, page, name)) = pages.next().await {
        for check in &page.turn_checks {
            println!("{name}: {:?} {} {:?} {:?}", check.place, check.turn.degrees(), check.proof, check.read);
        }
        if page.parts.iter().any(|part| part.shown.turn != Rotation::None) {
            wrong.push(name);
        }
        counts.entry(format!("{kind:?}")).or_default().add(&page);
    }
    println!("seed {seed}, {latin} faces with French letters, {arabic} with Arabic ones");
    print("made, upright", &counts);
    assert!(wrong.is_empty(), "turned although upright: {wrong:?}");
}

/// Digital pages whose letters look turned, as scans: their glyphs say nothing then.
#[tokio::test]
async fn scans_of_tables_and_contents_stay_as_they_are() {
    let (pool, folder) = (pool().await, tempfile::tempdir().unwrap());
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/upright");
    let mut count = Count::default();
    for file in ["contents_dot_leaders.pdf", "decimals.pdf", "small_numbers_gazette_head.pdf", "tariff.pdf"] {
        let document = data.join(file);
        for page in 0..pool.inspect(&document, None).await.unwrap().pages {
            let picture = picture(&pool, &document, page, 200.0).await;
            let levels = if page % 2 == 0 { Levels::Grey } else { Levels::Bilevel(150) };
            let found = scanned(&pool, folder.path(), &format!("{page}-{file}"), &picture, 200.0, levels).await;
            println!("{file} page {}: {:?}", page + 1, found.turn_checks);
            count.add(&found);
        }
    }
    assert_eq!((count.pages, count.turned), (13, 0), "{count:?}");
    assert!(count.proposed > 0, "the letters alone would turn some: {count:?}");
}

/// What became of one scan that is turned: of the whole page, and of its parts.
fn turns(page: &EncodedPage) -> (Rotation, Vec<Rotation>) {
    (page.layout.turn, page.parts.iter().map(|part| part.shown.turn).collect())
}

#[tokio::test]
async fn scans_that_are_turned_are_brought_upright() {
    let (pool, folder) = (pool().await, tempfile::tempdir().unwrap());
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pages");
    for (file, turn) in [("digital_ar.pdf", Rotation::Half), ("scan_fr.pdf", Rotation::Left)] {
        let picture = turned(picture(&pool, &data.join(file), 0, 200.0).await, turn);
        let page = scanned(&pool, folder.path(), file, &picture, 200.0, Levels::Bilevel(150)).await;
        assert_eq!(page.layout.turn, turn.inverse(), "{file}: {:?}", page.turn_checks);
        assert_eq!(page.turn_checks[0].proof, Proof::Proven);
    }
    let picture = picture(&pool, &data.join("turned_table_ar.pdf"), 0, 200.0).await;
    let page = scanned(&pool, folder.path(), "region.pdf", &picture, 200.0, Levels::Grey).await;
    let (whole, parts) = turns(&page);
    assert!(whole == Rotation::None && parts.contains(&Rotation::Left), "{parts:?} {:?}", page.turn_checks);
    assert_eq!(page.turn_checks[0].place, TurnPlace::Region);
}

/// As on a node without Tesseract: nothing can be proven, and the user is told.
#[tokio::test]
async fn without_tesseract_a_scan_stays_as_it_is() {
    let (pool, folder) = (pool().await, tempfile::tempdir().unwrap());
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pages/digital_fr.pdf");
    let picture = turned(picture(&pool, &document, 0, 200.0).await, Rotation::Half);
    let path = write(folder.path(), "scan.pdf", &scan(&picture, 200.0, Levels::Grey));
    let page = format!("{}:1", path.display());
    let out = folder.path().join("out");
    let output = Command::new(env!("CARGO_BIN_EXE_bocr"))
        .args(["page", &page, "--overlay", "false", "--out", out.to_str().unwrap()])
        .env("PATH", folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["layout"]["turn"], "none", "{line}");
    let check = &line["turn_checks"][0];
    assert_eq!((&check["turn"], &check["proof"]), (&180.into(), &"unproven".into()), "{line}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("scan.pdf page 1") && said.contains("install tesseract-ocr"), "{said}");
}

/// A row of `labels.tsv`.
struct Label {
    file: PathBuf,
    page: u32,
    /// The rotation that brings its turned region upright.
    region: Option<Rotation>,
    is_text: bool,
}

fn labels(corpus: &Path) -> Vec<Label> {
    let text = include_str!("../data/layout/labels.tsv");
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let rows = lines.map(|line| names.iter().copied().zip(line.split('\t')).collect::<BTreeMap<_, _>>());
    let label = |row: BTreeMap<&str, &str>| {
        let file = format!("{}.pdf", row["file"].trim_end_matches(".pdf"));
        let degrees = row["region"].rsplit(',').next().and_then(|degrees| degrees.parse::<u16>().ok());
        Some(Label {
            file: ["", "nasty"]
                .map(|folder| corpus.join(folder).join(&file))
                .into_iter()
                .find(|file| file.is_file())?,
            page: row["page"].parse().ok()?,
            region: degrees.and_then(Rotation::from_degrees),
            is_text: row["script"] != "none",
        })
    };
    rows.filter_map(label).collect()
}

/// What a label needs and what was found, in degrees.
async fn labelled(pool: &Pool, folder: &TempDir, label: &Label, turn: Rotation) -> (String, EncodedPage) {
    let picture = turned(picture(pool, &label.file, label.page - 1, 200.0).await, turn);
    let name = format!("{}-{}-{}", turn.degrees(), label.page, label.file.file_name().unwrap().to_str().unwrap());
    let levels = if label.page.is_multiple_of(2) { Levels::Grey } else { Levels::Bilevel(150) };
    let page = scanned(pool, folder.path(), &name, &picture, 200.0, levels).await;
    (name, page)
}

#[tokio::test]
#[ignore = "needs a folder of gazettes: scripts/measure-turns --corpus FOLDER"]
async fn labelled_pages_as_scans_are_brought_upright_and_never_turned_wrongly() {
    let corpus = env::var_os("BOCR_CORPUS").expect("BOCR_CORPUS names a folder of gazettes");
    let (pool, folder) = (pool().await, tempfile::tempdir().unwrap());
    let every = number("BOCR_TURNS_EVERY", 1) as usize;
    let labels = labels(Path::new(&corpus));
    let upright = labels.iter().filter(|label| label.region.is_none()).map(|label| (label, Rotation::None));
    let pages = labels.iter().filter(|label| label.region.is_none() && label.is_text).step_by(every);
    let whole = pages.flat_map(|label| [Rotation::Right, Rotation::Half, Rotation::Left].map(|turn| (label, turn)));
    let regions = labels.iter().filter(|label| label.region.is_some()).map(|label| (label, Rotation::None));
    let cases: Vec<(&Label, Rotation)> = upright.chain(whole).chain(regions).collect();
    let pages = stream::iter(&cases).map(|(label, turn)| {
        let (pool, folder) = (&pool, &folder);
        async move { (*label, *turn, labelled(pool, folder, label, *turn).await) }
    });
    let mut pages = pages.buffer_unordered(IN_FLIGHT);
    let mut table: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut wrong = Vec::new();
    while let Some((label, turn, (name, page))) = pages.next().await {
        let (whole, parts) = turns(&page);
        let part = parts.iter().map(|part| part.then(whole.inverse())).find(|part| *part != Rotation::None);
        let needed = match label.region {
            Some(region) => format!("region {}", region.degrees()),
            None => format!("page {}", turn.inverse().degrees()),
        };
        let found = match part {
            Some(part) => format!("region {}", part.degrees()),
            None => format!("page {}", whole.degrees()),
        };
        if needed != found {
            println!("{name}: {needed} needed, {found} found: {:?}", page.turn_checks);
        }
        if needed != found && found != "page 0" {
            wrong.push(name);
        }
        *table.entry((needed, found)).or_default() += 1;
    }
    println!("needed, found: {table:#?}");
    assert!(wrong.is_empty(), "turned wrongly: {wrong:?}");
}
