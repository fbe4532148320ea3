//! Experiments: many runs inside one allocation, on servers that start once.
//!
//! Every measurement is a whole run ([`crate::run`]) in a run directory of its own, so its pages have an exact ledger.
//! Ranks that a measurement does not use rest; their servers stay.
//!
//! | file | holds |
//! |---|---|
//! | `request` | what an experiment is asked for |
//! | `scaling` | a scaling experiment |
//! | `compare` | a comparison of settings |
//! | `leader` | rank 0: it orders runs and reads their reports |
//! | `member` | a rank of an experiment: it takes part in the runs that rank 0 orders |
//! | `epochs` | one transport for the runs and the orders between them |
//! | `servers` | whether servers can stay when settings change |
//! | `order` | which measurement comes next, and when a subject is known well enough; pure |
//! | `statistics` | means, intervals, speed-up, efficiency, serial fraction; pure |
//! | `agreement` | how far the texts of two runs agree |
//! | `inputs` | documents with a given number of pages |
//! | `results` | `results.jsonl`: the settings and all measurements |
//! | `tables`, `plots` | Markdown, CSV and SVG of a curve |
//! | `comparison` | Markdown and CSV of a comparison |
//! | `side_by_side` | results of several experiments in one table |
//! | `error` | why an experiment ends early |

mod agreement;
mod compare;
mod comparison;
mod epochs;
mod error;
mod inputs;
mod leader;
mod member;
mod order;
mod plots;
mod request;
mod results;
mod scaling;
mod servers;
mod side_by_side;
mod statistics;
mod tables;

pub use compare::compare;
pub use error::ExperimentError;
pub use order::StopRule;
pub use request::{CompareRequest, Mode, ScalingRequest};
pub use scaling::scaling;
pub use side_by_side::side_by_side;
