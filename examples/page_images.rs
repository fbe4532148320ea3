//! What the images of pages are and cost, a line of tab-separated values a page: `scripts/measure-images` reads them.
//!
//! `page_images RULE FOLDER [PDF]…` draws every page of the PDFs on one core as a renderer child does. `RULE` is a JSON image
//! rule. Into `FOLDER` go the images, `STEM-NUMBER.png`; none are written where it is `-`. Times are CPU time, as others may
//! share the machine.

#![allow(clippy::unwrap_used, reason = "a measurement has nobody to report to")]

use std::{env, fs, path::Path};

use bulletin_ocr::{
    imaging::{Drawing, Renderer, find_library, png},
    model::{ImageRule, PageIndex},
};

/// As much as a renderer child may have.
const MEMORY: u64 = 2 << 30;

/// Nanoseconds that this thread has run for.
fn ran() -> u64 {
    fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [rule, folder, documents @ ..] = arguments.as_slice() else {
        panic!("usage: page_images RULE FOLDER [PDF]…")
    };
    let rule: ImageRule = serde_json::from_str(rule).unwrap();
    let renderer = Renderer::load(&find_library(None).unwrap(), MEMORY).unwrap();
    println!("file\tpage\twidth\theight\tgrey\trender_us\tink_us\tencode_us\tbytes\tink\tblank");
    for path in documents.iter().map(Path::new) {
        let stem = path.file_stem().unwrap().to_string_lossy();
        let document = match renderer.open(path, None) {
            Ok(document) => document,
            Err(refusal) => {
                eprintln!("{}", refusal.reason);
                continue;
            }
        };
        for page in 0..document.pages() {
            let started = ran();
            let Drawing { pixels, target, .. } = match document.render(PageIndex(page), &rule) {
                Ok(drawing) => drawing,
                Err(refusal) => {
                    eprintln!("{}", refusal.reason);
                    continue;
                }
            };
            let drawn = (ran() - started) / 1000;
            let started = ran();
            let ink = pixels.ink(target.dpi);
            let measured = (ran() - started) / 1000;
            let started = ran();
            let image = png(&pixels, target.dpi).unwrap();
            let encoded = (ran() - started) / 1000;
            let (number, size) = (page + 1, pixels.size);
            println!(
                "{stem}\t{number}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{:.5}\t{}",
                size.width,
                size.height,
                u8::from(pixels.grey),
                drawn,
                measured,
                encoded,
                image.len(),
                ink.fraction,
                u8::from(ink.blank),
            );
            if folder != "-" {
                fs::write(Path::new(folder).join(format!("{stem}-{number}.png")), image).unwrap();
            }
        }
    }
}
