//! A thousand small clusters with every kind of trouble, driven by the real scheduler.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeSet, time::Duration};

use bulletin_ocr::{
    model::{DocumentId, FailureClass, Outcome, PageIndex, PageRef, RankId, StopReason},
    simulate::{Cluster, simulate},
};
use oorandom::Rand64;

/// A small cluster with every kind of trouble, drawn from the seed.
fn troubled(seed: u64) -> Cluster {
    let mut random = Rand64::new(u128::from(seed) ^ 0x5eed);
    let mut below = |limit: u64| random.rand_range(0..limit);
    let ranks = 1 + below(5) as u32;
    let roles = ["chandra", "chandra,deepseek", "chandra+deepseek", "chandra,chandra,deepseek"][below(4) as usize];
    let page_counts: Vec<u32> = (0..1 + below(6)).map(|_| below(14) as u32).collect();
    let mut poison = BTreeSet::new();
    for (document, count) in page_counts.iter().enumerate() {
        if *count > 0 && below(6) == 0 {
            let page = PageIndex(below(u64::from(*count)) as u32);
            poison.insert(PageRef { document: DocumentId(document as u32), page });
        }
    }
    let mut rank_losses = Vec::new();
    for rank in 1..ranks {
        if below(4) == 0 {
            rank_losses.push((RankId(rank), Duration::from_millis(below(20_000))));
        }
    }
    Cluster {
        seed,
        ranks,
        roles: roles.parse().unwrap(),
        page_counts,
        unit_pages: 1 + below(6) as u32,
        credits: 1 + below(8) as u32,
        in_flight: 1 + below(4) as u32,
        answer_time: Duration::from_secs(1),
        latency: Duration::from_millis(1 + below(2_000)),
        loops: 0.2,
        blank: 0.05,
        poison,
        server_deaths: 0.02,
        engine_losses: 0.1,
        rank_losses: rank_losses.into_iter().collect(),
        deadline: (below(8) == 0).then(|| Duration::from_millis(below(30_000))),
        check: true,
    }
}

#[test]
fn a_thousand_troubled_clusters_end_with_an_exact_ledger() {
    let (mut complete, mut recovered, mut poisoned, mut stale, mut returned) = (0, 0, 0, 0, 0);
    for seed in 0..1_000 {
        let cluster = troubled(seed);
        let report = simulate(&cluster).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        let counts = &report.counts;
        match report.outcome {
            Some(Outcome::Complete) => {
                assert_eq!(counts.settled(), counts.pages, "seed {seed}");
                complete += 1;
            }
            Some(Outcome::Stopped(reason)) => {
                assert!(counts.settled() < counts.pages, "seed {seed}: stopped for {reason:?} with nothing left");
                assert!(
                    reason != StopReason::Deadline || cluster.deadline.is_some(),
                    "seed {seed}: no deadline was set"
                );
            }
            None => panic!("seed {seed}: the run never ended: {counts:?}"),
        }
        recovered += counts.recovered;
        poisoned += counts.failed.get(&FailureClass::Poison).copied().unwrap_or_default();
        stale += counts.stale;
        returned += report.actions.iter().filter(|action| action.contains("visit: Return")).count();
    }
    // The troubles must really have happened, or the test proves nothing.
    assert!(complete > 700, "only {complete} of 1000 clusters got to the end");
    assert!(returned > 50, "only {returned} pages went back to the first engine");
    assert!(recovered > 100 && poisoned > 20 && stale >= 10, "{recovered} recovered, {poisoned} poison, {stale} stale");
}

#[test]
fn the_same_seed_gives_the_same_actions() {
    for seed in [3, 77, 512] {
        let cluster = troubled(seed);
        assert_eq!(simulate(&cluster).unwrap(), simulate(&cluster).unwrap());
    }
}
