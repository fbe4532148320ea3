//! What a simulated run costs: 4,096 ranks and 10 M pages, or as many as `BOCR_RANKS` and `BOCR_PAGES` say.
//!
//! Bars: at most 60 s and 2 GiB; the run takes at most 1/0.95 of its bound.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that cannot go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bulletin_ocr::{
    model::{Engine, EngineNames, RoleNames, configuration::Schedule},
    simulate::{Cluster, EngineService, Failures, Lengths, PageTime, Service, SharedService, Spread, simulate},
};
use gpu_model::GpuModel;

fn number(variable: &str, default: u32) -> u32 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// The highest resident memory of this process so far, in MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn main() {
    let (ranks, pages) = (number("BOCR_RANKS", 4_096), number("BOCR_PAGES", 10_000_000));
    for roles in ["chandra", "15*chandra,deepseek"] {
        let engine = |page, in_flight| EngineService {
            in_flight,
            page,
            lengths: Lengths::Lognormal(0.5),
            length_correlation: 0.8,
            failures: Failures { first: 0.03, again: 0.8, length: 0.7 },
            start: Spread { mean: Duration::from_secs(140), deviation: Duration::from_secs(20) },
            switch_first: Spread::none(Duration::from_secs(140)),
            switch_back: Spread::none(Duration::from_secs(14)),
        };
        let chandra = engine(PageTime::on(&GpuModel::default(), 4014.0, 1267.0), 64);
        let deepseek = engine(PageTime { floor: 0.0, each: 0.43, prefill: 0.0 }, 16);
        let service = SharedService {
            engines: BTreeMap::from([(Engine::FIRST, chandra), (Engine::at(1).unwrap(), deepseek)]),
            slowness: BTreeMap::new(),
            preparation: Duration::from_secs(60),
            ending: Duration::from_secs(10),
            schedule: Schedule::default(),
            lease_floor: Duration::from_secs(3600),
        };
        let cluster = Cluster {
            seed: 0,
            ranks,
            roles: roles.parse::<RoleNames>().unwrap().resolve(&EngineNames::default()).unwrap(),
            page_counts: vec![40; pages as usize / 40],
            unit_pages: 8,
            credits: 128,
            service: Service::Shared(Box::new(service)),
            latency: Duration::from_millis(1),
            blank: 0.02,
            poison: BTreeSet::new(),
            server_deaths: 0.0,
            dying_servers: BTreeMap::new(),
            restart: Duration::from_secs(140),
            engine_losses: 0.0,
            rank_losses: BTreeMap::new(),
            hanging_pages: BTreeMap::new(),
            hanging_ranks: BTreeMap::new(),
            failing_servers: BTreeMap::new(),
            holds_on: false,
            races: true,
            deadline: None,
            record: false,
            check: false,
        };
        let start = Instant::now();
        let report = simulate(&cluster).unwrap();
        println!(
            "{ranks} ranks, {pages} pages, {roles}: {:.1} s and at most {} MiB (bars: 60 s, 2,048 MiB); simulated {:.0} s, \
             {:?}, {:?}, work {:.0} s",
            start.elapsed().as_secs_f64(),
            peak_memory(),
            report.elapsed.as_secs_f64(),
            report.counts,
            report.rank_seconds,
            report.work / f64::from(ranks)
        );
    }
}
