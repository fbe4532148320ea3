//! Every fault of the script, as a client meets it.

#![allow(clippy::unwrap_used)]

mod standin_common;

use std::time::Duration;

use serde_json::json;
use standin_common::{Server, blank, chunks, page, script, text_of};

const PAGE: &str = "BO_7500_Fr.p3.l17.a1";

struct Scene {
    server: Server,
    body: serde_json::Value,
    _script: tempfile::NamedTempFile,
}

/// An instant synthetic Chandra with one fault.
fn scene(fault: &str) -> Scene {
    let script = script(&format!("[[fault]]\n{fault}\n"));
    let path = script.path().to_str().unwrap().to_owned();
    let server = Server::start(&["--speak", "chandra", "--mode", "synthetic", "--time-scale", "0", "--faults", &path]);
    Scene { server, body: page("chandra", &blank(640, 640)), _script: script }
}

impl Scene {
    async fn status(&self, request_id: &str) -> u16 {
        self.server.post(&self.body).header("x-request-id", request_id).send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn status_codes_strike_the_page_they_are_meant_for() {
    for code in [500, 503, 400] {
        let scene = scene(&format!("page = \"BO_7500_Fr.p3\"\ntimes = 1\nkind = \"{code}\""));
        assert_eq!(scene.status("BO_7500_Fr.p31.l1.a1").await, 200);
        assert_eq!(scene.status(PAGE).await, code);
        assert_eq!(scene.status(PAGE).await, 200, "once only");
    }
}

#[tokio::test]
async fn a_loop_repeats_its_phrase_until_the_budget() {
    let scene = scene("kind = \"loop\"\nafter_tokens = 20\nphrase = \"et de la commune \"");
    let (_, answer) = scene.server.chat(&scene.body).await;
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 4000);
    let text = choice["message"]["content"].as_str().unwrap();
    assert!(text.starts_with("<div data-bbox=") && text.contains(&"et de la commune ".repeat(500)), "{text}");
}

#[tokio::test]
async fn a_cut_loop_saves_its_tokens() {
    let script = script("[[fault]]\nkind = \"loop\"\n");
    let path = script.path().to_str().unwrap();
    for mode in [["--mode", "synthetic"], ["--mode", "tesseract"]] {
        let server = Server::start(&[&["--speak", "chandra", "--faults", path], &mode[..]].concat());
        let mut body = page("chandra", &blank(640, 640));
        body["stream"] = json!(true);
        let mut response = server.post(&body).send().await.unwrap();
        let mut seen = String::new();
        while standin_common::events(&seen).len() < 150 {
            seen.push_str(&String::from_utf8_lossy(&response.chunk().await.unwrap().unwrap()));
        }
        drop(response);
        server.until_metric("vllm:num_requests_running", 0.0).await;
        let spent = server.metric("vllm:generation_tokens_total").await;
        assert!(spent < 2000.0, "{mode:?}: {spent} of 4000 tokens spent");
    }
}

#[tokio::test]
async fn an_empty_answer_is_one_token_and_a_stop() {
    let scene = scene("kind = \"empty\"");
    let (status, answer) = scene.server.chat(&scene.body).await;
    assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("")));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["completion_tokens"], 1);
}

#[tokio::test]
async fn a_truncated_answer_ends_with_length() {
    let scene = scene("kind = \"truncated\"\nafter_tokens = 30");
    let (_, answer) = scene.server.chat(&scene.body).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 30);
}

#[tokio::test]
async fn a_stall_keeps_the_connection_open_and_others_are_served() {
    let mut scene = scene("page = \"BO_7500_Fr.p3\"\nkind = \"stall\"\nafter_tokens = 10");
    scene.body["stream"] = json!(true);
    let mut response = scene.server.post(&scene.body).header("x-request-id", PAGE).send().await.unwrap();
    let mut seen = String::new();
    while standin_common::events(&seen).len() < 11 {
        seen.push_str(&String::from_utf8_lossy(&response.chunk().await.unwrap().unwrap()));
    }
    assert_eq!(scene.status("another").await, 200);
    let silence = tokio::time::timeout(Duration::from_millis(300), response.chunk()).await;
    assert!(silence.is_err(), "{silence:?}");
    assert_eq!(scene.server.metric("vllm:num_requests_running").await, 1.0);
    drop(response);
    scene.server.until_metric("vllm:num_requests_running", 0.0).await;
}

