//! The search for the best limit: which limit is tried next, given what pages cost at those measured so far.
//!
//! Exploring costs pages where a limit is too low, and little where it is too high. So the search climbs after a rough
//! measurement, never returns to a limit that is certainly worse, and tries no limit that two others show to be worse.

/// A page may take this share longer than at the best limit, and the limit still counts as best; more by this many
/// standard errors.
const TOLERANCE: f64 = 0.01;
const DOUBT: f64 = 1.5;
/// A measurement is precise at this standard error, as a share of the time.
pub(super) const PRECISE: f64 = 0.007;
/// From this standard error on it is rough.
pub(super) const ROUGH: f64 = 2.0 * PRECISE;
/// A lower limit that was measured roughly is measured again, unless its pages take at least this share longer.
const CERTAINLY_WORSE: f64 = 0.08;
/// A higher limit is tried if at least this share of the last rise became throughput.
const LEAST_GAIN: f64 = 0.05;
/// The search ends when the next lower measured limit is no further away than this factor.
const CLOSE: f64 = 1.3;
/// A limit between two measured ones is tried if its pages are expected to take at most this share longer than at the
/// best.
const PROMISING: f64 = 0.02;

/// A limit and what was measured there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MeasuredLimit {
    pub(super) limit: u32,
    /// Seconds of a mean page.
    pub(super) cost: f64,
    /// Standard error of the cost, as a share of it.
    pub(super) error: f64,
}

impl MeasuredLimit {
    /// Whether the difference to a limit with this cost is more than any error.
    pub(super) fn is_far_from(&self, other: &MeasuredLimit) -> bool {
        let doubt = TOLERANCE + 3.0 * self.error.max(PRECISE).hypot(other.error);
        (self.cost / other.cost).ln().abs() > doubt
    }

    fn is_as_good_as(&self, best: &MeasuredLimit) -> bool {
        self.cost / best.cost <= 1.0 + TOLERANCE + DOUBT * self.error.hypot(best.error)
    }

    fn is_rough(&self) -> bool {
        self.error > ROUGH
    }
}

/// How far the next limit is from the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Steps {
    /// The best limit can be anywhere.
    Long,
    /// The best limit may have moved a little.
    Short,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Try(u32),
    Hold(u32),
}

/// The smallest limit that is as good as the best, with its place among the measured ones.
pub(super) fn chosen(measured: &[MeasuredLimit]) -> Option<(usize, &MeasuredLimit)> {
    let best = best(measured)?;
    measured.iter().enumerate().find(|(_, limit)| limit.is_as_good_as(best))
}

/// The limit with the lowest cost.
pub(super) fn best(measured: &[MeasuredLimit]) -> Option<&MeasuredLimit> {
    measured.iter().min_by(|one, other| one.cost.total_cmp(&other.cost))
}

/// Holds the smallest limit that is as good as the best, once the next higher and a slightly lower limit are measured or
/// need not be. `measured` is in order of the limits; `current` is the present one.
pub(super) fn next(measured: &[MeasuredLimit], current: u32, highest: u32, steps: Steps) -> Next {
    let (Some(best), Some((place, chosen))) = (best(measured), chosen(measured)) else { return Next::Hold(current) };
    if chosen.is_rough() && chosen.limit != current {
        return Next::Try(chosen.limit);
    }
    let lower = place.checked_sub(1).map(|place| &measured[place]);
    let is_highest = place + 1 == measured.len() && chosen.limit < highest;
    let higher = is_highest.then(|| above(chosen, lower, highest, steps)).flatten();
    higher.or_else(|| below(chosen, lower, best, steps)).map_or(Next::Hold(chosen.limit), Next::Try)
}

