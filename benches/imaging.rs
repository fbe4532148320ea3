//! What a page image costs. Bar: at most 40 ms median for PDFium and the encoder together, an A4 page at Chandra's size
//! on one core. It is the client's share of the CPU seconds a page.
//!
//! `page/*` is that sum, in this process; `render/*`, `ink/*` and `encode/*` are its parts; `child/*` is a page
//! through a real renderer child, pipes included.

#![allow(clippy::unwrap_used, reason = "a bench has nobody to report to")]

use std::{
    hint::black_box,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use bulletin_ocr::{
    imaging::{Pool, PoolSettings, RenderJob, RenderTask, Renderer, find_library},
    model::{Grid, ImageRule, LayoutRule, PageIndex, Scaling, View},
};
use criterion::{Criterion, criterion_group, criterion_main};
use page_image::png;

const CHANDRA_2: ImageRule = ImageRule {
    dpi: 192.0,
    min_side: 1024,
    max_side: None,
    min_pixels: 50_176,
    max_pixels: 6_291_456,
    grid: Grid::Cells(28),
    scaling: Scaling::Direct,
};
const MEMORY: u64 = 2 << 30;
const PAGE: PageIndex = PageIndex(0);

fn samples() -> Vec<(&'static str, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pages");
    ["digital_fr", "digital_ar", "scan_fr", "scan_ar", "cover_fr"]
        .map(|name| (name, folder.join(name).with_extension("pdf")))
        .to_vec()
}

fn in_process(criterion: &mut Criterion) {
    let renderer = Renderer::load(&find_library(None).unwrap(), MEMORY).unwrap();
    for (name, path) in samples() {
        let document = renderer.open(&path, None).unwrap();
        let RenderTask { pixels, target, .. } = document.render(PAGE, &CHANDRA_2).unwrap();
        criterion.bench_function(&format!("page/{name}"), |bencher| {
            bencher.iter(|| {
                let document = renderer.open(&path, None).unwrap();
                let RenderTask { pixels, target, .. } = document.render(PAGE, &CHANDRA_2).unwrap();
                black_box(png(&pixels, target.dpi).unwrap());
            });
        });
        criterion.bench_function(&format!("render/{name}"), |bencher| {
            bencher.iter(|| black_box(document.render(PAGE, &CHANDRA_2).unwrap()));
        });
        criterion.bench_function(&format!("ink/{name}"), |bencher| {
            bencher.iter(|| black_box(pixels.ink(target.dpi)));
        });
        criterion.bench_function(&format!("encode/{name}"), |bencher| {
            bencher.iter(|| black_box(png(&pixels, target.dpi).unwrap()));
        });
    }
}

fn through_a_child(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let settings = PoolSettings {
        program: env!("CARGO_BIN_EXE_bocr").into(),
        pdfium: find_library(None).unwrap(),
        children: NonZeroU32::MIN,
        page_limit: Duration::from_secs(60),
        child_memory: MEMORY,
        answers_per_child: PoolSettings::ANSWERS_PER_CHILD,
    };
    let pool = runtime.block_on(Pool::start(settings)).unwrap();
    for (name, document) in samples() {
        let job = RenderJob {
            document,
            password: None,
            page: PAGE,
            rule: CHANDRA_2,
            layout: LayoutRule::AS_IS,
            view: View::Whole,
        };
        criterion.bench_function(&format!("child/{name}"), |bencher| {
            bencher.iter(|| black_box(runtime.block_on(pool.render(job.clone())).unwrap()));
        });
    }
}

criterion_group! {
    name = imaging;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = in_process, through_a_child
}
criterion_main!(imaging);
