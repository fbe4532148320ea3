//! A comparison: arms with different settings over the same pages.

use std::{collections::BTreeMap, path::PathBuf};

use oorandom::Rand64;

use super::{
    agreement::Texts,
    comparison::{self, Agreement},
    error::ExperimentError,
    inputs::sampled_pages,
    leader::{Leader, Wanted, say, take_part},
    order::next,
    request::{Arm, CompareRequest},
    results::{Kind, Measurement, Results, Setting},
    servers::{Change, ServerSettings},
};
use crate::{comm::Transport, run::over_ranks, worker::WorkerError};

/// Runs the comparison on the rank of this process. Rank 0 returns the result as Markdown, the other ranks nothing.
///
/// # Errors
/// See [`ExperimentError`]. What was measured is kept.
pub fn compare(request: &CompareRequest) -> Result<Option<String>, ExperimentError> {
    over_ranks(|transport| compare_on(transport, request), |_| false)
}

fn compare_on(transport: &mut dyn Transport, request: &CompareRequest) -> Result<Option<String>, ExperimentError> {
    let arms = request.arms.iter().map(|(_, run)| run.clone()).collect();
    take_part(transport, arms, |leader| measure_all(leader, request))
}

fn measure_all(leader: &mut Leader<'_>, request: &CompareRequest) -> Result<String, ExperimentError> {
    let (home, ranks) = (leader.home(), leader.ranks());
    let arms: Vec<Arm> = request.arms.iter().map(|(name, _)| Arm { arm: name.clone() }).collect();
    let runs = request.arms.iter().map(|(name, run)| (name.as_str(), run));
    let setting = Setting::new(Kind::Compare, ranks, request.seed, &[("--pages", request.pages)], runs);
    let mut results = Results::open(&home, setting.map_err(WorkerError::Configuration)?)?;
    let open =
        |results: &Results<Arm>| next(&arms, |arm| results.sample(arm, Measurement::rate), &request.rule, request.seed);
    if let (Some(_), Some((_, run))) = (open(&results), request.arms.first()) {
        let documents = sampled_pages(run, request.pages, &mut Rand64::new(u128::from(request.seed)))?;
        let settings = request.arms.iter().map(|(_, run)| ServerSettings::of(&run.configuration));
        let settings = settings.collect::<Result<Vec<_>, _>>()?;
        let mut served: Option<usize> = None;
        while let Some((arm, number)) = open(&results) {
            let place = arms.iter().position(|other| *other == arm).unwrap_or_default();
            let expected = results.of(&arm).map(|one| one.seconds).reduce(f64::max);
            leader.check_time(expected.unwrap_or_default())?;
            let wanted = |name, pages| Wanted { name, ranks, arm: place as u32, documents: &documents, pages };
            // The first pages of a server that was just started, or just taken over, are slower.
            if served.is_none_or(|before| settings[before].change_to(&settings[place]) != Change::None) {
                leader.run(wanted("warm-up", ranks.saturating_mul(request.warm_up_pages)))?;
            }
            served = Some(place);
            let (report, whole) = leader.run(wanted(&run_name(&arm, number), request.pages))?;
            let measured = Measurement::of(arm.clone(), number, &report, whole);
            say(&format!("{}, measurement {number}: {:.2} pages/s", arm.arm, measured.rate()));
            results.add(measured)?;
            comparison::write(&home, &arms, &results, &BTreeMap::new())?;
        }
    }
    let folder = |arm: &Arm, number| home.join("runs").join(run_name(arm, number));
    let agreements = agreements(&arms, &results, folder)?;
    comparison::write(&home, &arms, &results, &agreements)
}

/// Name of the run directory of a measurement.
fn run_name(arm: &Arm, number: u32) -> String {
    format!("{}-{number:02}", arm.arm)
}

/// Agreement of each arm with the first measurement of the first arm. That arm is compared with itself: what is missing
/// to 1 there comes from the engine, and not from a setting.
fn agreements(
    arms: &[Arm],
    results: &Results<Arm>,
    folder: impl Fn(&Arm, u32) -> PathBuf,
) -> Result<BTreeMap<Arm, Agreement>, ExperimentError> {
    let mut agreements = BTreeMap::new();
    let Some(base) = arms.first() else { return Ok(agreements) };
    let reference = Texts::of(&folder(base, 1))?;
    for arm in arms {
        let mut pages = Vec::new();
        for one in results.of(arm).filter(|one| arm != base || one.number > 1) {
            pages.extend(reference.agreement(&Texts::of(&folder(arm, one.number))?));
        }
        if let Some(agreement) = Agreement::of(pages) {
            agreements.insert(arm.clone(), agreement);
        }
    }
    Ok(agreements)
}
