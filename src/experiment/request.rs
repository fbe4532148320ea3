//! What an experiment is asked for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::order::StopRule;
use crate::run::RunRequest;

/// What stays the same while the number of ranks grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The pages of each rank.
    Weak,
    /// The pages of all ranks together.
    Strong,
}

impl Mode {
    /// Both, in the order of reports.
    pub const ALL: [Mode; 2] = [Mode::Weak, Mode::Strong];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Weak => "weak",
            Mode::Strong => "strong",
        })
    }
}

/// The settings and limits of a scaling experiment.
#[derive(Debug, Clone)]
pub struct ScalingRequest {
    /// The run of each measurement. Its run directory is the folder of the experiment.
    pub run: RunRequest,
    /// Numbers of ranks to measure; empty: 1, 2, 4 … and all.
    pub ranks: Vec<u32>,
    /// Kinds of scaling.
    pub modes: Vec<Mode>,
    /// Pages of a rank in weak scaling.
    pub pages: u32,
    /// Pages of all ranks in strong scaling.
    pub strong_pages: u32,
    /// How often a point is measured.
    pub rule: StopRule,
    /// Pages of a rank before the first measurement.
    pub warm_up_pages: u32,
    /// Determines the order of the measurements.
    pub seed: u64,
}

/// A point of the scaling curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) mode: Mode,
    pub(super) ranks: u32,
}

impl ScalingRequest {
    /// The points, for an experiment on `available` ranks.
    pub(super) fn points(&self, available: u32) -> Vec<Point> {
        let mut numbers = self.ranks.clone();
        if numbers.is_empty() {
            numbers = std::iter::successors(Some(1), |ranks| Some(ranks * 2)).take_while(|n| *n < available).collect();
            numbers.push(available);
        }
        numbers.sort_unstable();
        numbers.dedup();
        let of_mode =
            |mode: &Mode| numbers.iter().map(|ranks| Point { mode: *mode, ranks: *ranks }).collect::<Vec<_>>();
        self.modes.iter().flat_map(of_mode).collect()
    }

    /// Pages of a measurement of the point.
    pub(super) fn pages_of(&self, point: Point) -> u32 {
        match point.mode {
            Mode::Weak => self.pages.saturating_mul(point.ranks),
            Mode::Strong => self.strong_pages,
        }
    }
}

/// The settings and limits of a comparison.
#[derive(Debug, Clone)]
pub struct CompareRequest {
    /// The arms, by name: runs with different settings. The first is the one that the others are compared with. The run
    /// directory of all is the folder of the experiment.
    pub arms: Vec<(String, RunRequest)>,
    /// Pages of each measurement, in documents that are drawn at random.
    pub pages: u32,
    /// How often an arm is measured.
    pub rule: StopRule,
    /// Pages of a rank before each measurement that starts servers anew.
    pub warm_up_pages: u32,
    /// Determines the documents and the order of the measurements.
    pub seed: u64,
}

/// An arm of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Arm {
    pub(super) arm: String,
}
