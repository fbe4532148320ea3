//! What must be seen of a page, against the images that the `chandra-ocr` package 0.2.0 makes of the same files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::HashMap,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use bulletin_ocr::{
    imaging::{Pool, PoolSettings, RenderFailure, RenderJob, find_library},
    model::{FailureClass, Grid, ImageRule, LayoutRule, PageIndex, Scaling, View},
};
use image::RgbImage;

/// The package's own rule.
const PACKAGE: ImageRule = ImageRule {
    dpi: 192.0,
    min_side: 1024,
    max_side: None,
    min_pixels: 50_176,
    max_pixels: 6_291_456,
    grid: Grid::Cells(28),
    scaling: Scaling::Parity,
};
/// Where annotations begin that the package leaves out, in pixels from the top.
const NOT_IN_THE_PACKAGE: u32 = 540;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images").join(name)
}

async fn pool() -> Pool {
    let settings = PoolSettings {
        program: env!("CARGO_BIN_EXE_bocr").into(),
        pdfium: find_library(None).unwrap(),
        children: NonZeroU32::MIN,
        page_limit: Duration::from_secs(60),
        child_memory: 2 << 30,
        answers_per_child: PoolSettings::ANSWERS_PER_CHILD,
    };
    Pool::start(settings).await.unwrap()
}

async fn draw(pool: &Pool, document: PathBuf, page: u32, rule: ImageRule) -> RgbImage {
    let job = RenderJob {
        document,
        password: None,
        page: PageIndex(page),
        rule,
        layout: LayoutRule::AS_IS,
        view: View::Whole,
    };
    let image = pool.render(job).await.unwrap().unwrap();
    image::load_from_memory(&image.parts[0].png).unwrap().to_rgb8()
}

/// Peak signal-to-noise ratio in decibels; infinite for equal images.
fn psnr(one: &RgbImage, other: &RgbImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    // Most rows are equal, and a slice is compared fast where a test is not optimised.
    let row = one.width() as usize * 3;
    let rows = one.as_raw().chunks_exact(row).zip(other.as_raw().chunks_exact(row));
    let mut squares = 0_u64;
    for (one, other) in rows {
        if one != other {
            squares += one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum::<u64>();
        }
    }
    10.0 * (255.0 * 255.0 * one.as_raw().len() as f64 / squares as f64).log10()
}

#[tokio::test]
async fn pages_are_those_of_the_chandra_package() {
    let pool = pool().await;
    let files = ["annotations", "boxes", "colours", "form", "images", "layers", "transparency"];
    for name in files {
        let pages = if name == "boxes" { 9 } else { 1 };
        for page in 0..pages {
            let mut ours = draw(&pool, data(name).with_extension("pdf"), page, PACKAGE).await;
            let mut theirs = image::open(data(&format!("{name}-{}.png", page + 1))).unwrap().to_rgb8();
            if name == "annotations" {
                for image in [&mut ours, &mut theirs] {
                    *image = image::imageops::crop_imm(image, 0, 0, image.width(), NOT_IN_THE_PACKAGE).to_image();
                }
            }
            // An unticked box without a look of its own gets a pale frame from PDFium, which the package does not draw.
            let least = if name == "form" { 44.0 } else { 55.0 };
            let found = psnr(&ours, &theirs);
            assert!(found >= least, "{name} page {}: {found:.1} dB", page + 1);
        }
    }
}

/// File, what it is, where in points from the lower left, its colour.
type Seen = (&'static str, &'static str, (u32, u32), [u8; 3]);
const RED: [u8; 3] = [255, 0, 0];
const YELLOW: [u8; 3] = [255, 255, 0];
const BLACK: [u8; 3] = [0; 3];
const WHITE: [u8; 3] = [255; 3];
/// Red in the inks of a press.
const PRINTED_RED: [u8; 3] = [237, 28, 36];

