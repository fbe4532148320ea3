//! What measures throughput by the clock: it has the machine for itself, as cargo runs one test program after the other.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

// Shared with the other test program.
#[path = "../it/run_support/mod.rs"]
mod run_support;

mod run_concurrency;
