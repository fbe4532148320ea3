//! A cluster in discrete events, which drives the very same [`crate::schedule`] as a run does.
//!
//! It holds no policy: ranks, servers, latencies and faults only. Everything follows from the seed. One server by itself,
//! token by token, drives the very same [`crate::concurrency`].

mod cluster;
mod run;
mod server;
mod simulation;
mod task;
mod timeline;

pub use cluster::Cluster;
pub use run::{Report, simulate};
pub use server::{Change, Escalation, Pacing, Pages, Second, Server};