/// The limit to try above the chosen one, which is the highest measured; or the one below it, where that is not certainly
/// worse.
fn above(chosen: &MeasuredLimit, lower: Option<&MeasuredLimit>, highest: u32, steps: Steps) -> Option<u32> {
    let scaled = |factor| Some(scaled(chosen.limit, factor).clamp(chosen.limit + 1, highest));
    let Some(lower) = lower else { return scaled(if steps == Steps::Long { 1.75 } else { 1.25 }) };
    let won = (lower.cost / chosen.cost).ln();
    if lower.is_rough() && won < CERTAINLY_WORSE {
        return Some(lower.limit);
    }
    let rise = (f64::from(chosen.limit) / f64::from(lower.limit)).ln();
    let (gain, doubt) = (won / rise, chosen.error.hypot(lower.error) / rise);
    match gain - doubt {
        0.6.. if !lower.is_rough() => scaled(2.0),
        0.4.. if !lower.is_rough() => scaled(1.5),
        _ if gain >= LEAST_GAIN => scaled(1.25),
        _ => None,
    }
}

/// The limit to try below the chosen one; `lower` is the next lower one that was measured.
fn below(chosen: &MeasuredLimit, lower: Option<&MeasuredLimit>, best: &MeasuredLimit, steps: Steps) -> Option<u32> {
    let Some(lower) = lower else {
        let share = if steps == Steps::Long { 0.7 } else { 0.85 };
        return (chosen.limit > 1).then(|| scaled(chosen.limit, share).clamp(1, chosen.limit - 1));
    };
    let (from, to) = (f64::from(lower.limit), f64::from(chosen.limit));
    if chosen.limit - lower.limit <= 1 || to <= CLOSE * from {
        return None;
    }
    let middle = (from * to).sqrt().round();
    // A page costs a constant and its share of the constant time of the engine's steps.
    let share = (1.0 / middle - 1.0 / to) / (1.0 / from - 1.0 / to);
    let expected = chosen.cost + share * (lower.cost - chosen.cost);
    (expected / best.cost <= 1.0 + PROMISING).then(|| (middle as u32).clamp(lower.limit + 1, chosen.limit - 1))
}

fn scaled(limit: u32, factor: f64) -> u32 {
    (f64::from(limit) * factor).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn limit(limit: u32, cost: f64, error: f64) -> MeasuredLimit {
        MeasuredLimit { limit, cost, error }
    }

    fn next_of(measured: &[MeasuredLimit]) -> Next {
        next(measured, measured[measured.len() - 1].limit, 128, Steps::Long)
    }

    #[test]
    fn it_climbs_after_a_rough_measurement_and_further_where_a_rise_became_throughput() {
        assert_eq!(next_of(&[limit(16, 1.0, 0.03)]), Next::Try(28));
        assert_eq!(next_of(&[limit(16, 1.0, 0.005), limit(28, 0.6, 0.005)]), Next::Try(56));
        assert_eq!(
            next_of(&[limit(100, 1.0, 0.005), limit(120, 0.8, 0.005)]),
            Next::Try(128),
            "no higher than allowed"
        );
    }

    #[test]
    fn it_never_returns_to_a_limit_that_is_certainly_worse() {
        let (rough, worse) = (limit(64, 1.03, 0.03), limit(64, 1.2, 0.03));
        assert_eq!(next_of(&[rough, limit(112, 1.0, 0.005)]), Next::Try(64));
        assert_eq!(next_of(&[worse, limit(112, 1.0, 0.005), limit(128, 1.0, 0.005)]), Next::Hold(112));
    }

    #[test]
    fn between_two_limits_it_tries_only_what_can_be_as_good() {
        let best = limit(128, 1.0, 0.003);
        assert_eq!(next_of(&[limit(64, 1.03, 0.003), best]), Next::Try(91));
        assert_eq!(next_of(&[limit(64, 1.3, 0.003), best]), Next::Hold(128));
    }

    #[test]
    fn of_limits_that_are_equally_good_it_takes_the_lowest_and_tries_a_lower_one() {
        assert_eq!(next_of(&[limit(64, 1.0, 0.003), limit(112, 1.0, 0.003)]), Next::Try(45));
        let measured = [limit(45, 1.1, 0.003), limit(53, 1.05, 0.003), limit(64, 1.0, 0.003), limit(112, 1.0, 0.003)];
        assert_eq!(next_of(&measured), Next::Hold(64));
    }
}
