//! The number in flight on servers in virtual time, token by token.

use std::time::Duration;

use bulletin_ocr::{
    concurrency::Bounds,
    simulate::{Change, LoadCurve, Pacing, Server},
};
use gpu_model::GpuModel;

use crate::concurrency_support::{Knee, gpu, knees, long_answers};

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn adaptive(server: &Server, bounds: Bounds, time: Duration) -> LoadCurve {
    server.read(Pacing::Adaptive(bounds), time)
}

const FROM_64: Bounds = Bounds { start: 64, ceiling: 128 };

/// Long enough for a fixed number on a server that does not change: nothing has to settle but the first pages.
const STEADY: (Duration, Duration) = (minutes(4), minutes(16));

/// The best throughput of the fixed numbers between two moments, and the smallest with 0.98 of it.
fn best_fixed(server: &Server, numbers: &[u32], from: Duration, to: Duration) -> (f64, u32) {
    let rates: Vec<(u32, f64)> =
        numbers.iter().map(|number| (*number, server.read(Pacing::Fixed(*number), to).throughput(from, to))).collect();
    let best = rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let knee = rates.iter().find(|(_, rate)| *rate >= 0.98 * best).map_or(0, |(number, _)| *number);
    (best, knee)
}

#[test]
fn it_settles_near_the_knee_and_loses_no_throughput() {
    let (from, to) = (minutes(25), minutes(45));
    for knee in knees() {
        let k = knee.knee;
        let (best, found) = best_fixed(&knee.server, &[3 * k / 4, k, 3 * k / 2], STEADY.0, STEADY.1);
        assert_eq!(found, k, "the knee is where it is said to be");
        let curve = adaptive(&knee.server, knee.bounds, to);
        let (rate, limit) = (curve.throughput(from, to) / best, curve.mean_limit(from, to));
        assert!(rate >= 0.97, "knee {k}: {rate:.3} of the best");
        assert!(limit <= 1.5 * f64::from(k), "knee {k}: {limit:.0} in flight");
    }
}

#[test]
fn a_start_far_below_the_knee_rises_within_minutes() {
    let server = knees().remove(3).server;
    let curve = adaptive(&server, Bounds { start: 16, ceiling: 256 }, minutes(8));
    assert!(curve.0.last().is_some_and(|second| second.limit >= 128), "{:?}", curve.0.last());
}

#[test]
fn a_start_at_the_number_that_an_earlier_run_found_loses_little() {
    let Knee { knee, server, .. } = knees().remove(3);
    let ten = minutes(10);
    let curve = server.read(Pacing::Found(Bounds { start: knee, ceiling: 256 }), ten);
    let fixed = server.read(Pacing::Fixed(knee), ten);
    let share = curve.throughput(Duration::ZERO, ten) / fixed.throughput(Duration::ZERO, ten);
    assert!(share >= 0.99, "{share:.3} of what the number gets that is held");
}

#[test]
fn it_does_not_oscillate() {
    for metrics in [true, false] {
        let server = Server { metrics, ..Server::default() };
        let curve = adaptive(&server, FROM_64, minutes(100));
        let (from, to) = (minutes(20), minutes(100));
        assert!(curve.changes(from, to) <= 12, "{} changes in 80 minutes", curve.changes(from, to));
        let (lowest, highest) = (curve.limits(from, to).min(), curve.limits(from, to).max());
        assert!(highest <= lowest.map(|lowest| 2 * lowest), "tries included, from {lowest:?} to {highest:?}");
    }
}

#[test]
fn a_server_that_becomes_half_as_fast_keeps_its_number() {
    let server = Server { changes: vec![(minutes(20), Change::Slowness(2.0))], ..Server::default() };
    let (from, to) = (minutes(22), minutes(50));
    let slow = Server { changes: vec![(Duration::ZERO, Change::Slowness(2.0))], ..Server::default() };
    let (best, knee) = best_fixed(&slow, &[27, 36, 54], STEADY.0, STEADY.1);
    let curve = adaptive(&server, FROM_64, to);
    assert!(curve.throughput(from, to) >= 0.97 * best);
    assert!(curve.mean_limit(from, to) <= 1.5 * f64::from(knee));
}

#[test]
fn it_follows_a_knee_that_moves() {
    let changes = vec![(minutes(20), Change::Pages(long_answers()))];
    let server = Server { changes, gpu: gpu(9000, 90, 80, 256), ..Server::default() };
    let (from, to) = (minutes(25), minutes(50));
    let after = Server { changes: Vec::new(), pages: long_answers(), ..server.clone() };
    let (best, knee) = best_fixed(&after, &[80, 112, 160], STEADY.0, STEADY.1);
    let curve = adaptive(&server, Bounds { start: 32, ceiling: 256 }, to);
    assert!(curve.throughput(from, to) >= 0.97 * best);
    assert!(curve.mean_limit(from, to) <= 1.5 * f64::from(knee));
}

#[test]
fn noise_neither_costs_throughput_nor_drives_it_up() {
    let server = Server { noise: 0.1, metrics: false, ..Server::default() };
    let (from, to) = (minutes(20), minutes(50));
    let (best, knee) = best_fixed(&server, &[27, 36, 54], STEADY.0, STEADY.1);
    let curve = adaptive(&server, FROM_64, to);
    assert!(curve.throughput(from, to) >= 0.97 * best);
    assert!(curve.mean_limit(from, to) <= 1.5 * f64::from(knee));
}

#[test]
fn what_the_server_cannot_run_is_not_sent() {
    // 24 sequences at most, and a KV cache for about 20. Of the second's best, which is a peak at one number, no more is
    // promised than what a crowd gets.
    for (gpu, bar) in [(gpu(6000, 10, 40, 24), 0.97), (GpuModel { kv_tokens: 100_000, ..gpu(6000, 10, 40, 128) }, 0.93)]
    {
        let server = Server { gpu, ..Server::default() };
        let (from, to) = (minutes(5), minutes(40));
        let (best, _) = best_fixed(&server, &[16, 20, 24, 32, 64], STEADY.0, STEADY.1);
        let curve = adaptive(&server, FROM_64, to);
        let (rate, limit) = (curve.throughput(from, to) / best, curve.mean_limit(from, to));
        assert!(rate >= bar, "{rate:.3}");
        assert!(limit <= 36.0, "{limit:.0} in flight");
    }
}

#[test]
fn a_want_of_pages_and_a_restart_leave_the_number_alone() {
    let changes = vec![
        (minutes(20), Change::Supply(1.0)),
        (minutes(30), Change::Supply(f64::INFINITY)),
        (minutes(32), Change::Restart),
    ];
    let server = Server { changes, ..Server::default() };
    let curve = adaptive(&server, FROM_64, minutes(34));
    assert_eq!(curve.changes(minutes(20) + Duration::from_secs(5), minutes(30)), 0);
    let before = curve.0[minutes(20).as_secs() as usize].limit;
    let after = curve.0[minutes(34).as_secs() as usize - 1].limit;
    assert!(after.abs_diff(before) <= before / 3, "{before} before, {after} after");
}
