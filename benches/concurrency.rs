//! The number in flight that the controller chooses, and what it costs, against the best fixed number: servers in virtual
//! time, the same pages in the same order.
//!
//! Bars: at least 0.97 of the best fixed throughput, at most 1.5 times the knee in flight, and from 64 at least 0.98 in the
//! first ten minutes.

#![allow(missing_docs, reason = "a bench")]

use std::time::Duration;

use bulletin_ocr::{
    concurrency::Bounds,
    simulate::{Change, Pacing, Server},
};
use gpu_model::GpuModel;

#[path = "../tests/it/concurrency_support/mod.rs"]
mod concurrency_support;
use concurrency_support::{Knee, gpu, knees, long_answers};

const SEEDS: u64 = 10;
const NUMBERS: [u32; 22] = [4, 6, 7, 8, 10, 12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 72, 80, 112, 144, 192, 256];

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// From the 30th minute on, when the search is over, and the first ten minutes; a minute's figures are a share of what the
/// best fixed number gets in the same time.
fn row(name: &str, server: &Server, bounds: Bounds, from: Duration) {
    let to = from + minutes(60);
    let mut shares = Vec::new();
    let (mut first, mut means, mut most, mut changes, mut knees) = (Vec::new(), Vec::new(), 0, 0, Vec::new());
    for seed in 0..SEEDS {
        let server = Server { seed, ..server.clone() };
        let fixed: Vec<_> = NUMBERS
            .iter()
            .filter(|number| **number <= bounds.ceiling)
            .map(|number| (*number, server.read(Pacing::Fixed(*number), to)))
            .collect();
        let best = |from, to| fixed.iter().map(|(_, curve)| curve.throughput(from, to)).fold(0.0, f64::max);
        let knee = fixed.iter().find(|(_, curve)| curve.throughput(from, to) >= 0.98 * best(from, to));
        knees.extend(knee.map(|(number, _)| *number));
        let curve = server.read(Pacing::Adaptive(bounds), to);
        shares.push(curve.throughput(from, to) / best(from, to));
        first.push(curve.throughput(Duration::ZERO, minutes(10)) / best(Duration::ZERO, minutes(10)));
        means.push(curve.mean_limit(from, to));
        most = most.max(curve.limits(from, to).max().unwrap_or(0));
        changes = changes.max(curve.changes(from, to));
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    println!(
        "| {name} | {}..{} | {:.3} | {:.3} | {:.0} | {:.0} | {most} | {changes} | {:.3} |",
        knees.iter().min().unwrap_or(&0),
        knees.iter().max().unwrap_or(&0),
        mean(&shares),
        least(&shares),
        mean(&means),
        greatest(&means),
        least(&first),
    );
}

fn main() {
    println!("{SEEDS} seeds; an hour after the search\n");
    println!(
        "| server | knee | throughput, mean | worst | in flight, mean | worst mean | highest | changes/h | first 10 min, worst |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for Knee { knee, server, bounds } in knees() {
        row(&format!("knee {knee}, from {}", bounds.start), &server, bounds, minutes(30));
    }
    let h200 = Bounds { start: 64, ceiling: 128 };
    let high = Bounds { start: 64, ceiling: 256 };
    if let Some(Knee { server, .. }) = knees().pop() {
        row("knee 144, from 16", &server, Bounds { start: 16, ..high }, minutes(30));
    }
    let slower = vec![(minutes(30), Change::Slowness(2.0))];
    row("half as fast after 30 min", &Server { changes: slower, ..Server::default() }, h200, minutes(32));
    let changes = vec![(minutes(30), Change::Pages(long_answers()))];
    let moving = Server { changes, gpu: gpu(9000, 90, 80, 256), ..Server::default() };
    row("other pages after 30 min", &moving, high, minutes(35));
    row("no metrics", &Server { metrics: false, ..Server::default() }, h200, minutes(30));
    row("steps vary by 10 %", &Server { noise: 0.1, ..Server::default() }, h200, minutes(30));
    row("steps vary by 30 %", &Server { noise: 0.3, ..Server::default() }, h200, minutes(30));
    row("24 sequences at most", &Server { gpu: gpu(6000, 10, 40, 24), ..Server::default() }, h200, minutes(30));
    let small_cache = GpuModel { kv_tokens: 100_000, ..gpu(6000, 10, 40, 128) };
    row("KV cache of 20 pages", &Server { gpu: small_cache, ..Server::default() }, h200, minutes(30));
    let frontend = Server { preprocessing: (Duration::from_millis(900), 1), ..Server::default() };
    row("preprocessing 0.9 s a page", &frontend, h200, minutes(30));
}
