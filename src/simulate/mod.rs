//! A cluster in discrete events that drives the same [`crate::schedule`] as a run.
//!
//! It contains no policy, only ranks, servers, latencies and faults. Everything follows from the seed. [`Server`]
//! simulates one server token by token and drives the same [`crate::concurrency`].

mod accounting;
mod cluster;
mod run;
mod server;
mod service;
mod sharing;
mod simulation;
mod task;
mod timeline;

pub use accounting::RankSeconds;
pub use cluster::{Cluster, FailingServer};
pub use run::{Report, simulate};
pub use server::{Change, LoadCurve, Pacing, Pages, Second, Server};
pub use service::{EngineService, Failures, IndependentService, Lengths, PageTime, Service, SharedService, Spread};
