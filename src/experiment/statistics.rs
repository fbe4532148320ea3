//! Means and intervals of repeated measurements, speed-up, efficiency and serial fraction. Pure.

/// 97.5 % quantiles of Student's t distribution for 1 to 30 degrees of freedom (NIST/SEMATECH e-Handbook of Statistical
/// Methods, 1.3.6.7.2).
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// The same for many degrees of freedom.
const T_OF_MANY: f64 = 1.96;

fn t(freedom: usize) -> f64 {
    freedom.checked_sub(1).map_or(f64::INFINITY, |place| T.get(place).copied().unwrap_or(T_OF_MANY))
}

/// Repeated measurements of one quantity.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sample(Vec<f64>);

/// A value with half of the width of its 95 % interval, if that is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) half_width: Option<f64>,
}

impl Sample {
    pub(super) fn of(values: Vec<f64>) -> Sample {
        Sample(values)
    }

    /// Number of measurements.
    pub(super) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    /// Their mean; 0 without any.
    pub(super) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    /// Standard error of the mean; `None` for fewer than two measurements.
    fn error(&self) -> Option<f64> {
        let freedom = self.0.len().checked_sub(1).filter(|freedom| *freedom > 0)?;
        let mean = self.mean();
        let squares: f64 = self.0.iter().map(|value| (value - mean).powi(2)).sum();
        Some((squares / freedom as f64 / self.0.len() as f64).sqrt())
    }

    /// Half of the width of the 95 % interval of the mean; `None` for fewer than two measurements.
    pub(super) fn half_width(&self) -> Option<f64> {
        self.error().map(|error| t(self.0.len() - 1) * error)
    }

    pub(super) fn estimate(&self) -> Estimate {
        Estimate { value: self.mean(), half_width: self.half_width() }
    }

    /// The mean divided by that of `base`. The relative errors of both add as squares; the degrees of freedom are those
    /// of the smaller sample, so the interval is rather too wide.
    pub(super) fn over(&self, base: &Sample) -> Estimate {
        let value = self.mean() / base.mean();
        let relative = |sample: &Sample| Some(sample.error()? / sample.mean());
        let freedom = self.0.len().min(base.0.len()).saturating_sub(1);
        let half_width = relative(self).zip(relative(base)).map(|(own, of_base)| {
            let error = (own.powi(2) + of_base.powi(2)).sqrt();
            t(freedom) * error * value
        });
        Estimate { value, half_width }
    }
}

impl Estimate {
    /// A multiple of the value.
    pub(super) fn times(self, factor: f64) -> Estimate {
        Estimate { value: self.value * factor, half_width: self.half_width.map(|half| half * factor) }
    }
}

/// The serial fraction that follows from a speed-up (Karp and Flatt 1990): (1/S - 1/p) / (1 - 1/p). `None` for one rank,
/// where it is not defined. `ranks` may be a ratio of two numbers of ranks.
pub(super) fn serial_fraction(speed_up: f64, ranks: f64) -> Option<f64> {
    (ranks > 1.0).then(|| (1.0 / speed_up - 1.0 / ranks) / (1.0 - 1.0 / ranks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_that_of_students_distribution() {
        let sample = Sample::of(vec![9.0, 10.0, 11.0, 12.0, 8.0]);
        assert_eq!((sample.len(), sample.mean()), (5, 10.0));
        // The standard deviation is sqrt(2.5); 2.776 * sqrt(2.5 / 5).
        assert!((sample.half_width().unwrap() - 1.9629).abs() < 1e-3, "{:?}", sample.half_width());
        assert_eq!(Sample::of(vec![3.0]).half_width(), None);
        assert_eq!(Sample::of(Vec::new()).half_width(), None);
        assert_eq!(Sample::of(vec![4.0; 40]).half_width(), Some(0.0));
    }

    #[test]
    fn a_ratio_has_the_errors_of_both() {
        let (own, base) = (Sample::of(vec![19.0, 20.0, 21.0]), Sample::of(vec![9.9, 10.0, 10.1]));
        let ratio = own.over(&base);
        assert!((ratio.value - 2.0).abs() < 1e-12);
        // sqrt((0.5774 / 20)² + (0.05774 / 10)²) = 0.02944, times 4.303 and 2.
        assert!((ratio.half_width.unwrap() - 0.2534).abs() < 1e-3, "{ratio:?}");
        assert_eq!(own.over(&Sample::of(vec![10.0])).half_width, None);
    }

    #[test]
    fn the_serial_fraction_is_that_of_karp_and_flatt() {
        // Amdahl with a serial part of 5 %: the speed-up of 8 ranks is 1 / (0.05 + 0.95 / 8).
        let speed_up = 1.0 / (0.05 + 0.95 / 8.0);
        assert!((serial_fraction(speed_up, 8.0).unwrap() - 0.05).abs() < 1e-12);
        assert_eq!(serial_fraction(1.0, 1.0), None);
    }
}
