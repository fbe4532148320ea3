//! Pages made to cost without end: sizes, nesting, patterns, shadings. Each costs itself at most, never the pool.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, num::NonZeroU32, path::Path, time::Duration};

use bulletin_ocr::{
    imaging::{EncodedPage, Pool, PoolSettings, RenderFailure, RenderJob, find_library},
    model::{FailureClass, Grid, ImageRule, LayoutRule, PageIndex, Scaling, View},
};

const RULE: ImageRule = ImageRule {
    dpi: 96.0,
    min_side: 512,
    max_side: None,
    min_pixels: 50_176,
    max_pixels: 6_291_456,
    grid: Grid::Cells(32),
    scaling: Scaling::Parity,
};
const SQUARE: &str = "0 g 10 10 100 100 re f";
const A4: &str = "0 0 595 842";

/// Draws a page of this box, entries and content, with these further objects.
async fn draw(
    pool: &Pool,
    media: &str,
    entries: &str,
    content: &str,
    objects: &str,
) -> Result<EncodedPage, RenderFailure> {
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("bomb.pdf");
    let length = content.len();
    let text = format!(
        "%PDF-1.7\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj\n\
         3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[{media}]/Contents 4 0 R{entries}>> endobj\n\
         4 0 obj <</Length {length}>> stream\n{content}\nendstream endobj\n{objects}trailer <</Root 1 0 R>>\n%%EOF\n"
    );
    fs::write(&document, text).unwrap();
    let job = RenderJob {
        document,
        password: None,
        page: PageIndex(0),
        rule: RULE,
        layout: LayoutRule::OF_TESSERACT,
        view: View::Whole,
    };
    pool.render(job).await.map(Option::unwrap)
}

fn stream(number: u32, entries: &str, data: &str) -> String {
    format!("{number} 0 obj <<{entries}/Length {}>> stream\n{data}\nendstream endobj\n", data.len())
}

async fn pool(page_limit: Duration) -> Pool {
    pool_with(page_limit, 1 << 30).await
}

async fn pool_with(page_limit: Duration, child_memory: u64) -> Pool {
    let settings = PoolSettings {
        program: env!("CARGO_BIN_EXE_bocr").into(),
        pdfium: find_library(None).unwrap(),
        children: NonZeroU32::new(2).unwrap(),
        page_limit,
        child_memory,
        answers_per_child: PoolSettings::ANSWERS_PER_CHILD,
    };
    Pool::start(settings).await.unwrap()
}

#[tokio::test]
async fn pages_of_absurd_sizes_are_drawn_within_the_bound() {
    let pool = pool(Duration::from_secs(60)).await;
    for media in ["0 0 14400 14400", "0 0 1000000 1", "0 0 1 1000000", "0 0 0.01 0.01", "0 0 1e30 1e30"] {
        let image = draw(&pool, media, "", SQUARE, "").await.unwrap();
        assert!((1..=RULE.max_pixels).contains(&image.facts.size.area()), "{media}: {:?}", image.facts.size);
    }
    let unit = draw(&pool, A4, "/UserUnit 1000", SQUARE, "").await.unwrap();
    assert_eq!((unit.facts.size.width, unit.facts.size.height), (800, 1120));
    let within_itself =
        stream(10, "/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<</XObject<</F 10 0 R>>>>", "/F Do");
    draw(&pool, A4, "/Resources<</XObject<</F 10 0 R>>>>", "/F Do", &within_itself).await.unwrap();
}

#[tokio::test]
async fn a_page_that_takes_for_ever_costs_itself() {
    // Far above what the good page takes beside other tests, with more memory than the pages fill in that time.
    let pool = pool_with(Duration::from_secs(3), 8 << 30).await;
    let forms: String = (10..22)
        .map(|form| {
            let within =
                format!("/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<</XObject<</F {} 0 R>>>>", form + 1);
            stream(form, &within, &"/F Do ".repeat(9))
        })
        .chain([stream(22, "/Type/XObject/Subtype/Form/BBox[0 0 595 842]", SQUARE)])
        .collect();
    let tile =
        "/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 1 1]/XStep 0.001/YStep 0.001/Resources<<>>";
    let paths = format!("0 g {}", "0 0 m 595 842 l 595 0 l 0 842 l h f ".repeat(100_000));
    let cases = [
        ("/Resources<</XObject<</F 10 0 R>>>>", "/F Do", forms),
        (
            "/Resources<</Pattern<</P 10 0 R>>>>",
            "/Pattern cs /P scn 0 0 595 842 re f",
            stream(10, tile, "0 g 0 0 1 1 re f"),
        ),
        ("", paths.as_str(), String::new()),
    ];
    let answers = cases.iter().map(|(entries, content, objects)| draw(&pool, A4, entries, content, objects));
    for (index, answer) in futures_util::future::join_all(answers).await.into_iter().enumerate() {
        let failure = answer.unwrap_err();
        let expected = [FailureClass::RenderTimeout, FailureClass::TooLarge];
        assert!(
            matches!(&failure, RenderFailure::Page { class, .. } if expected.contains(class)),
            "{index}: {failure}"
        );
    }
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pages/scan_ar.pdf");
    let job = RenderJob {
        document: good,
        password: None,
        page: PageIndex(0),
        rule: RULE,
        layout: LayoutRule::OF_TESSERACT,
        view: View::Whole,
    };
    assert!(!pool.render(job).await.unwrap().unwrap().blank);
}
