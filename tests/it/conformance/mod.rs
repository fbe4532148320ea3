//! The client against a real vLLM, and the stand-in against both.
//!
//! Every row of [`ROWS`] is asked of a real server where `scripts/conformance` has started one (an ignored test), and of the
//! stand-in as each release with each tiny model that it loads (six tests that always run). The rows say what the client relies on; the
//! last but one compares every status, header and body with what real servers were heard to say, and lists where the
//! stand-in differs on purpose.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod behaviour;
mod forms;
mod target;

use std::{future::Future, pin::Pin, sync::Arc};

use target::{Model, Release, Target};

type Row = (&'static str, fn(Arc<Target>) -> Pin<Box<dyn Future<Output = ()> + Send>>);

macro_rules! rows {
    ($($module:ident::$name:ident),* $(,)?) => { [$((stringify!($name), |target| Box::pin($module::$name(target)))),*] };
}

/// In this order: nobody answers after the last.
const ROWS: [Row; 15] = rows![
    behaviour::the_handshake_tells_what_the_server_can_do,
    behaviour::an_answer_that_ends_by_itself_is_whole_and_has_its_usage,
    behaviour::an_image_costs_the_tokens_that_the_profile_reckons,
    behaviour::a_spent_budget_is_a_truncated_answer,
    behaviour::a_full_context_is_told_from_a_spent_budget,
    behaviour::a_cut_answer_is_aborted_on_the_server,
    behaviour::an_image_that_fills_the_context_is_refused_as_too_long,
    behaviour::a_text_that_fills_the_context_is_refused_as_too_long,
    behaviour::too_large_a_budget_is_refused_or_clamped,
    behaviour::the_budget_of_every_profile_is_accepted,
    behaviour::another_model_is_the_servers_fault_and_not_the_pages,
    behaviour::a_broken_image_is_the_pages_fault_for_good,
    behaviour::repetition_is_told_by_those_who_know_it,
    forms::the_forms_are_those_that_were_recorded,
    behaviour::no_page_is_taken_for_good_when_the_engine_is_killed,
];

/// Asks every row, says how each ended, and fails if any did.
async fn conforms(target: Target) {
    let target = Arc::new(target);
    let mut failed = Vec::new();
    for (name, row) in ROWS {
        let passed = tokio::spawn(row(Arc::clone(&target))).await.is_ok();
        println!("| {} | {target} | {} |", name.replace('_', " "), if passed { "passed" } else { "FAILED" });
        if !passed {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{target}: {failed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real vLLM: scripts/conformance"]
async fn a_real_server_is_what_the_client_takes_it_for() {
    conforms(Target::real()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_with_chandra_is_like_vllm_0_11_2() {
    conforms(Target::stand_in(Release::Old, Model::Chandra)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_with_chandra_is_like_vllm_0_32_0() {
    conforms(Target::stand_in(Release::New, Model::Chandra)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_with_deepseek_is_like_vllm_0_11_2() {
    conforms(Target::stand_in(Release::Old, Model::DeepSeek)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_with_deepseek_is_like_vllm_0_32_0() {
    conforms(Target::stand_in(Release::New, Model::DeepSeek)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_with_surya_is_like_vllm_0_32_0() {
    conforms(Target::stand_in(Release::New, Model::Surya)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_with_olmocr_is_like_vllm_0_32_0() {
    conforms(Target::stand_in(Release::New, Model::Olmocr)).await;
}
