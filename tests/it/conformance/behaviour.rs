//! What the client relies on, one row each: asked of a real server and of the stand-in alike.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bulletin_ocr::{
    engine::{
        Asking, Classification, Client, End, EngineResponse, Expectation, Health, PageImage, Profile, Reader,
        RepetitionDetection, TokenBudget, classify,
    },
    model::{
        AttemptOutcome, BBox, FailureClass, FinishReason, MachineFault, PixelSize, RankId, ServerKind, Shown, Stage,
    },
};
use futures_util::future::join_all;
use serde_json::json;

use super::target::{CONTEXT, PAGE, Release, Target, page};

/// Makes the tiny models end an answer after some 20 tokens; both have this id for their end. The stand-in ends by
/// itself.
fn ending() -> serde_json::Value {
    json!({ "logit_bias": { "4084": 5 } })
}

/// Makes a real model go on until its budget ends.
fn endless() -> serde_json::Value {
    json!({ "ignore_eos": true })
}

fn outcome(reply: &EngineResponse, max_tokens: u32) -> AttemptOutcome {
    match classify(reply, max_tokens, CONTEXT, Health::Alive) {
        Classification::Whole => AttemptOutcome::Accepted,
        Classification::Ends(outcome, _) => outcome,
    }
}

pub async fn the_handshake_tells_what_the_server_can_do(target: Arc<Target>) {
    let server = target.capabilities().await;
    assert!(server.version.starts_with(target.release.name()), "{server:?}");
    assert_eq!((server.model.as_str(), server.max_model_len), (target.profile.served_name.as_str(), CONTEXT));
    assert_eq!(server.repetition_detection, target.release == Release::New);
    assert_eq!(server.metrics.as_ref().map(Vec::len), Some(6), "{server:?}");
    assert_eq!(server.server == ServerKind::Model, target.is_real());
    let asked = target.profile.request.contains_key("vllm_xargs") && target.is_real();
    assert_eq!(server.ngram_processor, asked.then_some(true));
}

pub async fn an_answer_that_ends_by_itself_is_whole_and_has_its_usage(target: Arc<Target>) {
    let profile = target.profile_with(ending());
    let reply = target.ask(&target.client, &profile, &page(PAGE), 4000, "brief").await;
    assert_eq!(reply.end, End::Finished(FinishReason::Stop), "{reply:?}");
    assert!(reply.usage_reported && reply.time_to_first_token.is_some());
    assert!((1..4000).contains(&reply.usage.completion), "{:?}", reply.usage);
    assert_eq!(outcome(&reply, 4000), AttemptOutcome::Accepted);
}

pub async fn an_image_costs_the_tokens_that_the_profile_reckons(target: Arc<Target>) {
    let mut texts = Vec::new();
    for (width, height) in [(320, 448), (1000, 1400), (700, 300), (1191, 1684)] {
        let size = PixelSize { width, height };
        let reply = target.ask(&target.client, &target.profile, &page(size), 1, "cost").await;
        let budget = TokenBudget::compute(&target.profile, CONTEXT, size).unwrap();
        assert!(reply.usage.prompt + budget.answer <= CONTEXT, "{budget:?} {:?}", reply.usage);
        texts.push(reply.usage.prompt - budget.image);
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "the rest is the text, always the same: {texts:?}");
}

pub async fn a_spent_budget_is_a_truncated_answer(target: Arc<Target>) {
    let reply = target.ask(&target.endless, &target.profile_with(endless()), &page(PAGE), 60, "spent").await;
    assert_eq!(reply.end, End::Finished(FinishReason::Length), "{reply:?}");
    assert_eq!(reply.usage.completion, 60);
    assert_eq!(outcome(&reply, 60), AttemptOutcome::Failed(FailureClass::Truncated));
}

