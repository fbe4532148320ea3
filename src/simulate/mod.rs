//! A cluster in discrete events that drives the same [`crate::schedule`] as a run.
//!
//! It contains no policy, only ranks, servers, latencies and faults. Everything follows from the seed. [`Server`]
//! simulates one server token by token and drives the same [`crate::concurrency`].

mod accounting;
mod chain;
mod cluster;
mod description;
mod forecast;
mod picture;
mod recording;
mod run;
mod server;
mod service;
mod sharing;
mod simulation;
mod slab;
mod task;
mod timeline;

pub use accounting::RankSeconds;
pub use chain::{Jobs, StartReport, simulate_jobs};
pub use cluster::{Cluster, FailingServer};
pub use description::{Description, DescriptionError, EngineDescription, Loss};
pub use forecast::{Bound, Forecast, ForecastError, StartForecast, forecast};
pub use picture::picture;
pub use recording::Recording;
pub use run::{Continuation, Report, simulate};
pub use server::{Change, LoadCurve, Pacing, Pages, Second, Server};
pub use service::{EngineService, Failures, IndependentService, Lengths, PageTime, Service, SharedService, Spread};