#[tokio::test]
async fn what_is_on_a_page_is_seen_and_what_is_switched_off_is_not() {
    let cases: [Seen; 33] = [
        ("annotations", "the icon of a note", (30, 170), RED),
        ("annotations", "a highlight", (90, 180), YELLOW),
        ("annotations", "a stamp", (130, 170), RED),
        ("annotations", "free text", (180, 170), RED),
        ("annotations", "a popup", (230, 170), WHITE),
        ("annotations", "a hidden one", (30, 120), WHITE),
        ("annotations", "one for paper alone", (80, 120), RED),
        ("annotations", "one for the screen alone", (130, 120), RED),
        ("annotations", "an invisible one of an unknown kind", (30, 20), RED),
        ("annotations", "a highlight without appearance", (30, 70), YELLOW),
        ("annotations", "a stroke without appearance", (130, 70), RED),
        ("form", "the mark of a ticked box", (230, 170), RED),
        ("form", "a signature", (230, 120), RED),
        ("form", "a hidden field", (80, 120), WHITE),
        ("form", "the ground of a field whose looks PDFium makes", (180, 160), [204, 255, 204]),
        ("colours", "red in inks", (30, 170), PRINTED_RED),
        ("colours", "a spot colour", (180, 170), PRINTED_RED),
        ("colours", "a JPEG in inks", (30, 110), PRINTED_RED),
        ("colours", "an inverted JPEG in inks", (80, 110), PRINTED_RED),
        ("colours", "an indexed image", (120, 110), RED),
        ("layers", "a layer that is on", (30, 120), BLACK),
        ("layers", "a layer that is off", (80, 120), WHITE),
        ("layers", "a member of a layer that is off", (130, 120), WHITE),
        ("layers", "a form of a layer that is off", (180, 120), WHITE),
        ("transparency", "half red on black", (50, 140), [128, 0, 0]),
        ("transparency", "multiplied inks", (40, 40), [0, 255, 0]),
        ("transparency", "half masked", (240, 130), [127; 3]),
        ("images", "Flate", (42, 172), BLACK),
        ("images", "JPEG 2000", (142, 172), BLACK),
        ("images", "CCITT", (192, 176), BLACK),
        ("images", "JBIG2", (242, 176), BLACK),
        ("images", "a stencil", (80, 115), RED),
        ("images", "an inline image", (220, 110), BLACK),
    ];
    let pool = pool().await;
    let mut drawn = HashMap::new();
    for (name, what, (x, y), expected) in cases {
        if !drawn.contains_key(name) {
            drawn.insert(name, draw(&pool, data(name).with_extension("pdf"), 0, PACKAGE).await);
        }
        let image = &drawn[name];
        let at = |points: u32, of: u32, pixels: u32| points * pixels / of;
        let seen = image.get_pixel(at(x, 300, image.width()), at(200 - y, 200, image.height())).0;
        let near = seen.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 12);
        assert!(near, "{name}, {what}: {seen:?} instead of {expected:?}");
    }
}

/// Every page of `boxes.pdf` has its black square in the lower left corner before it is turned.
#[tokio::test]
async fn a_page_is_what_its_boxes_and_its_turn_say() {
    let pool = pool().await;
    let square_at = [(20, 20), (20, 20), (20, 20), (20, 20), (20, 240), (240, 140), (140, 20), (100, 20), (20, 20)];
    let sizes =
        [(200, 120), (250, 150), (300, 200), (300, 200), (200, 300), (300, 200), (200, 300), (160, 250), (300, 200)];
    for (page, ((x, y), (width, height))) in square_at.into_iter().zip(sizes).enumerate() {
        let image = draw(&pool, data("boxes.pdf"), page as u32, PACKAGE).await;
        let aspect = f64::from(image.width()) / f64::from(image.height());
        assert!((aspect * f64::from(height) / f64::from(width) - 1.0).abs() < 0.02, "page {}: {aspect}", page + 1);
        let dark = |x: u32, y: u32| {
            image.get_pixel(x * image.width() / width, (height - y) * image.height() / height).0[0] < 30
        };
        assert!(dark(x + 20, y + 20) && !dark(x + 50, y + 20), "page {}", page + 1);
    }
}

#[tokio::test]
async fn a_page_that_its_crop_box_leaves_nothing_of_is_refused() {
    let job = RenderJob {
        document: data("crop_outside.pdf"),
        password: None,
        page: PageIndex(0),
        rule: PACKAGE,
        view: View::Whole,
        layout: LayoutRule::AS_IS,
    };
    let failure = pool().await.render(job).await.unwrap_err();
    assert!(
        matches!(&failure, RenderFailure::Page { class: FailureClass::RenderFailed, reason } if reason.contains("0 x 0 points")),
        "{failure}"
    );
}

/// Drawn at its final size a page differs from the package's by no more than a second resampling does.
#[tokio::test]
async fn a_page_that_is_drawn_directly_is_the_same_page() {
    let pool = pool().await;
    let page = data("../pages/digital_ar.pdf");
    let parity = draw(&pool, page.clone(), 0, PACKAGE).await;
    let direct = draw(&pool, page, 0, ImageRule { scaling: Scaling::Direct, ..PACKAGE }).await;
    let found = psnr(&parity, &direct);
    assert!((24.0..60.0).contains(&found), "{found:.1} dB");
}
