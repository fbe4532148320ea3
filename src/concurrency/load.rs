//! Mean load of a server.

use std::{fmt, ops::AddAssign};

use crate::model::ServerLoad;

use super::Observation;
impl ServerLoad {
    /// Adds an observation at this limit.
    pub fn add(&mut self, seen: &Observation, limit: u32) {
        let seconds = seen.span.as_secs_f64();
        self.seconds += seconds;
        self.limit += seconds * f64::from(limit);
        self.in_flight += seconds * seen.in_flight;
        if let Some(gauges) = seen.gauges {
            self.metrics_seconds += seconds;
            self.running += seconds * gauges.running;
            self.waiting += seconds * gauges.waiting;
        }
    }
}

impl AddAssign for ServerLoad {
    fn add_assign(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.limit += other.limit;
        self.in_flight += other.in_flight;
        self.metrics_seconds += other.metrics_seconds;
        self.running += other.running;
        self.waiting += other.waiting;
    }
}

/// `mean 30.2 in flight of 31.0, 28.1 running, 1.0 waiting`
impl fmt::Display for ServerLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = |sum: f64, seconds: f64| if seconds > 0.0 { sum / seconds } else { 0.0 };
        let (in_flight, limit) = (mean(self.in_flight, self.seconds), mean(self.limit, self.seconds));
        write!(f, "mean {in_flight:.1} in flight of {limit:.1}")?;
        if self.metrics_seconds > 0.0 {
            let (running, waiting) =
                (mean(self.running, self.metrics_seconds), mean(self.waiting, self.metrics_seconds));
            write!(f, ", {running:.1} running, {waiting:.1} waiting")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::concurrency::EngineGauges;

    #[test]
    fn means_are_over_the_seconds_with_a_value() {
        let mut load = ServerLoad::default();
        let seen = |in_flight, gauges| Observation {
            span: Duration::from_secs(2),
            in_flight,
            gauges,
            ..Observation::default()
        };
        load.add(&seen(10.0, None), 20);
        assert_eq!(load.to_string(), "mean 10.0 in flight of 20.0");
        load.add(&seen(20.0, Some(EngineGauges { running: 16.0, waiting: 3.0, ..EngineGauges::default() })), 30);
        assert_eq!(load.to_string(), "mean 15.0 in flight of 25.0, 16.0 running, 3.0 waiting");
    }
}
