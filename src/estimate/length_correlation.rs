//! How well ranks expect the lengths of answers.

use crate::{
    concurrency::{Length, PageLengths},
    model::{AttemptOutcome, Engine, PageRecord},
};

/// The correlation of the expected and the actual lengths of the pages that an engine read, of their logarithms,
/// 0.0..=1.0. Pages are expected in the order of the records, each after the ones before. `None` with too few pages.
pub(super) fn length_correlation(engine: Engine, records: &[PageRecord]) -> Option<f64> {
    /// With fewer pages, the correlation would be one of chance.
    const FEWEST: usize = 20;
    let mut known = PageLengths::default();
    let mut pairs = Vec::new();
    for record in records.iter().filter(|record| record.engine == Some(engine) && record.verdict.is_read()) {
        let ink = record.image.map_or(0.0, |image| image.ink_area());
        let of_engine = record.attempts.iter().filter(|attempt| attempt.stage.engine() == engine);
        let accepted = of_engine.filter(|attempt| attempt.outcome == AttemptOutcome::Accepted);
        let tokens = accepted.map(|attempt| attempt.tokens.completion).sum::<u32>();
        if ink > 0.0 && tokens > 0 {
            let Length(expected) = known.expected(record.page.document, ink);
            pairs.push((f64::from(expected).ln(), f64::from(tokens).ln()));
            known.add(record.page.document, ink, tokens);
        }
    }
    (pairs.len() >= FEWEST).then(|| correlation(&pairs).clamp(0.0, 1.0))
}

/// Pearson's correlation; 0 where one of the two does not vary.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let number = pairs.len() as f64;
    let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), pair| (x + pair.0 / number, y + pair.1 / number));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let both = sum(&|pair| (pair.0 - x) * (pair.1 - y));
    let each = (sum(&|pair| (pair.0 - x).powi(2)) * sum(&|pair| (pair.1 - y).powi(2))).sqrt();
    if each > 0.0 { both / each } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_correlation_is_1_on_a_line_and_0_without_one() {
        let line: Vec<(f64, f64)> = (0..9).map(|x| (f64::from(x), 3.0 - 2.0 * f64::from(x))).collect();
        assert!((correlation(&line) + 1.0).abs() < 1e-9);
        assert_eq!(correlation(&[(-1.0, 1.0), (0.0, 0.0), (1.0, 1.0)]), 0.0);
        assert_eq!(correlation(&[(1.0, 1.0), (1.0, 2.0)]), 0.0);
    }
}
