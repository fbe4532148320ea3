//! What measures throughput by the clock: it has the machine for itself, as cargo runs one test program after the other.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

// Shared with the other test program.
#[path = "../it/engines.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod engines;
#[path = "../it/run_support/mod.rs"]
mod run_support;

mod run_concurrency;
