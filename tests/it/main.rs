//! Every test of the program but the one that needs the machine for itself: one test program, as each program more is
//! compiled and linked with everything once more.
//!
//! `cargo test --test it run_faults` runs the tests of one file.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

// What tests share.
mod imaging_support {
    pub mod mutants;
}
mod concurrency_support;
mod damage_support;
mod engines;
mod job_support;
mod judge_support;
mod launch_support;
mod pbs_support;
mod run_support;
mod schedule_support;
mod scripts_support;
mod standin_common;
mod store_support;
mod turns_support;

mod cluster_simulation;
mod concurrency_simulation;
mod conformance;
mod corpus_plan;
mod corpus_update;
mod engine_client;
mod experiment_compare;
mod experiment_scaling;
mod fault_matrix;
mod imaging_bombs;
mod imaging_faithful;
mod imaging_fuzz;
mod imaging_pool;
mod job_submit;
mod judge_cases;
mod judge_dialects;
mod launch;
mod layout_labels;
mod layout_turned;
mod module_order;
mod mpi_transport;
mod node_preparation;
mod page_damage;
mod page_parts;
mod page_turns;
mod pbs_job;
mod pbs_job_alone;
mod plan_estimate;
mod run_answers;
mod run_builds;
mod run_faults;
mod run_hanging_tasks;
mod run_in_process;
mod run_logs;
mod run_main_job;
mod run_profiles;
mod run_retries;
mod run_role_switches;
mod run_three_engines;
mod run_walltime;
mod schedule_expiry;
mod schedule_failures;
mod schedule_races;
mod schedule_role_switch;
mod schedule_simulation;
mod schedule_stories;
mod schedule_trials;
mod scripts_character_errors;
mod scripts_environments;
mod scripts_scaling;
mod server_guard;
mod server_role_switches;
mod server_service;
mod standin_api;
mod standin_faults;
mod standin_reading;
mod store_any_record;
mod store_damage;
mod store_export;
mod store_files;
mod store_kill;
mod terminal_output;
