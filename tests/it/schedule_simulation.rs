//! A thousand small clusters with every kind of trouble, driven by the real scheduler. `BOCR_SEEDS=100000` says how many.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::engines;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bulletin_ocr::{
    model::{DocumentId, FailureClass, Outcome, PageIndex, PageRef, RankId, StopReason},
    simulate::{Cluster, FailingServer, IndependentService, Report, Service, simulate},
};
use oorandom::Rand64;

/// A small cluster with every kind of trouble, drawn from the seed.
fn troubled(seed: u64) -> Cluster {
    let mut random = Rand64::new(u128::from(seed) ^ 0x5eed);
    let mut below = |limit: u64| random.rand_range(0..limit);
    let ranks = 1 + below(5) as u32;
    let roles = [
        "chandra",
        "chandra,deepseek",
        "chandra+deepseek",
        "chandra,chandra,deepseek",
        "chandra/deepseek",
        "chandra,chandra/deepseek",
        "chandra/deepseek,deepseek",
        "chandra/deepseek,chandra+deepseek",
    ];
    let two = roles[below(roles.len() as u64) as usize];
    let roles = three_engines(seed).unwrap_or(two);
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
        if below(12) == 0 {
            rank_losses.push((RankId(rank), Duration::from_millis(below(20_000))));
        }
    }
    let (hanging_pages, hanging_ranks) = hanging(seed, ranks, &page_counts);
    let failing_servers = failing(seed, ranks);
    let (unit_pages, credits) = (1 + below(6) as u32, 1 + below(8) as u32);
    let in_flight = 1 + below(4) as u32;
    let latency = Duration::from_millis(1 + below(2_000));
    let loops = [0.2, 0.5][below(2) as usize];
    let server_deaths = [0.0, 0.02][below(2) as usize];
    let restart = Duration::from_millis(1 + below(4_000));
    let turn_first = Duration::from_secs(1 + below(6));
    let turn_back = Duration::from_millis(1 + below(2_000));
    let answer_time = Duration::from_secs(1);
    let service = IndependentService { in_flight, answer_time, loops, turn_first, turn_back };
    Cluster {
        seed,
        ranks,
        roles: engines::roles(roles),
        page_counts,
        unit_pages,
        credits,
        service: Service::Independent(service),
        latency,
        blank: 0.05,
        poison,
        server_deaths,
        dying_servers: dying(seed, ranks),
        restart,
        engine_losses: 0.1,
        rank_losses: rank_losses.into_iter().collect(),
        hanging_pages,
        hanging_ranks,
        failing_servers,
        holds_on: below(3) == 0,
        races: below(2) == 0,
        deadline: (below(8) == 0).then(|| Duration::from_millis(below(30_000))),
        record: false,
        check: true,
    }
}

/// Roles with three engines, in a third of the clusters.
fn three_engines(seed: u64) -> Option<&'static str> {
    let mut random = Rand64::new(u128::from(seed) ^ 0x3333);
    let mut below = |limit: u64| random.rand_range(0..limit);
    let roles = [
        "chandra/deepseek/surya-2",
        "chandra,deepseek,surya-2",
        "chandra+deepseek+surya-2",
        "chandra,deepseek/surya-2",
        "chandra/surya-2,deepseek",
        "chandra/deepseek,deepseek/surya-2,chandra/surya-2",
        "chandra,surya-2",
    ];
    (below(3) == 0).then(|| roles[below(roles.len() as u64) as usize])
}

/// Pages that never come back or come back late, in some clusters, and in fewer a rank that gives nothing back.
fn hanging(
    seed: u64,
    ranks: u32,
    page_counts: &[u32],
) -> (BTreeMap<PageRef, Option<Duration>>, BTreeMap<RankId, Duration>) {
    let mut random = Rand64::new(u128::from(seed) ^ 0x4a46);
    let mut below = |limit: u64| random.rand_range(0..limit);
    let mut pages = BTreeMap::new();
    let mut hanging_ranks = BTreeMap::new();
    if below(3) == 0 {
        for (document, count) in page_counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let page = PageIndex(below(u64::from(*count)) as u32);
            let time = (below(2) == 0).then(|| Duration::from_secs(below(2_000)));
            if below(2) == 0 {
                pages.insert(PageRef { document: DocumentId(document as u32), page }, time);
            }
        }
    }
    if below(12) == 0 {
        hanging_ranks.insert(RankId(below(u64::from(ranks)) as u32), Duration::from_millis(below(10_000)));
    }
    (pages, hanging_ranks)
}

