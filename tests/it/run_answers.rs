//! Runs against a server that answers as a real one may: with the page twice, with one text for every page, with a refusal
//! of large images, or not with the text of a page at all.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::engines;
use std::{collections::BTreeMap, process::Output, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::run_support::{Bench, text};
use bulletin_ocr::model::{AttemptOutcome, FailureClass, PageRecord, Verdict};

const FRENCH: &str = include_str!("../data/truth/BO_7510_Fr/p004.txt");
const ARABIC: &str = include_str!("../data/truth/BO_7412_Ar/p003.txt");

/// An answer to a request with an image.
enum Reply {
    /// HTML of the page's blocks, as `content`.
    Content(String),
    /// The same in another field.
    Field(&'static str, String),
    /// Another status or form.
    Plain(StatusCode, &'static str),
}

/// Answers the request with this id.
type Answer = fn(&str) -> Reply;

#[derive(Clone, Copy)]
struct Server {
    answer: Answer,
    context: u32,
}

async fn chat(State(server): State<Arc<Server>>, headers: HeaderMap, body: String) -> Response {
    let body: Value = serde_json::from_str(&body).unwrap();
    if body["stream"] != true {
        let message = json!({ "role": "assistant", "content": "ok" });
        return axum::Json(json!({ "choices": [{ "message": message, "finish_reason": "length" }] })).into_response();
    }
    let (field, text) = match (server.answer)(headers["x-request-id"].to_str().unwrap()) {
        Reply::Plain(status, body) => return (status, body).into_response(),
        Reply::Content(text) => ("content", text),
        Reply::Field(field, text) => (field, text),
    };
    let event = |delta: Value, finish: Option<&str>| {
        format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] }))
    };
    let stream = event(json!({ field: text }), None) + &event(json!({}), Some("stop")) + "data: [DONE]\n\n";
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], stream).into_response()
}

