//! The launcher and the job script: runs on several hosts, and under PBS.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod launch_support;
mod pbs_support;
// Shared with the other test program.
#[path = "../it/run_support/mod.rs"]
mod run_support;

mod launch;
mod pbs_job;
