//! Experiments: many runs inside one allocation, on servers that start once.
//!
//! Every measurement is a whole run ([`crate::run`]) in a run directory of its own, so its pages have an exact ledger.
//! Ranks that a measurement does not use rest; their servers stay.
//!
//! | file | holds |
//! |---|---|
//! | `request` | what an experiment is asked for |
//! | `scaling` | rank 0: the measurements of a scaling experiment, one after the other |
//! | `member` | a rank of an experiment: it takes part in the runs that rank 0 orders |
//! | `epochs` | one transport for the runs and the orders between them |
//! | `order` | which measurement comes next, and when a point is known well enough; pure |
//! | `statistics` | means, intervals, speed-up, efficiency, serial fraction; pure |
//! | `inputs` | documents with a given number of pages |
//! | `results` | `results.jsonl`: the settings and all measurements |
//! | `tables` | Markdown and CSV of the results |
//! | `plots` | SVG plots of the results |
//! | `error` | why an experiment ends early |

mod epochs;
mod error;
mod inputs;
mod member;
mod order;
mod plots;
mod request;
mod results;
mod scaling;
mod statistics;
mod tables;

pub use error::ExperimentError;
pub use request::{Mode, ScalingRequest};
pub use results::RESULTS_FILE;
pub use scaling::{run, run_on};
