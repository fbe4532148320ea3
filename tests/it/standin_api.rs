//! The stand-in's API over real sockets, against what was measured on real servers.

#![allow(clippy::unwrap_used)]

use crate::standin_common::{self, Server, blank, canary, chunks, dense, page, script, text_of, until_gone};
use rustix::process::Signal;
use serde_json::{Value, json};

const INSTANT: [&str; 6] = ["--speak", "chandra", "--mode", "synthetic", "--time-scale", "0"];

#[tokio::test]
async fn a_client_finds_out_what_it_talks_to() {
    let server = Server::start(&[&INSTANT[..], &["--served-name", "run-7", "--max-model-len", "12000"]].concat());
    assert_eq!(server.get("/health").await, (200, String::new()));
    assert_eq!(server.get("/ping").await.0, 200);
    assert_eq!(server.get("/version").await.1, r#"{"version":"0.32.0+stand-in-synthetic"}"#);
    let models: Value = serde_json::from_str(&server.get("/v1/models").await.1).unwrap();
    assert_eq!(models["data"][0]["id"], "run-7");
    assert_eq!(models["data"][0]["max_model_len"], 12000);
    assert_eq!(models["data"][0]["owned_by"], "bocr-stand-in-synthetic");
    assert_eq!(server.get("/nothing").await, (404, r#"{"detail":"Not Found"}"#.into()));
    assert_eq!(server.get("/v1/chat/completions").await, (405, r#"{"detail":"Method Not Allowed"}"#.into()));
}

#[tokio::test]
async fn the_key_guards_v1_only() {
    let server = Server::start(&[&INSTANT[..], &["--api-key", "secret"]].concat());
    assert_eq!(server.get("/health").await.0, 200);
    assert_eq!(server.get("/v1/models").await, (401, r#"{"error":"Unauthorized"}"#.into()));
    let body = page("chandra", &blank(640, 900));
    assert_eq!(server.chat(&body).await, (401, json!({ "error": "Unauthorized" })));
    let answer = server.post(&body).header("authorization", "Bearer secret").send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn the_key_comes_from_the_environment_as_for_a_real_server() {
    let server = Server::start_with_key(&INSTANT, Some("secret"));
    assert_eq!(server.get("/health").await.0, 200);
    assert_eq!(server.get("/v1/models").await, (401, r#"{"error":"Unauthorized"}"#.into()));
    let status = async |value: &str| {
        let request = server.client.get(format!("{}/v1/models", server.url)).header("authorization", value);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!([status("Bearer wrong").await, status("secret").await, status("Basic secret").await], [401; 3]);
    assert_eq!([status("Bearer secret").await, status("bearer secret").await], [200; 2]);
    assert_eq!(server.chat(&canary("chandra")).await.0, 401);
    assert!(server.requests().is_empty(), "who lacks the key asks nothing");

    let open = Server::start_with_key(&INSTANT, Some(""));
    assert_eq!(open.get("/v1/models").await.0, 200, "an empty variable is no key");
    let flag = Server::start_with_key(&[&INSTANT[..], &["--api-key", "other"]].concat(), Some("secret"));
    let request = flag.client.get(format!("{}/v1/models", flag.url)).header("authorization", "Bearer other");
    assert_eq!(request.send().await.unwrap().status(), 200, "the flag wins");
}

/// The text of a page on a server, asked until it is answered to its end.
async fn read(server: &Server, png: &[u8], attempt: u32) -> String {
    let mut body = page("chandra", png);
    body["max_tokens"] = json!(16_000);
    body["temperature"] = json!(0.1 * f64::from(attempt));
    body["cache_salt"] = json!(format!("s{attempt}"));
    for again in attempt.. {
        let id = format!("BO_7500_Fr.p{}.l3.a{again}", png.len());
        let answer = server.post(&body).header("x-request-id", id).send().await.unwrap();
        let status = answer.status().as_u16();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let choice = &answer["choices"][0];
        if status == 200 && choice["finish_reason"] == "stop" {
            return choice["message"]["content"].as_str().unwrap().into();
        }
    }
    unreachable!()
}

#[tokio::test]
async fn an_invented_answer_depends_on_the_image_and_the_seed_alone() {
    let pages: Vec<Vec<u8>> = (1..=8).map(|side| blank(200 * side, 300)).collect();
    let calm = Server::start(&INSTANT);
    let mut texts = Vec::new();
    for png in &pages {
        texts.push(read(&calm, png, 1).await);
    }
    let storm = script(
        "[[fault]]\nkind = \"503\"\nprobability = 0.4\n[[fault]]\nkind = \"truncated\"\nprobability = 0.4\n\
         [[fault]]\nkind = \"loop\"\nprobability = 0.4\n",
    );
    let path = storm.path().to_str().unwrap();
    let slow = ["--speak", "chandra", "--mode", "synthetic", "--time-scale", "0.001", "--max-num-seqs", "2"];
    let troubled = Server::start(&[&slow[..], &["--faults", path]].concat());
    // In another order, several at once, at another step of the ladder.
    let read_again = pages.iter().rev().map(|png| read(&troubled, png, 3));
    let mut again = futures_util::future::join_all(read_again).await;
    again.reverse();
    assert_eq!(texts, again);
    assert!(troubled.requests().iter().any(|line| line.contains(" fault ")), "{:?}", troubled.requests());
    let other = Server::start(&[&INSTANT[..], &["--seed", "1"]].concat());
    assert_ne!(read(&other, &pages[0], 1).await, texts[0]);
}

#[tokio::test]
async fn a_canary_is_answered_at_once_however_many_pages_wait() {
    for mode in [
        ["--mode", "synthetic", "--answer-median", "15000", "--max-num-seqs", "1"],
        ["--mode", "tesseract", "--time-limit", "60", "--max-num-seqs", "1"],
    ] {
        let server = Server::start(&[&["--speak", "chandra"], &mode[..]].concat());
        let mut body = page("chandra", &dense(3500));
        body["max_tokens"] = json!(8_000);
        let reading = tokio::spawn(server.post(&body).send());
        server.until_metric("vllm:num_requests_running", 1.0).await;
        let tokens = server.metric("vllm:generation_tokens_total").await;
        let (status, answer) = server.chat(&canary("chandra")).await;
        assert_eq!((status, &answer["usage"]["completion_tokens"]), (200, &json!(1)), "{answer}");
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert!(!answer["choices"][0]["message"]["content"].as_str().unwrap().is_empty());
        assert!(server.metric("vllm:generation_tokens_total").await > tokens, "it counts as a token made");
        let (events, orderly) = server.stream(&canary("chandra")).await;
        assert!(orderly && events.last().unwrap() == "[DONE]" && !text_of(&events).is_empty(), "{events:?}");
        assert_eq!(server.metric("vllm:num_requests_running").await, 1.0, "the page is still being read");
        reading.abort();
    }
}

#[tokio::test]
async fn whole_and_streamed_answers_are_the_same() {
    let server = Server::start(&INSTANT);
    let mut body = page("chandra", &blank(1600, 2240));
    let (status, whole) = server.chat(&body).await;
    assert_eq!(status, 200);
    let choice = &whole["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["stop_reason"]), (&json!("stop"), &Value::Null));
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["system_fingerprint"], "stand-in-synthetic");
    let usage = &whole["usage"];
    assert!(usage["prompt_tokens"].as_u64().unwrap() > 3500, "{usage}");
    assert_eq!(
        usage["total_tokens"].as_u64().unwrap(),
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap()
    );

    body["stream_options"] = json!({ "include_usage": true });
    let (events, orderly) = server.stream(&body).await;
    assert!(orderly);
    assert_eq!(text_of(&events), choice["message"]["content"].as_str().unwrap());
    assert_eq!(events.last().unwrap(), "[DONE]");
    let chunks = chunks(&events);
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    assert_eq!(chunks[0]["choices"][0]["finish_reason"], Value::Null);
    let [.., last, total] = &chunks[..] else { panic!("{chunks:?}") };
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(total["choices"], json!([]));
    assert_eq!(total["usage"]["completion_tokens"], usage["completion_tokens"]);
    assert_eq!(total["usage"]["prompt_tokens"], usage["prompt_tokens"]);
    assert!(chunks[1].get("usage").is_none());

    body["stream_options"] = json!({ "include_usage": false, "continuous_usage_stats": true });
    let (events, _) = server.stream(&body).await;
    let counts: Vec<u64> = standin_common::chunks(&events)
        .iter()
        .map(|chunk| chunk["usage"]["completion_tokens"].as_u64().unwrap())
        .collect();
    assert!(counts.is_sorted() && counts.last() == usage["completion_tokens"].as_u64().as_ref(), "{counts:?}");
}

#[tokio::test]
async fn the_token_budget_and_the_context_end_an_answer() {
    let server = Server::start(&[&INSTANT[..], &["--max-model-len", "4000"]].concat());
    let mut body = page("chandra", &blank(640, 640));
    body["max_tokens"] = json!(5);
    let (_, answer) = server.chat(&body).await;
    assert_eq!(
        (&answer["choices"][0]["finish_reason"], &answer["usage"]["completion_tokens"]),
        (&json!("length"), &json!(5))
    );
    let mut body = page("chandra", &blank(1600, 2240));
    body["max_tokens"] = json!(3900);
    let (_, answer) = server.chat(&body).await;
    assert_eq!(
        (&answer["choices"][0]["finish_reason"], &answer["usage"]["total_tokens"]),
        (&json!("length"), &json!(4000))
    );
}

#[tokio::test]
async fn wrong_requests_are_refused_as_by_a_real_server() {
    let server = Server::start(&[&INSTANT[..], &["--vllm-version", "0.11.2"]].concat());
    let (status, body) = server.chat(&page("nope", &blank(100, 100))).await;
    assert_eq!(status, 404);
    let expected = json!({ "error": {
        "message": "The model `nope` does not exist.", "type": "NotFoundError", "param": null, "code": 404 } });
    assert_eq!(body, expected);
    let (status, body) = server.chat(&json!({ "model": "chandra" })).await;
    assert_eq!((status, &body["error"]["type"]), (400, &json!("Bad Request")));
    let (status, body) = server.chat(&page("chandra", b"no image")).await;
    assert_eq!(status, 400);
    assert!(body["error"]["message"].as_str().unwrap().starts_with("cannot identify image file"), "{body}");
    // A stream that cannot begin is refused in the same way.
    let mut long = page("chandra", &blank(100, 100));
    long["max_tokens"] = json!(200_000);
    long["stream"] = json!(true);
    let (status, body) = server.chat(&long).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!(400)));
}

#[tokio::test]
async fn there_is_no_limit_on_the_body() {
    let server = Server::start(&INSTANT);
    let mut body = page("chandra", b"");
    body["messages"][0]["content"][0]["image_url"]["url"] =
        json!(format!("data:image/png;base64,{}", "A".repeat(40_000_000)));
    assert_eq!(server.chat(&body).await.0, 400);
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_place() {
    let slow = [
        "--speak",
        "chandra",
        "--mode",
        "synthetic",
        "--time-scale",
        "1",
        "--max-num-seqs",
        "1",
        "--answer-median",
        "15000",
        "--answer-sigma",
        "0",
    ];
    let server = Server::start(&slow);
    let mut body = page("chandra", &blank(640, 640));
    body["max_tokens"] = json!(17_000);
    for streaming in [false, true] {
        body["stream"] = json!(streaming);
        let first = tokio::spawn(server.post(&body).send());
        server.until_metric("vllm:num_requests_running", 1.0).await;
        let second = tokio::spawn(server.post(&body).send());
        server.until_metric("vllm:num_requests_waiting", 1.0).await;
        // A stream's answer has begun by now; dropping the response closes its connection.
        if streaming {
            drop(first.await)
        } else {
            first.abort()
        }
        server.until_metric("vllm:num_requests_waiting", 0.0).await;
        if streaming {
            drop(second.await)
        } else {
            second.abort()
        }
        server.until_metric("vllm:num_requests_running", 0.0).await;
    }
    assert_eq!(server.metric("vllm:e2e_request_latency_seconds_count").await, 0.0);
}

#[tokio::test]
async fn tesseract_dies_with_its_request_and_with_its_server() {
    let mut server = Server::start(&["--speak", "chandra", "--mode", "tesseract", "--max-num-seqs", "1"]);
    let body = page("chandra", &dense(3500));
    let request = tokio::spawn(server.post(&body).send());
    server.until_tesseracts(1).await;
    server.until_metric("vllm:num_requests_running", 1.0).await;
    let waiting = tokio::spawn(server.post(&body).send());
    server.until_metric("vllm:num_requests_waiting", 1.0).await;
    waiting.abort();
    server.until_metric("vllm:num_requests_waiting", 0.0).await;
    request.abort();
    server.until_metric("vllm:num_requests_running", 0.0).await;
    server.until_tesseracts(0).await;

    let request = tokio::spawn(server.post(&body).send());
    let reading = server.until_tesseracts(1).await;
    server.signal(Signal::TERM);
    assert_eq!(server.end().await.code(), Some(0));
    until_gone(reading[0]).await;
    request.abort();
}

#[tokio::test]
async fn a_unix_socket_serves_as_well_and_goes_with_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let mut server = Server::start_on_socket(&INSTANT, &socket);
    assert_eq!(server.get("/health").await.0, 200);
    assert_eq!(server.chat(&page("chandra", &blank(640, 640))).await.0, 200);
    server.signal(Signal::INT);
    assert_eq!(server.end().await.code(), Some(0));
    assert!(!socket.exists());
    // What a killed server leaves behind is no obstacle.
    let mut killed = Server::start_on_socket(&INSTANT, &socket);
    killed.signal(Signal::KILL);
    killed.end().await;
    assert!(socket.exists());
    assert_eq!(Server::start_on_socket(&INSTANT, &socket).get("/health").await.0, 200);
}

#[tokio::test]
async fn a_server_sleeps_only_where_it_has_the_mode() {
    let server = Server::start(&[&INSTANT[..], &["--enable-sleep-mode"]].concat());
    assert_eq!(server.get("/is_sleeping").await.0, 404, "VLLM_SERVER_DEV_MODE is not set");
    let server = Server::start_with_variable(&INSTANT, ("VLLM_SERVER_DEV_MODE", "1"));
    assert_eq!(server.get("/is_sleeping").await.0, 404);
}

/// As read in vLLM's own code: see the stand-in's `sleep`.
#[tokio::test]
async fn requests_wait_while_the_server_sleeps_and_what_was_in_flight_is_aborted() {
    let slow = ["--speak", "chandra", "--mode", "synthetic", "--answer-median", "15000", "--enable-sleep-mode"];
    let server = Server::start_with_variable(&slow, ("VLLM_SERVER_DEV_MODE", "1"));
    let order = async |path: &str| {
        let status = server.client.post(format!("{}{path}", server.url)).send().await.unwrap().status().as_u16();
        (status, server.get("/is_sleeping").await.1)
    };
    let reading = tokio::spawn(server.post(&page("chandra", &blank(640, 640))).send());
    server.until_metric("vllm:num_requests_running", 1.0).await;
    let asleep = (200, "{\"is_sleeping\":true}".to_owned());
    assert_eq!(order("/sleep?level=1").await, asleep);
    let answer: Value = serde_json::from_str(&reading.await.unwrap().unwrap().text().await.unwrap()).unwrap();
    assert_eq!(answer["choices"][0]["finish_reason"], "abort", "{answer}");
    assert_eq!(order("/sleep?level=1").await, asleep, "twice is as good");
    assert_eq!((server.get("/health").await.0, server.get("/v1/models").await.0), (200, 200));
    let (_, metrics) = server.get("/metrics").await;
    assert!(metrics.contains("sleep_state=\"weights_offloaded\"} 1.0"), "{metrics}");
    let waiting = tokio::spawn(server.post(&canary("chandra")).send());
    server.until_metric("vllm:num_requests_waiting", 1.0).await;
    assert_eq!(order("/wake_up").await, (200, "{\"is_sleeping\":false}".to_owned()));
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn the_older_release_dies_of_a_request_while_it_sleeps() {
    let old = [&INSTANT[..], &["--enable-sleep-mode", "--vllm-version", "0.11.2"]].concat();
    let mut server = Server::start_with_variable(&old, ("VLLM_SERVER_DEV_MODE", "1"));
    assert_eq!(server.client.post(format!("{}/sleep", server.url)).send().await.unwrap().status(), 200);
    assert_eq!(server.chat(&canary("chandra")).await.0, 500);
    assert_eq!(server.end().await.code(), Some(0));
}
