//! Every fault of the script, as a client meets it.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use crate::standin_common::{self, Server, blank, canary, chunks, events, page, script, text_of};
use serde_json::json;

const PAGE: &str = "BO_7500_Fr.p3.l17.a1";

struct Scene {
    server: Server,
    body: serde_json::Value,
    _script: tempfile::NamedTempFile,
}

/// An instant synthetic Chandra with one fault.
fn scene(fault: &str) -> Scene {
    scene_as("0.32.0", fault)
}

/// A stand-in that speaks as this release of vLLM.
fn scene_as(release: &str, fault: &str) -> Scene {
    let script = script(&format!("[[fault]]\n{fault}\n"));
    let path = script.path().to_str().unwrap().to_owned();
    let instant = ["--speak", "chandra", "--mode", "synthetic", "--time-scale", "0"];
    let server = Server::start(&[&instant[..], &["--faults", &path, "--vllm-version", release]].concat());
    Scene { server, body: page("chandra", &blank(640, 640)), _script: script }
}

impl Scene {
    /// The bytes of a stream that ends in order.
    async fn bytes(&self) -> Vec<u8> {
        let (bytes, orderly) = self.server.stream_bytes(&self.body).await;
        assert!(orderly, "{}", String::from_utf8_lossy(&bytes));
        bytes
    }

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
    let mut scene = scene_as("0.11.2", "nth = 2\nkind = \"death\"\nafter_tokens = 10");
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
    assert_eq!((status, &body["error"]["type"]), (500, &json!("Internal Server Error")));
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

const TEN: &str = "after_tokens = 10\nkind";

/// Finish reasons in a stream's events.
fn finishes(events: &[String]) -> Vec<String> {
    let chunks = events.iter().filter_map(|event| serde_json::from_str::<serde_json::Value>(event).ok());
    chunks.filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str().map(String::from)).collect()
}

#[tokio::test]
async fn an_abort_comes_with_200_and_part_of_the_text() {
    let scene = scene(&format!("{TEN} = \"abort\""));
    let (status, answer) = scene.server.chat(&scene.body).await;
    let choice = &answer["choices"][0];
    assert_eq!((status, &choice["finish_reason"]), (200, &json!("abort")));
    assert_eq!(answer["usage"]["completion_tokens"], 10);
    let (events, _) = scene.server.stream(&scene.body).await;
    assert_eq!(text_of(&events), choice["message"]["content"].as_str().unwrap());
    assert_eq!((finishes(&events), events.last().unwrap().as_str()), (vec!["abort".into()], "[DONE]"));
}

#[tokio::test]
async fn a_stream_may_end_without_a_finish_reason() {
    let cut = scene(&format!("{TEN} = \"cut\""));
    let told = events(&String::from_utf8(cut.bytes().await).unwrap());
    assert_eq!((told.len(), finishes(&told)), (1 + 10, vec![]), "{told:?}");
    assert!(told.iter().all(|event| event != "[DONE]"));
    let done = scene(&format!("{TEN} = \"done-early\""));
    let told = events(&String::from_utf8(done.bytes().await).unwrap());
    assert_eq!((told.len(), finishes(&told), told[11].as_str()), (1 + 10 + 1, vec![], "[DONE]"));
}

#[tokio::test]
async fn an_error_event_stands_before_the_end_mark_of_a_living_server() {
    for (kind, words) in [("error-event", "EngineCore encountered an issue."), ("error-event-other", "Internal server")]
    {
        let scene = scene(&format!("page = \"BO_1.p3\"\n{TEN} = \"{kind}\""));
        let whole = scene.server.post(&scene.body).header("x-request-id", "BO_1.p3").send().await.unwrap();
        assert_eq!(whole.status(), 500, "an answer in one piece");
        let mut body = scene.body.clone();
        body["stream"] = json!(true);
        let stream = scene.server.post(&body).header("x-request-id", "BO_1.p3").send().await.unwrap();
        let told = events(&stream.text().await.unwrap());
        let chunks = chunks(&told);
        assert_eq!((chunks.len(), told.last().unwrap().as_str()), (1 + 10 + 1, "[DONE]"));
        assert!(chunks[11]["error"]["message"].as_str().unwrap().starts_with(words), "{}", chunks[11]);
        assert_eq!(finishes(&told), Vec::<String>::new());
        assert_eq!((scene.status("another").await, scene.server.get("/health").await.0), (200, 200));
    }
}

#[tokio::test]
async fn garbage_stands_in_a_stream_that_ends_as_if_it_were_good() {
    for kind in ["garbage-utf8", "garbage-json"] {
        let bytes = scene(&format!("{TEN} = \"{kind}\"")).bytes().await;
        assert_eq!(std::str::from_utf8(&bytes).is_err(), kind == "garbage-utf8");
        let told = events(&String::from_utf8_lossy(&bytes));
        assert_eq!((told.len(), finishes(&told)), (1 + 10 + 1 + 1 + 1 + 1, vec!["stop".into()]), "{told:?}");
        let broken = serde_json::from_str::<serde_json::Value>(&told[11]).is_err() || kind == "garbage-utf8";
        assert!(broken && told[14] == "[DONE]", "{told:?}");
    }
}