pub async fn a_full_context_is_told_from_a_spent_budget(target: Arc<Target>) {
    let mut profile = target.profile_with(endless());
    let image = profile.visual_tokens.count(PAGE);
    // How many tokens the server makes of a text is its own matter.
    let mut cost = async |words: u32| {
        profile.prompt_text = "bulletin ".repeat(words as usize);
        let reply = target.ask(&target.endless, &profile, &page(PAGE), 1, "full").await;
        reply.usage.prompt - image
    };
    let hundred = cost(100).await;
    let text = cost(100 * 6_800 / hundred).await;
    let max_tokens = CONTEXT - text - image / 2;
    let reply = target.ask(&target.endless, &profile, &page(PAGE), max_tokens, "full").await;
    assert_eq!(reply.end, End::Finished(FinishReason::Length), "{reply:?}");
    assert_eq!(reply.usage.prompt + reply.usage.completion, CONTEXT);
    assert_eq!(outcome(&reply, max_tokens), AttemptOutcome::Failed(FailureClass::ContextFull));
}

async fn running(client: &Client) -> f64 {
    client.metrics().await.and_then(|metrics| metrics.running).unwrap()
}

pub async fn a_cut_answer_is_aborted_on_the_server(target: Arc<Target>) {
    let asked = Arc::clone(&target);
    let tokens = target.client.traffic().tokens();
    let answer = tokio::spawn(async move {
        let profile = asked.profile_with(endless());
        asked.ask(&asked.client, &profile, &page(PAGE), 7000, "slow").await
    });
    let end = Instant::now() + Duration::from_secs(60);
    while target.client.traffic().tokens() == tokens || running(&target.client).await < 1.0 {
        assert!(Instant::now() < end && !answer.is_finished(), "it never ran");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    answer.abort();
    let end = Instant::now() + Duration::from_secs(20);
    while running(&target.client).await > 0.0 {
        assert!(Instant::now() < end, "it runs on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn an_image_that_fills_the_context_is_refused_as_too_long(target: Arc<Target>) {
    let mut profile = target.profile.clone();
    // DeepSeek's images are never so large: its prompt is.
    let size = PixelSize { width: 2480, height: 3508 };
    let words = match profile.visual_tokens.count(size) {
        image if image >= CONTEXT => 0,
        image => CONTEXT - image,
    };
    if words > 0 {
        profile.prompt_text = "bulletin ".repeat(words as usize);
    }
    let reply = target.ask(&target.client, &profile, &page(size), 1, "long").await;
    assert!(matches!(reply.end, End::Refused { status: 400, .. }), "{:?}", reply.end);
    assert_eq!(outcome(&reply, 1), AttemptOutcome::Failed(FailureClass::ContextFull), "{:?}", reply.end);
}

pub async fn a_text_that_fills_the_context_is_refused_as_too_long(target: Arc<Target>) {
    let profile = Profile { prompt_text: "bulletin ".repeat(20_000), ..target.profile.clone() };
    let reply = target.ask(&target.client, &profile, &page(PAGE), 10, "long").await;
    assert!(matches!(reply.end, End::Refused { status: 400, .. }), "{:?}", reply.end);
    assert_eq!(outcome(&reply, 10), AttemptOutcome::Failed(FailureClass::ContextFull), "{:?}", reply.end);
}

pub async fn too_large_a_budget_is_refused_or_clamped(target: Arc<Target>) {
    let profile = target.profile_with(ending());
    let reply = target.ask(&target.client, &profile, &page(PAGE), CONTEXT - 1, "edge").await;
    match target.release {
        Release::Old => assert!(matches!(reply.end, End::Refused { status: 400, .. }), "{:?}", reply.end),
        Release::New => assert_eq!(reply.end, End::Finished(FinishReason::Stop)),
    }
    let reply = target.ask(&target.client, &profile, &page(PAGE), CONTEXT + 1, "beyond").await;
    assert!(matches!(reply.end, End::Refused { status: 400, .. }), "{:?}", reply.end);
}

pub async fn the_budget_of_every_profile_is_accepted(target: Arc<Target>) {
    for name in Profile::built_in() {
        let mut profile = Profile::load(name, None).unwrap();
        if profile.visual_tokens != target.profile.visual_tokens {
            continue;
        }
        profile.request.extend(ending().as_object().unwrap().clone());
        profile.sampling.clone_from(&target.profile.sampling);
        for (width, height) in [(1600, 2240), (1191, 1684)] {
            let size = PixelSize { width, height };
            let budget = TokenBudget::compute(&profile, CONTEXT, size).unwrap();
            let reply = target.ask(&target.client, &profile, &page(size), budget.answer, "budget").await;
            assert_eq!(reply.end, End::Finished(FinishReason::Stop), "{name} {budget:?}: {reply:?}");
        }
    }
}

pub async fn another_model_is_the_servers_fault_and_not_the_pages(target: Arc<Target>) {
    let mut server = target.capabilities().await;
    server.model = "another".into();
    let question = bulletin_ocr::engine::EngineRequest::build(&target.profile, &server, &page(PAGE), 10, 0, "another");
    let reply = target.client.ask(&question).await;
    assert!(matches!(reply.end, End::Refused { status: 404, .. }), "{:?}", reply.end);
    assert_eq!(outcome(&reply, 10), AttemptOutcome::Interrupted(MachineFault::ServerDied));
}

pub async fn a_broken_image_is_the_pages_fault_for_good(target: Arc<Target>) {
    let whole = page(PAGE);
    let (half, nothing) = (&whole[..whole.len() / 2], &b"no image at all"[..]);
    for (what, png, status) in [("cut", half, target.release.pick(500, 400)), ("none", nothing, 400)] {
        let reply = target.ask(&target.client, &target.profile, png, 10, "broken").await;
        let End::Refused { status: told, .. } = &reply.end else { panic!("{what}: {:?}", reply.end) };
        assert_eq!(*told, status, "{what}: {:?}", reply.end);
        assert_eq!(outcome(&reply, 10), AttemptOutcome::Failed(FailureClass::Rejected), "{what}: {:?}", reply.end);
    }
}

pub async fn repetition_is_told_by_those_who_know_it(target: Arc<Target>) {
    // The same token again and again, on a real server.
    let mut profile = target.profile_with(json!({ "logit_bias": { "1000": 100 } }));
    profile.request.remove("vllm_xargs");
    profile.repetition_detection = Some(RepetitionDetection { min_pattern_size: 1, max_pattern_size: 8, min_count: 4 });
    let reply = target.ask(&target.client, &profile, &page(PAGE), 400, "repetition").await;
    match target.release {
        Release::New => {
            assert_eq!(reply.end, End::Finished(FinishReason::Repetition), "{reply:?}");
            assert!(reply.usage.completion < 20, "{:?}", reply.usage);
            assert_eq!(outcome(&reply, 400), AttemptOutcome::Failed(FailureClass::Loop));
        }
        Release::Old => {
            let known = [End::Finished(FinishReason::Length)].contains(&reply.end);
            assert!(known || matches!(reply.end, End::Cut { .. }), "{reply:?}");
        }
    }
}

/// The last row: nobody answers after it. The stream of a dying engine ends with an error event and then with `[DONE]`.
pub async fn no_page_is_taken_for_good_when_the_engine_is_killed(target: Arc<Target>) {
    let profile = target.profile_with(endless());
    // Each has a client of its own, so that its tokens are counted alone: an engine may begin the next answer only when the
    // one before has all the tokens that the three together wait for.
    let mut victims = Vec::new();
    let mut clients = Vec::new();
    for number in 0..3 {
        let client = target.another_client();
        clients.push(client.clone());
        let reader = Reader::connect("chandra".parse().unwrap(), profile.clone(), client, RankId(0)).await.unwrap();
        victims.push(tokio::spawn(async move {
            let shown = Shown::whole(PAGE);
            let image = PageImage { png: page(PAGE).into(), shown, place: BBox::PAGE, expects: Expectation::NONE };
            let request_id = format!("slow.p{number}");
            let asking = Asking { request_id: &request_id, stage: Stage::FIRST, step: 0 };
            reader.attempt(&image, asking).await
        }));
    }
    let end = Instant::now() + Duration::from_secs(60);
    while clients.iter().any(|client| client.traffic().tokens() < 4) {
        assert!(Instant::now() < end, "they never ran");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    target.kill_engine().await;
    for result in join_all(victims).await {
        let attempt = result.unwrap().attempt;
        assert_eq!(attempt.outcome, AttemptOutcome::Interrupted(MachineFault::ServerDied), "{}", attempt.reason);
        assert!(attempt.reason.contains("EngineCore"), "{}", attempt.reason);
        assert!(!attempt.answer.is_empty(), "what had come is kept");
    }
    assert!(target.client.await_gone(Duration::from_secs(20)).await.is_some());
}
