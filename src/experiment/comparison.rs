//! Markdown and CSV of a comparison.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use super::{
    error::ExperimentError,
    request::Arm,
    results::{Measurement, Results},
    statistics::Estimate,
    tables::{estimate_text, head},
};
use crate::sys::replace;

const NOTES: &str = "\
Every arm read the same pages, in runs of its own, in turns. The rate is pages a second while pages were read. Values are
means with half of their 95 % interval (Student). *Ratio*: to the rate of the first arm. *Agreement*: the share of
characters that are the same as in the first measurement of the first arm (1 less the Levenshtein distance divided by the
length of the longer text), mean over pages, and the tenth part of pages that agrees least. The first arm is compared with
other measurements of its own: what is missing to 1 there comes from the engine.";

/// How far the texts of an arm agree with those of the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Agreement {
    mean: f64,
    /// A tenth of the pages agree less than this.
    low: f64,
}

impl Agreement {
    /// Of all pages; `None` without any.
    pub(super) fn of(mut pages: Vec<f64>) -> Option<Agreement> {
        pages.sort_by(f64::total_cmp);
        let low = *pages.get(pages.len() / 10)?;
        Some(Agreement { mean: pages.iter().sum::<f64>() / pages.len() as f64, low })
    }
}

/// What the ratio of two rates says.
pub(super) fn verdict(ratio: Estimate) -> &'static str {
    match ratio.half_width {
        Some(half) if ratio.value - half > 1.0 => "faster",
        Some(half) if ratio.value + half < 1.0 => "slower",
        Some(_) => "no difference shown",
        None => "measured too few times",
    }
}

/// Writes `compare.md` and `arms.csv`. Returns the Markdown.
///
/// # Errors
/// They cannot be written.
pub(super) fn write(
    folder: &Path,
    arms: &[Arm],
    results: &Results<Arm>,
    agreements: &BTreeMap<Arm, Agreement>,
) -> Result<String, ExperimentError> {
    let mut page = format!(
        "# Comparison\n\n{}\n\n{NOTES}\n\n\
         | arm | measured | pages | failed | pages/s | ratio | verdict | tokens a page | agreement | lowest tenth |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
        head(&results.setting)
    );
    let mut csv = String::from(
        "arm,measured,pages,failed,rate,rate_half_width,ratio,ratio_half_width,tokens_of_page,agreement,lowest_tenth\n",
    );
    let number = |value: Option<f64>, places: usize| value.map(|value| format!("{value:.places$}"));
    let base = arms.first().map(|arm| results.sample(arm, Measurement::rate)).unwrap_or_default();
    for (place, arm) in arms.iter().enumerate() {
        let rates = results.sample(arm, Measurement::rate);
        if rates.len() == 0 {
            continue;
        }
        let rate = rates.estimate();
        let ratio = match place {
            0 => Estimate { value: 1.0, half_width: None },
            _ => rates.over(&base),
        };
        let verdict = if place == 0 { "-" } else { verdict(ratio) };
        let pages = results.sample(arm, |one| one.pages as f64).mean();
        let failed = results.sample(arm, |one| one.failed as f64).mean();
        let tokens = results.sample(arm, Measurement::tokens_of_page).mean();
        let agreement = agreements.get(arm);
        let (mean, low) = (agreement.map(|one| one.mean), agreement.map(|one| one.low));
        let _ = writeln!(
            page,
            "| {} | {} | {pages:.0} | {failed:.1} | {} | {} | {verdict} | {tokens:.0} | {} | {} |",
            arm.arm,
            rates.len(),
            estimate_text(rate, 2),
            estimate_text(ratio, 3),
            number(mean, 4).unwrap_or("-".into()),
            number(low, 4).unwrap_or("-".into()),
        );
        let _ = writeln!(
            csv,
            "{},{},{pages:.0},{failed:.2},{:.4},{},{:.4},{},{tokens:.1},{},{}",
            arm.arm,
            rates.len(),
            rate.value,
            number(rate.half_width, 4).unwrap_or_default(),
            ratio.value,
            number(ratio.half_width, 4).unwrap_or_default(),
            number(mean, 5).unwrap_or_default(),
            number(low, 5).unwrap_or_default(),
        );
    }
    for (name, text) in [("compare.md", &page), ("arms.csv", &csv)] {
        let path = folder.join(name);
        replace(&path, text.as_bytes()).map_err(|source| ExperimentError::File { path, source })?;
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_given_only_where_the_interval_allows_one() {
        let of = |value, half_width| verdict(Estimate { value, half_width });
        assert_eq!(of(1.2, Some(0.1)), "faster");
        assert_eq!(of(0.8, Some(0.1)), "slower");
        assert_eq!(of(1.2, Some(0.3)), "no difference shown");
        assert_eq!(of(1.2, None), "measured too few times");
    }

    #[test]
    fn agreement_shows_the_pages_that_agree_least() {
        let mut pages = vec![1.0; 18];
        pages.extend([0.2, 0.4]);
        let agreement = Agreement::of(pages).unwrap();
        assert!((agreement.mean - 0.93).abs() < 1e-9 && agreement.low == 1.0, "{agreement:?}");
        assert_eq!(Agreement::of((0..20).map(|page| f64::from(page) / 20.0).collect()).unwrap().low, 0.1);
        assert_eq!(Agreement::of(Vec::new()), None);
    }
}