#[tokio::test]
async fn huge_answers_are_one_event_or_events_without_end() {
    let bytes = scene(&format!("{TEN} = \"huge-event\"")).bytes().await;
    let told = events(&String::from_utf8(bytes).unwrap());
    assert!(told.len() == 15 && told[11].len() > 10_000_000, "{} {}", told.len(), told[11].len());

    let mut endless = scene(&format!("{TEN} = \"huge-stream\""));
    endless.body["stream"] = json!(true);
    let mut response = endless.server.post(&endless.body).header("x-request-id", PAGE).send().await.unwrap();
    let mut taken = 0;
    while taken < 12_000_000 {
        taken += response.chunk().await.unwrap().unwrap().len();
    }
    assert_eq!(endless.server.get("/health").await.0, 200, "the others are served");
    drop(response);
    assert_eq!(endless.server.until_requests(1).await, [format!("{PAGE} fault huge-stream disconnected")]);
}

#[tokio::test]
async fn a_slow_loris_writes_bytes_and_never_a_token() {
    let mut scene = scene(&format!("page = \"BO_7500_Fr.p3\"\n{TEN} = \"slow-loris\""));
    scene.body["stream"] = json!(true);
    let mut response = scene.server.post(&scene.body).header("x-request-id", PAGE).send().await.unwrap();
    let mut seen = String::new();
    while events(&seen).len() < 11 {
        seen.push_str(&String::from_utf8_lossy(&response.chunk().await.unwrap().unwrap()));
    }
    let mut dribbled = seen.split_off(seen.rfind("\n\n").unwrap() + 2);
    while dribbled.len() < 15 {
        let next = tokio::time::timeout(Duration::from_secs(5), response.chunk()).await.unwrap();
        let bytes = next.unwrap().unwrap();
        assert!(bytes.len() < 8, "not all at once: {bytes:?}");
        dribbled.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(dribbled.starts_with("data: {") && !dribbled.contains('\n'), "{dribbled}");
    assert_eq!(scene.status("another").await, 200);
}

#[tokio::test]
async fn a_canary_is_not_struck_and_not_counted() {
    let scene = scene("nth = 2\nkind = \"500\"");
    assert_eq!(scene.status("first").await, 200);
    for _ in 0..3 {
        assert_eq!(scene.server.chat(&canary("chandra")).await.0, 200);
    }
    assert_eq!(scene.status("second").await, 500);
    let always = self::scene("kind = \"400\"");
    assert_eq!((always.server.chat(&canary("chandra")).await.0, always.status(PAGE).await), (200, 400));
}

#[tokio::test]
async fn a_canary_hangs_with_the_engine_and_dies_with_it() {
    let scene = scene("kind = \"hang\"");
    assert_eq!(scene.server.chat(&canary("chandra")).await.0, 200);
    let half_second = Duration::from_millis(500);
    assert!(scene.server.post(&scene.body).timeout(half_second).send().await.unwrap_err().is_timeout());
    assert!(scene.server.post(&canary("chandra")).timeout(half_second).send().await.unwrap_err().is_timeout());
    assert_eq!(scene.server.get("/health").await.0, 200);

    let mut dying = self::scene("after_tokens = 0\nkind = \"death\"");
    assert_eq!(dying.status(PAGE).await, 500);
    let (status, answer) = dying.server.chat(&canary("chandra")).await;
    assert_eq!(status, 500);
    assert!(answer["error"]["message"].as_str().unwrap().contains("EngineCore"), "{answer}");
    assert_eq!(dying.server.end().await.code(), Some(0));
    assert_eq!(dying.server.requests(), [format!("{PAGE} fault death broken 500"), "- broken 500".into()]);
}

#[tokio::test]
async fn each_request_is_one_line_with_its_outcome() {
    let faults = ["loop", "503", "truncated", "stall", "cut", "done-early", "reset"];
    let entries = faults.map(|kind| format!("page = \"{kind}.p1\"\nkind = \"{kind}\"\n"));
    let mut scene = scene(&entries.join("[[fault]]\n"));
    let mut expected = Vec::new();
    let mut number = 0;
    let mut ended = async |id: &str, body: &serde_json::Value, take: usize, outcome: &str| {
        let answer = scene.server.post(body).header("x-request-id", id).send().await;
        if let (Ok(mut response), true) = (answer, take > 0) {
            let mut taken = 0;
            while taken < take {
                let Ok(Some(bytes)) = response.chunk().await else { break };
                taken += bytes.len();
            }
        }
        number += 1;
        expected.push(format!("{id} {outcome}"));
        assert_eq!(scene.server.until_requests(number).await, expected);
    };
    let whole = scene.body.clone();
    let all = usize::MAX;
    let mut stream = whole.clone();
    stream["stream"] = json!(true);
    ended(PAGE, &whole, all, "finished stop").await;
    ended(PAGE, &stream, all, "finished stop").await;
    ended("-", &canary("chandra"), all, "finished length").await;
    ended("wrong", &json!({ "model": "nope", "messages": [] }), all, "refused 404").await;
    ended("503.p1.l1.a1", &stream, all, "fault 503").await;
    ended("truncated.p1.l1.a1", &stream, all, "fault truncated finished length").await;
    ended("cut.p1.l1.a1", &stream, all, "fault cut").await;
    ended("done-early.p1.l1.a1", &stream, all, "fault done-early").await;
    ended("reset.p1.l1.a1", &stream, all, "fault reset").await;
    ended("stall.p1.l1.a1", &stream, 1, "fault stall disconnected").await;
    // Long enough that no buffer takes all of it.
    let mut long = stream.clone();
    long["max_tokens"] = json!(17_000);
    ended("loop.p1.l1.a1", &long, all, "fault loop finished length").await;
    scene.body = whole;
    assert_eq!(scene.status("last").await, 200);
    let last = scene.server.until_requests(12).await;
    assert_eq!(last[11], "last finished stop", "one line each: {last:?}");
}
