//! What the judge costs, and that it lets every page of a corpus pass.
//!
//!     BOCR_JUDGE_TEXTS=FOLDER cargo bench --bench judge
//!
//! FOLDER holds texts of pages, `.txt`, in any depth; without it, the few pages of `tests/data/truth` are taken. Each page
//! is judged in every dialect, once and printed twice. Bars: no page is cut, and 1,000 characters cost at most 3 ms,
//! while an engine takes seconds to write them, whatever the text.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench has nobody to report to")]

#[path = "../tests/it/judge_support/mod.rs"]
mod judge_support;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use bulletin_ocr::engine::{Judge, Judgement};
use judge_support::{FORMS, cut, pages};

const BAR_US: f64 = 3_000.0;

fn main() -> ExitCode {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/truth");
    let folder = env::var_os("BOCR_JUDGE_TEXTS").map_or_else(default, PathBuf::from);
    let pages = pages(&folder);
    let mut false_cuts = 0;
    for (form, write) in FORMS {
        let (mut characters, mut longest) = (0, 0);
        let begun = Instant::now();
        for (name, text) in &pages {
            let once = write(text);
            for text in [once.repeat(2), once] {
                let length = text.chars().count();
                (characters, longest) = (characters + length, longest.max(length));
                if let Some(cut) = cut(&text) {
                    false_cuts += 1;
                    println!("CUT {name}, {form}, at {} of {length}: {}", cut.seen, cut.found);
                }
            }
        }
        let cost = begun.elapsed().as_secs_f64() * 1e9 / characters as f64;
        println!("{form:26} {:4} pages, the longest {longest:6} characters, {cost:6.1} µs per 1,000", pages.len());
    }
    let mut slow = 0;
    for (name, text) in hostile() {
        let cost = cost_without_cutting(&text);
        slow += usize::from(cost > BAR_US);
        println!("{name:26} {:6} characters, {cost:6.1} µs per 1,000", text.chars().count());
    }
    println!("{false_cuts} false cuts, {slow} texts above {BAR_US} µs");
    if false_cuts + slow == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Microseconds per 1,000 characters, when a token has four characters and nobody heeds the judge.
fn cost_without_cutting(text: &str) -> f64 {
    let characters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = characters.chunks(4).map(|piece| piece.iter().collect()).collect();
    let mut judge = Judge::default();
    let begun = Instant::now();
    let loops = pieces.iter().filter(|piece| judge.push(piece) != Judgement::Continue).count();
    std::hint::black_box(loops);
    begun.elapsed().as_secs_f64() * 1e9 / characters.len() as f64
}

/// Texts that are long, or made to be hard for a search of repetitions.
fn hostile() -> Vec<(&'static str, String)> {
    const LENGTH: usize = 100_000;
    let mut random = oorandom::Rand32::new(7);
    let mut fibonacci = (String::from("b"), String::from("a"));
    while fibonacci.1.len() < LENGTH {
        fibonacci = (fibonacci.1.clone(), fibonacci.1 + &fibonacci.0);
    }
    let mut pieces = |choices: &[&str]| -> String {
        let mut text = String::new();
        while text.len() < LENGTH {
            text.push_str(choices[random.rand_range(0..choices.len() as u32) as usize]);
        }
        text
    };
    vec![
        ("random letters", pieces(&["a", "b", "c", "d", "e", " "])),
        ("random of two", pieces(&["a", "b"])),
        ("random rows", pieces(&["<tr><td></td></tr>", "<tr><td>0</td></tr>", "<tr><td>1</td><td>2</td></tr>"])),
        ("one letter", "a".repeat(LENGTH)),
        ("dots", ".".repeat(LENGTH)),
        ("digits", "0".repeat(LENGTH)),
        ("empty rows", "<tr><td></td></tr>".repeat(LENGTH / 18)),
        ("numbers", (0..LENGTH as u64 / 6).map(|n| format!("{} ", n * n % 99_991)).collect()),
        ("growing runs", (1..450).map(|n| format!("{}b", "a".repeat(n))).collect()),
        ("Fibonacci", fibonacci.1),
    ]
}