/// In some clusters a server that fails every page from some time on.
fn failing(seed: u64, ranks: u32) -> BTreeMap<RankId, FailingServer> {
    let mut random = Rand64::new(u128::from(seed) ^ 0xfa11);
    let mut below = |limit: u64| random.rand_range(0..limit);
    let failing = FailingServer {
        since: Duration::from_millis(below(5_000)),
        answer_time: Duration::from_millis(1 + below(500)),
        mended_by_restart: below(2) == 0,
    };
    let rank = RankId(below(u64::from(ranks)) as u32);
    if below(6) == 0 { BTreeMap::from([(rank, failing)]) } else { BTreeMap::new() }
}

/// In some clusters a server that dies with every page from some time on.
fn dying(seed: u64, ranks: u32) -> BTreeMap<RankId, Duration> {
    let mut random = Rand64::new(u128::from(seed) ^ 0xdead);
    let mut below = |limit: u64| random.rand_range(0..limit);
    let rank = RankId(below(u64::from(ranks)) as u32);
    let since = Duration::from_millis(below(5_000));
    if below(12) == 0 { BTreeMap::from([(rank, since)]) } else { BTreeMap::new() }
}

#[test]
fn a_thousand_troubled_clusters_end_with_an_exact_ledger() {
    let (mut complete, mut recovered, mut poisoned, mut stale, mut returned) = (0, 0, 0, 0, 0);
    let (mut turns, mut turns_lost, mut expired, mut stuck) = (0, 0, 0, 0);
    let (mut restarted, mut given_up) = (0, 0);
    let seeds = std::env::var("BOCR_SEEDS").map_or(1_000, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
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
        turns += report.turns;
        turns_lost += report.turns_lost;
        (restarted, given_up) = (restarted + report.failing_servers.0, given_up + report.failing_servers.1);
        let failed_poison = counts.failed.get(&FailureClass::Poison).copied().unwrap_or_default();
        if cluster.server_deaths == 0.0 {
            assert!(failed_poison <= cluster.poison.len() as u64, "seed {seed}: {failed_poison} pages called poison");
        }
        let failed_stuck = counts.failed.get(&FailureClass::Stuck).copied().unwrap_or_default();
        assert!(failed_stuck == 0 || report.expired > 0, "seed {seed}: {failed_stuck} pages failed without a cause");
        if cluster.hanging_ranks.is_empty() {
            let hang = cluster.hanging_pages.len() as u64;
            assert!(failed_stuck <= hang, "seed {seed}: {failed_stuck} pages failed where {hang} hang");
        }
        (expired, stuck) = (expired + report.expired, stuck + failed_stuck);
        returned += report.actions.iter().filter(|action| action.contains("stage: FirstAgain")).count();
    }
    println!(
        "{seeds} clusters: {complete} complete, {recovered} recovered, {poisoned} poison, {stale} stale, {returned} returned, \
         {turns} turns ({turns_lost} lost), {expired} leases expired, {stuck} stuck, {restarted} servers restarted, {given_up} given up"
    );
    // The troubles must really have happened, or the test proves nothing.
    assert!(complete > 650, "only {complete} of 1000 clusters got to the end");
    assert!(turns > 150 && turns_lost > 15, "{turns} turns, {turns_lost} of them lost");
    assert!(restarted > 10 && given_up > 2, "{restarted} servers restarted, {given_up} given up");
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

const SERVERS: IndependentService = IndependentService {
    in_flight: 8,
    answer_time: Duration::from_secs(10),
    loops: 0.0,
    turn_first: Duration::from_secs(130),
    turn_back: Duration::from_secs(14),
};

/// Servers of which so many pages loop.
fn servers(loops: f64) -> Service {
    Service::Independent(IndependentService { loops, ..SERVERS })
}

/// A cluster without trouble.
fn steady(ranks: u32, roles: &str, documents: usize) -> Cluster {
    Cluster {
        seed: 6,
        ranks,
        roles: engines::roles(roles),
        page_counts: vec![40; documents],
        unit_pages: 8,
        credits: 16,
        service: servers(0.0),
        latency: Duration::from_millis(10),
        blank: 0.0,
        poison: BTreeSet::new(),
        server_deaths: 0.0,
        dying_servers: BTreeMap::new(),
        restart: Duration::from_secs(90),
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
    }
}

/// A cluster without trouble, but for pages that loop: `loops` is of one attempt, its cube of all three.
fn looping(roles: &str, ranks: u32, documents: usize, loops: f64) -> Report {
    let cluster = Cluster { service: servers(loops), ..steady(ranks, roles, documents) };
    let report = simulate(&cluster).unwrap();
    assert_eq!(report.outcome, Some(Outcome::Complete), "{roles}");
    println!("{loops:.2} {ranks} {roles:28} {:5.0} s, {} turns", report.elapsed.as_secs_f64(), report.turns);
    report
}

/// Whoever fixes the split must know beforehand how many pages will fail. The figures are shown with `--nocapture`.
#[test]
fn ranks_that_turn_end_no_later_than_the_best_split_that_is_fixed_but_for_what_their_turns_take() {
    let fixed = ["7*chandra,deepseek", "6*chandra,2*deepseek", "5*chandra,3*deepseek", "4*chandra,4*deepseek"];
    for loops in [0.3, 0.5] {
        looping("chandra", 8, 50, loops);
        let splits: Vec<_> = fixed.iter().map(|roles| looping(roles, 8, 50, loops).elapsed).collect();
        let patterns = ["7*chandra,chandra/deepseek", "4*chandra,4*chandra/deepseek", "chandra/deepseek"];
        for (roles, in_turn) in patterns.into_iter().zip([1, 4, 8]) {
            let best = splits.iter().take(in_turn).min().unwrap();
            let report = looping(roles, 8, 50, loops);
            assert!((1..=in_turn as u32 + 1).contains(&report.turns), "{roles}: {} turns to and fro", report.turns);
            let turn = Duration::from_secs(130);
            assert!(report.elapsed <= *best + turn, "{roles}: {:?}, at best {best:?}", report.elapsed);
        }
    }
}

/// Here stage 2 needs about one rank of 64 all the time, and that one often has nothing to do for a while.
#[test]
fn a_rank_that_waits_for_failures_does_not_turn_to_and_fro() {
    for loops in [0.245, 0.25, 0.28] {
        let report = looping("chandra/deepseek", 64, 400, loops);
        assert!((1..=4).contains(&report.turns), "{} turns", report.turns);
    }
}

/// Some servers of a healthy cluster fail every page, faster than the others read them.
fn failing_beside(good: u32, failing: u32, server: FailingServer) -> Report {
    let ranks = good + failing;
    let cluster = Cluster {
        seed: 11,
        service: servers(0.1),
        failing_servers: (0..failing).map(|rank| (RankId(rank), server)).collect(),
        ..steady(ranks, "chandra", 200)
    };
    let report = simulate(&cluster).unwrap();
    let (answers, time) = report.failing_answers;
    println!(
        "{good} good, {failing} failing: {:?}, {answers} answers of failing servers, {:.3} % of the time, {:?}",
        report.counts.failed,
        100.0 * time.as_secs_f64() / report.busy.as_secs_f64(),
        report.failing_servers
    );
    report
}

/// Fast refusals, slow ones, and a server that breaks after an hour.
#[test]
fn servers_that_fail_everything_harm_no_page_and_get_little_of_the_work() {
    let seconds = Duration::from_secs;
    for (since, answer_time) in [(0, 1), (0, 5_000), (600, 1), (600, 5_000)] {
        for (good, failing) in [(1, 1), (2, 1), (1, 2), (8, 3)] {
            let answer_time = Duration::from_millis(answer_time);
            let server = FailingServer { since: seconds(since), answer_time, mended_by_restart: false };
            let report = failing_beside(good, failing, server);
            assert_eq!(report.outcome, Some(Outcome::Complete));
            assert!(!report.counts.failed.contains_key(&FailureClass::Rejected), "{:?}", report.counts);
            assert_eq!(report.failing_servers, (failing, failing));
            let (answers, time) = report.failing_answers;
            assert!(answers <= u64::from(failing) * 80, "{answers} answers for {failing} servers");
            assert!(time <= report.busy / 100, "{time:?} of {:?}", report.busy);
        }
    }
    let mended = FailingServer { since: seconds(600), answer_time: Duration::from_millis(1), mended_by_restart: true };
    assert_eq!(failing_beside(2, 1, mended).failing_servers, (1, 0));
}

#[test]
fn a_cluster_whose_servers_all_fail_everything_stops_at_once() {
    for failing in [1, 2, 8] {
        let server =
            FailingServer { since: Duration::ZERO, answer_time: Duration::from_millis(1), mended_by_restart: false };
        let report = failing_beside(0, failing, server);
        assert_eq!(report.outcome, Some(Outcome::Stopped(StopReason::AllServersFail(engines::CHANDRA))));
        assert_eq!(report.counts.settled(), 0);
        let (answers, _) = report.failing_answers;
        assert!(answers <= 40 + 30 * u64::from(failing), "{answers} answers");
    }
}

/// One rank of 64 in flight, for an hour of pages and more.
fn one_gpu(poison: &[u32], deaths: f64) -> Cluster {
    let poison = poison.iter().map(|page| PageRef { document: DocumentId(0), page: PageIndex(*page) }).collect();
    Cluster {
        poison,
        server_deaths: deaths,
        service: Service::Independent(IndependentService {
            in_flight: 64,
            answer_time: Duration::from_secs(30),
            ..SERVERS
        }),
        credits: 80,
        page_counts: vec![4_000],
        ..steady(1, "chandra", 1)
    }
}

#[test]
fn a_page_that_kills_among_64_is_found_in_a_few_deaths_and_no_other_is_blamed() {
    let most = 2 * 64_u32.ilog2();
    for seed in 0..4 {
        let page = 500 + 170 * seed as u32;
        let report = simulate(&Cluster { seed, ..one_gpu(&[page], 0.0) }).unwrap();
        assert_eq!(report.outcome, Some(Outcome::Complete));
        assert_eq!(report.counts.failed, BTreeMap::from([(FailureClass::Poison, 1)]), "page {page}");
        assert!(report.deaths <= most, "page {page}: {} deaths", report.deaths);
    }
    let report = simulate(&one_gpu(&[500, 510, 3_000, 3_500], 0.0)).unwrap();
    assert_eq!(report.counts.failed, BTreeMap::from([(FailureClass::Poison, 4)]));
    assert!(report.deaths <= 4 * most, "{} deaths", report.deaths);
}

/// A death that no page caused costs the restart and little more.
#[test]
fn a_death_that_no_page_caused_costs_at_most_three_per_cent_of_an_hour() {
    let mut costs = Vec::new();
    for seed in 0..10 {
        let cluster = Cluster { seed, ..one_gpu(&[], 0.000_4) };
        let died = simulate(&cluster).unwrap();
        assert_eq!((died.outcome, died.counts.read), (Some(Outcome::Complete), 4_000));
        if died.deaths == 0 {
            continue;
        }
        let whole = simulate(&Cluster { server_deaths: 0.0, ..cluster.clone() }).unwrap();
        // What was in flight at a death is read again: on average half of each answer is lost.
        let restarts = f64::from(died.deaths) * cluster.restart.as_secs_f64();
        costs.push((died.elapsed.as_secs_f64() - whole.elapsed.as_secs_f64() - restarts) / f64::from(died.deaths));
    }
    let mean = costs.iter().sum::<f64>() / costs.len() as f64;
    println!("{} runs with deaths: {mean:.0} s each, besides the restart", costs.len());
    assert!(costs.len() > 5 && mean <= 0.03 * 3_600.0, "{mean:.0} s a death");
}

#[test]
fn a_server_that_dies_with_every_page_is_given_up_and_no_page_is_blamed() {
    let dying = |ranks, since| Cluster {
        dying_servers: BTreeMap::from([(RankId(0), Duration::from_secs(since))]),
        ..steady(ranks, "chandra", 10)
    };
    for since in [0, 100] {
        let beside = simulate(&dying(2, since)).unwrap();
        assert_eq!((beside.outcome, beside.counts.read), (Some(Outcome::Complete), 400), "{:?}", beside.counts);
        assert!(beside.deaths <= 6, "{} deaths", beside.deaths);
        let alone = simulate(&dying(1, since)).unwrap();
        assert_eq!(alone.outcome, Some(Outcome::Stopped(StopReason::NoEngine(engines::CHANDRA))));
        assert!(alone.counts.failed.is_empty() && alone.deaths <= 6, "{:?}, {} deaths", alone.counts, alone.deaths);
    }
}
