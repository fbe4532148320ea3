//! Which measurement comes next. Pure.
//!
//! The subjects of an experiment (points of a curve, arms of a comparison) take turns: every subject is measured once
//! before any is measured again, each time in another random order. A machine whose speed changes slowly then changes
//! all subjects alike.

use oorandom::Rand64;

use super::statistics::Sample;

/// When a subject is known well enough.
#[derive(Debug, Clone, Copy)]
pub struct StopRule {
    /// Fewest measurements.
    pub fewest: u32,
    /// Most measurements.
    pub most: u32,
    /// Widest half of the 95 % interval of the rate, as a share of its mean.
    pub precision: f64,
}

impl StopRule {
    /// Whether these measurements of a subject are enough.
    pub(super) fn is_enough(&self, rates: &Sample) -> bool {
        let narrow = || rates.half_width().is_some_and(|half| half <= self.precision * rates.mean());
        rates.len() >= self.most || (rates.len() >= self.fewest && narrow())
    }
}

/// The subject to measure next, and the number of its measurement from 1; `None` when all are known well enough. `rates`
/// are the rates of a subject so far.
pub(super) fn next<S: Clone + PartialEq>(
    subjects: &[S],
    rates: impl Fn(&S) -> Sample,
    rule: &StopRule,
    seed: u64,
) -> Option<(S, u32)> {
    let open: Vec<(&S, u32)> = subjects
        .iter()
        .map(|subject| (subject, rates(subject)))
        .filter(|(_, rates)| !rule.is_enough(rates))
        .map(|(subject, rates)| (subject, rates.len()))
        .collect();
    let round = open.iter().map(|(_, measured)| *measured).min()?;
    let mut random = Rand64::new(u128::from(seed) << 32 | u128::from(round));
    let next = shuffled(subjects, &mut random).into_iter().find(|subject| open.contains(&(subject, round)))?;
    Some((next, round + 1))
}

/// The items in a random order.
pub(super) fn shuffled<S: Clone>(items: &[S], random: &mut Rand64) -> Vec<S> {
    let mut items = items.to_vec();
    for last in (1..items.len()).rev() {
        items.swap(last, random.rand_range(0..last as u64 + 1) as usize);
    }
    items
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::experiment::request::{Mode, Point};

    const RULE: StopRule = StopRule { fewest: 3, most: 6, precision: 0.02 };

    fn points() -> Vec<Point> {
        [1, 2, 4, 8].map(|ranks| Point { mode: Mode::Strong, ranks }).to_vec()
    }

    /// Measures until nothing is left; the rates of a point come from `rate`.
    fn measure(seed: u64, rate: impl Fn(Point, u32) -> f64) -> Vec<(Point, u32)> {
        let mut measured: BTreeMap<Point, Vec<f64>> = BTreeMap::new();
        let mut order = Vec::new();
        let points = points();
        while let Some((point, number)) =
            next(&points, |point| Sample::of(measured.get(point).cloned().unwrap_or_default()), &RULE, seed)
        {
            measured.entry(point).or_default().push(rate(point, number));
            order.push((point, number));
        }
        order
    }

    #[test]
    fn points_take_turns_in_another_order_each_time_and_the_seed_repeats_it() {
        let order = measure(7, |point, _| f64::from(point.ranks));
        assert_eq!(order.len(), 12, "equal rates are known after the fewest measurements");
        let rounds: Vec<Vec<u32>> =
            order.chunks(4).map(|round| round.iter().map(|(point, _)| point.ranks).collect()).collect();
        for (number, round) in (1..).zip(order.chunks(4)) {
            assert!(round.iter().all(|(_, of)| *of == number));
        }
        assert!(rounds.iter().any(|round| round != &rounds[0]), "{rounds:?}");
        assert_eq!(order, measure(7, |point, _| f64::from(point.ranks)));
        assert!((0..20).any(|seed| measure(seed, |point, _| f64::from(point.ranks)) != order));
    }

    #[test]
    fn only_a_point_whose_rates_differ_is_measured_again_and_not_for_ever() {
        let noisy = |point: Point, number| if point.ranks == 4 { 1.0 + f64::from(number) } else { 1.0 };
        let order = measure(1, noisy);
        let count = |ranks| order.iter().filter(|(point, _)| point.ranks == ranks).count();
        assert_eq!([1, 2, 4, 8].map(count), [3, 3, 6, 3]);
    }
}