#[tokio::test]
async fn a_reset_cuts_streams_and_whole_answers() {
    let scene = scene("page = \"BO_7500_Fr.p3\"\nkind = \"reset\"\nafter_tokens = 10");
    let whole = scene.server.post(&scene.body).header("x-request-id", PAGE).send().await;
    assert!(whole.is_err(), "{whole:?}");
    let mut body = scene.body.clone();
    body["stream"] = json!(true);
    // The cut may come before the headers are read.
    if let Ok(mut response) = scene.server.post(&body).header("x-request-id", PAGE).send().await {
        let mut seen = String::new();
        let error = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => seen.push_str(&String::from_utf8_lossy(&chunk)),
                Ok(None) => panic!("the stream ended in order: {seen}"),
                Err(error) => break error,
            }
        };
        assert!(!seen.contains("[DONE]") && !seen.contains("\"stop\""), "{seen} {error}");
    }
    assert_eq!(scene.status("another").await, 200);
}

#[tokio::test]
async fn death_breaks_streams_then_health_then_the_process_and_exits_with_zero() {
    let mut scene = scene("nth = 2\nkind = \"death\"\nafter_tokens = 10");
    assert_eq!(scene.status("first").await, 200);
    let (events, orderly) = scene.server.stream(&scene.body).await;
    assert!(orderly, "a dying server ends its streams in order");
    assert_eq!(events.last().unwrap(), "[DONE]");
    let chunks = chunks(&events);
    let error = &chunks.last().unwrap()["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("BadRequestError"), &json!(400)));
    assert!(error["message"].as_str().unwrap().starts_with("EngineCore encountered an issue."));
    assert_eq!(chunks.len(), 1 + 10 + 1, "role, ten tokens, the error");
    assert_eq!(scene.server.get("/health").await.0, 503);
    assert_eq!(scene.server.get("/v1/models").await.0, 200);
    let (status, body) = scene.server.chat(&scene.body).await;
    assert_eq!((status, &body["error"]["type"]), (500, &json!("InternalServerError")));
    assert_eq!(scene.server.end().await.code(), Some(0));
    assert!(scene.server.client.get(format!("{}/health", scene.server.url)).send().await.is_err());
}

#[tokio::test]
async fn a_hang_stops_all_requests_and_leaves_health_at_200() {
    let scene = scene("nth = 2\nkind = \"hang\"");
    assert_eq!(scene.status("first").await, 200);
    let tokens = scene.server.metric("vllm:generation_tokens_total").await;
    for _ in 0..2 {
        let request = scene.server.post(&scene.body).timeout(Duration::from_millis(500)).send().await;
        assert!(request.unwrap_err().is_timeout());
    }
    assert_eq!(scene.server.get("/health").await.0, 200);
    assert_eq!(scene.server.metric("vllm:generation_tokens_total").await, tokens);
}

#[tokio::test]
async fn a_fault_for_the_other_engine_does_not_strike() {
    let scene = scene("engine = \"deepseek\"\nkind = \"500\"");
    let (events, _) = scene.server.stream(&scene.body).await;
    assert!(!text_of(&events).is_empty());
}

#[test]
fn a_wrong_script_is_refused_with_file_and_line() {
    let script = script("[[fault]]\nkind = \"empty\"\nafter = 3\n");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_bocr"))
        .args(["stand-in", "--speak", "chandra", "--mode", "synthetic", "--port", "0", "--faults"])
        .arg(script.path())
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("line 3") && message.contains("after") && message.contains(script.path().to_str().unwrap()),
        "{message}"
    );
}
