//! The launcher and the job script: runs on several hosts, and under PBS.

mod launch_support;
mod pbs_support;
// Shared with the other test program.
#[path = "../it/run_support/mod.rs"]
mod run_support;

mod launch;
mod pbs_job;
