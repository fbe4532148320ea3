//! A cluster in discrete events, which drives the very same [`crate::schedule`] as a run does.
//!
//! It holds no policy: ranks, servers, latencies and faults only. Everything follows from the seed.

mod cluster;
mod timeline;

pub use cluster::{Cluster, Report, simulate};