async fn listen(server: Server) -> String {
    let model = json!({ "id": "chandra", "owned_by": "vllm", "max_model_len": server.context });
    let router = Router::new()
        .route("/health", get(|| async {}))
        .route("/version", get(|| async { axum::Json(json!({ "version": "0.17.1" })) }))
        .route("/v1/models", get(move || async move { axum::Json(json!({ "data": [model] })) }))
        .route("/v1/chat/completions", post(chat))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(Arc::new(server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A run over the two pages of a gazette, and what it printed.
async fn run(server: Server) -> (Bench, Output) {
    let bench = Bench::new();
    let input = bench.inputs(&["gazettes/fr/BO_6804_Fr.pdf"]);
    let (address, profile) = (listen(server).await, bench.small_profile(engines::CHANDRA));
    let configuration = bench.write(
        "configuration.toml",
        &format!(
            "[engines.chandra]\nprofile = {profile:?}\n[engines.chandra.server]\nkind = \"url\"\nurls = [{address:?}]\n"
        ),
    );
    let paths = [input, bench.run_directory(), configuration];
    let [input, run, configuration] = paths.each_ref().map(|path| path.to_str().unwrap());
    let mut command = bench.bocr(&["run", "-i", input, "-o", run, "-c", configuration, "--roles", "chandra"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    println!("{}", text(&output));
    (bench, output)
}

async fn records(answer: Answer) -> BTreeMap<u32, PageRecord> {
    let (bench, _) = run(Server { answer, context: 18_000 }).await;
    let mut reader = bench.reader();
    let pages: Vec<_> = reader.pages().map(|settled| settled.page).collect();
    pages.into_iter().map(|page| (page.page.number(), reader.read(page).unwrap().unwrap())).collect()
}

fn outcomes(record: &PageRecord) -> Vec<AttemptOutcome> {
    record.attempts.iter().map(|attempt| attempt.outcome).collect()
}

fn block(text: &str) -> String {
    let lines: String = text.lines().map(|line| format!("<p>{}</p>", line.trim())).collect();
    format!("<div data-bbox=\"50 50 950 900\" data-label=\"Text\">{lines}</div>")
}

/// The text of a page: that of the first is French, that of the second Arabic.
fn page_of(id: &str) -> String {
    block(if id.contains(".p1.") { FRENCH } else { ARABIC })
}

const REPEATED: AttemptOutcome = AttemptOutcome::Failed(FailureClass::Repeated);

#[tokio::test]
async fn a_page_that_is_said_twice_is_asked_again_once() {
    let records = records(|id| {
        let page = page_of(id);
        // The second page comes twice for ever.
        Reply::Content(if id.contains(".p2.") || id.contains(".a1.") { page.clone() + &page } else { page })
    })
    .await;
    for (number, remarked) in [(1, false), (2, true)] {
        let record = &records[&number];
        assert_eq!(record.verdict, Verdict::Read);
        assert_eq!(outcomes(record), [REPEATED, AttemptOutcome::Accepted]);
        assert_eq!(record.remark_on(&record.parts[0]).contains("twice"), remarked, "page {number}");
    }
}

#[tokio::test]
async fn one_answer_for_different_pages_is_asked_again_once_and_told() {
    let answer: Answer = |_| Reply::Content(block(FRENCH));
    let (bench, output) = run(Server { answer, context: 18_000 }).await;
    let mut reader = bench.reader();
    let pages: Vec<_> = reader.pages().map(|settled| settled.page).collect();
    let records: Vec<PageRecord> = pages.into_iter().map(|page| reader.read(page).unwrap().unwrap()).collect();
    let again: Vec<&PageRecord> = records.iter().filter(|record| record.attempts.len() > 1).collect();
    assert_eq!(again.len(), 1, "the first page that got the text has it");
    assert_eq!(outcomes(again[0]), [REPEATED, AttemptOutcome::Accepted]);
    let remark = again[0].remark_on(&again[0].parts[0]);
    assert!(remark.contains("page") && remark.contains("BO_6804_Fr.pdf"), "{remark}");
    assert!(text(&output).contains("read with a remark: 1 "), "{}", text(&output));
    let report = std::fs::read_to_string(bench.run_directory().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["remarked"], 1);
}

#[tokio::test]
async fn a_refusal_of_a_large_image_is_followed_by_a_smaller_one() {
    let records = records(|id| match id.contains(".whole") {
        true => {
            Reply::Plain(StatusCode::BAD_REQUEST, "an image item exceeds the pre-allocated encoder cache size 3721")
        }
        false => Reply::Content(page_of(id)),
    })
    .await;
    for record in records.values() {
        assert_eq!(record.verdict, Verdict::Read);
        let expected = [AttemptOutcome::Failed(FailureClass::ImageTooLarge), AttemptOutcome::Accepted];
        assert_eq!(outcomes(record), expected);
    }
}

#[tokio::test]
async fn broken_decoding_is_asked_again_and_one_sign_is_kept() {
    let records = records(|id| {
        let page = page_of(id);
        Reply::Content(if id.contains(".a1.") {
            page.replace(['é', 'ا'], "\u{FFFD}")
        } else {
            page.replacen(['é', 'ا'], "\u{FFFD}\u{FFFD}", 1)
        })
    })
    .await;
    for record in records.values() {
        assert_eq!(record.verdict, Verdict::Read);
        let expected = [AttemptOutcome::Failed(FailureClass::BrokenText), AttemptOutcome::Accepted];
        assert_eq!(outcomes(record), expected);
        assert!(record.remark_on(&record.parts[0]).contains("replacement character"));
    }
}

#[tokio::test]
async fn a_server_that_cannot_read_pages_is_given_up_before_the_first_page() {
    let with = |answer| Server { answer, context: 18_000 };
    let cases = [
        (with(|id| Reply::Field("reasoning_content", page_of(id))), "--reasoning-parser"),
        (with(|_| Reply::Plain(StatusCode::OK, "<html>login</html>")), "address of vLLM"),
        (with(|_| Reply::Plain(StatusCode::OK, "{\"object\": \"error\"}")), "address of vLLM"),
        (Server { answer: |id| Reply::Content(page_of(id)), context: 4_096 }, "--max-model-len 18000"),
    ];
    for (server, remedy) in cases {
        let (bench, output) = run(server).await;
        assert_eq!(output.status.code(), Some(75), "no page has failed");
        assert!(text(&output).contains(remedy), "{}", text(&output));
        assert!(!bench.log(0).contains("the page failed"));
    }
}
