//! The client against a real HTTP server that behaves as vLLM 0.11.2 and 0.32.0 were seen to behave, and against the
//! stand-in process with every fault of its script.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::standin_common;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bulletin_ocr::{
    engine::{
        Asking, AttemptResult, Client, Dialect, EngineError, Expectation, Gone, Limits, PageImage, Profile, Reader,
        ServerAddress,
    },
    model::{
        AttemptOutcome, BBox, FailureClass, FinishReason, MachineFault, PixelSize, RankId, ServerKind, Shown, Stage,
    },
};
use futures_util::{StreamExt, future::join_all, stream};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What the server does with a chat request.
enum Script {
    /// A plain HTTP reply.
    Plain(u16, String),
    /// A stream: each item is one write; then it ends, breaks, or goes on for ever in silence.
    Stream(Vec<Vec<u8>>, After),
    /// A unit that is written for ever.
    Endless(&'static str),
    /// A refusal whose body never ends.
    EndlessRefusal(u16),
}

enum After {
    End,
    Break,
    Silence,
}

#[derive(Default)]
struct Server {
    scripts: Mutex<VecDeque<Script>>,
    requests: Mutex<Vec<(HeaderMap, Value)>>,
    /// Set: `/health` answers 503.
    dead: AtomicBool,
    /// So many questions to `/health` are answered with 503 first.
    ailing: AtomicU32,
    /// So many questions for the version are answered with 502 first.
    loading: AtomicU32,
    /// Set: requests of one token are not answered.
    hung: AtomicBool,
    /// Answers whose connection is open.
    open: Arc<AtomicUsize>,
    closed: Arc<Notify>,
    version: Mutex<String>,
    models: Mutex<Value>,
}

/// Counts an answer for as long as its connection is open.
struct Open(Arc<AtomicUsize>, Arc<Notify>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        self.1.notify_one();
    }
}

async fn chat(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    if headers.get("x-request-id").is_some_and(|id| id == "canary") {
        return if server.hung.load(Ordering::SeqCst) { std::future::pending().await } else { "{}".into_response() };
    }
    server.requests.lock().unwrap().push((headers, serde_json::from_slice(&body).unwrap()));
    server.open.fetch_add(1, Ordering::SeqCst);
    let open = Open(server.open.clone(), server.closed.clone());
    let script = server.scripts.lock().unwrap().pop_front().expect("a script for every request");
    let body = match script {
        Script::Plain(status, body) => return (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Script::Stream(writes, after) => {
            let writes = stream::iter(writes.into_iter().map(Ok));
            match after {
                After::End => Body::from_stream(writes.map(hold(open))),
                After::Break => {
                    // The pause lets the server flush what it has before it breaks the connection.
                    let broken = stream::once(async {
                        tokio::task::yield_now().await;
                        Err(std::io::Error::other("reset"))
                    });
                    Body::from_stream(writes.chain(broken).map(hold(open)))
                }
                After::Silence => Body::from_stream(writes.chain(stream::pending()).map(hold(open))),
            }
        }
        Script::EndlessRefusal(status) => {
            let body = Body::from_stream(stream::repeat_with(|| Ok("no ".repeat(1_000).into_bytes())).map(hold(open)));
            return (StatusCode::from_u16(status).unwrap(), body).into_response();
        }
        Script::Endless(unit) => {
            let writes = stream::repeat_with(move || Ok(delta(unit, None).into_bytes()));
            Body::from_stream(
                writes
                    .then(|write| async {
                        tokio::task::yield_now().await;
                        write
                    })
                    .map(hold(open)),
            )
        }
    };
    ([("content-type", "text/event-stream; charset=utf-8")], body).into_response()
}

type Write = Result<Vec<u8>, std::io::Error>;

fn hold(open: Open) -> impl FnMut(Write) -> Write {
    move |write| {
        let _held = &open;
        write
    }
}

/// Whether something is still to happen once more.
fn again(times: &AtomicU32) -> bool {
    times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

async fn health(State(server): State<Arc<Server>>) -> StatusCode {
    let ill = server.dead.load(Ordering::SeqCst) || again(&server.ailing);
    if ill { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

async fn version(State(server): State<Arc<Server>>) -> Response {
    match again(&server.loading) {
        true => StatusCode::BAD_GATEWAY.into_response(),
        false => json!({ "version": *server.version.lock().unwrap() }).to_string().into_response(),
    }
}

async fn models(State(server): State<Arc<Server>>) -> String {
    json!({ "object": "list", "data": *server.models.lock().unwrap() }).to_string()
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/version", get(version))
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(server)
}

fn server_of(profile: &Profile) -> Arc<Server> {
    let server = Server::default();
    *server.version.lock().unwrap() = "0.17.1".into();
    let model =
        json!({ "id": profile.served_name, "owned_by": "vllm", "root": profile.model, "max_model_len": 18_000 });
    *server.models.lock().unwrap() = json!([model]);
    Arc::new(server)
}

async fn listen(server: Arc<Server>) -> ServerAddress {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = ServerAddress::Tcp(format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move { axum::serve(listener, router(server)).await });
    address
}

const LIMITS: Limits =
    Limits { first_token: Duration::from_secs(20), token_gap: Duration::from_secs(20), total: Duration::from_secs(40) };

fn image() -> PageImage {
    let size = PixelSize { width: 1600, height: 2240 };
    let shown = Shown::whole(size);
    PageImage { png: Bytes::from_static(b"\x89PNG\r\n\x1a\nx"), shown, place: BBox::PAGE, expects: Expectation::NONE }
}

/// The first request for a page.
fn asking(request_id: &str) -> Asking<'_> {
    Asking { request_id, stage: Stage::FIRST, step: 0 }
}

struct Setup {
    server: Arc<Server>,
    reader: Reader,
}

async fn setup(profile: &str, limits: Limits) -> Setup {
    let profile = Profile::load(profile, None).unwrap();
    let server = server_of(&profile);
    if matches!(profile.dialect, Dialect::Grounding { .. }) {
        let message = "`ngram_size` has to be a strictly positive integer, got 0.";
        server.scripts.lock().unwrap().push_back(Script::Plain(400, message.into()));
    }
    let client = Client::new(listen(server.clone()).await, limits, Some("EMPTY")).unwrap();
    let reader = Reader::connect("chandra".parse().unwrap(), profile, client, RankId(3)).await.unwrap();
    Setup { server, reader }
}

impl Setup {
    async fn attempt(&self, script: Script) -> AttemptResult {
        self.server.scripts.lock().unwrap().push_back(script);
        self.reader.attempt(&image(), asking("BO_7500_Fr.p3.l17.a1")).await
    }

    async fn outcome(&self, script: Script) -> AttemptOutcome {
        self.attempt(script).await.attempt.outcome
    }
}

fn delta(text: &str, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": { "content": text }, "logprobs": null, "finish_reason": finish });
    format!("data: {}\n\n", json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice] }))
}

fn usage(prompt: u32, completion: u32) -> String {
    let usage =
        json!({ "prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion });
    format!("data: {}\n\n", json!({ "choices": [], "usage": usage }))
}

const DONE: &str = "data: [DONE]\n\n";
const PAGE: &str = "<div data-bbox=\"100 50 900 90\" data-label=\"Section-Header\"><h1>الجريدة الرسمية</h1></div>\n\
                    <div data-bbox=\"100 100 900 900\" data-label=\"Text\"><p>Décret n° 2-24-1 du 5 mars 2024</p></div>";

/// A whole answer of vLLM's, one event a word.
fn whole(text: &str, finish: &str, prompt: u32, completion: u32) -> String {
    let mut stream = delta("", None);
    text.split_inclusive(' ').for_each(|word| stream.push_str(&delta(word, None)));
    stream + &delta("", Some(finish)) + &usage(prompt, completion) + DONE
}

fn streamed(text: String) -> Script {
    Script::Stream(vec![text.into_bytes()], After::End)
}

#[tokio::test]
async fn a_good_page_is_read_wherever_its_bytes_are_split() {
    let setup = setup("chandra-2", LIMITS).await;
    let stream = whole(PAGE, "stop", 3_600, 77).into_bytes();
    for size in [1, 7, 1000, stream.len()] {
        let script = Script::Stream(stream.chunks(size).map(<[u8]>::to_vec).collect(), After::End);
        let result = setup.attempt(script).await;
        assert_eq!(result.attempt.outcome, AttemptOutcome::Accepted, "{}", result.attempt.reason);
        assert_eq!(result.attempt.answer, PAGE);
        assert_eq!((result.attempt.tokens.prompt, result.attempt.tokens.completion), (3_600, 77));
        assert_eq!(result.attempt.finish, Some(FinishReason::Stop));
        assert!(result.attempt.time_to_first_token.unwrap() <= result.attempt.duration);
        assert_eq!(result.attempt.rank, RankId(3));
        let part = result.part.unwrap();
        assert_eq!(part.markdown, "# الجريدة الرسمية\n\nDécret n° 2-24-1 du 5 mars 2024");
        assert_eq!(part.blocks[1].bbox.unwrap().bottom, 900);
    }
}

#[tokio::test]
async fn the_request_is_what_the_model_expects() {
    let setup = setup("deepseek-ocr", LIMITS).await;
    let page = "<|ref|>text<|/ref|><|det|>[[1, 2, 999, 999]]<|/det|>\nArrêté du ministre";
    assert_eq!(setup.outcome(streamed(whole(page, "stop", 915, 20))).await, AttemptOutcome::Accepted);
    let requests = setup.server.requests.lock().unwrap();
    assert_eq!(setup.reader.server().ngram_processor, Some(true));
    assert_eq!(requests[0].1["vllm_xargs"]["ngram_size"], 0);
    let (headers, body) = &requests[1];
    assert!(headers["x-request-id"].to_str().unwrap().starts_with("BO_7500_Fr.p3.l17.a1.i"), "{headers:?}");
    assert_eq!(headers["authorization"], "Bearer EMPTY");
    assert!(headers.contains_key("content-length"), "sent whole, not in chunks");
    assert_eq!(body["messages"][0]["content"][0]["type"], "image_url");
    assert_eq!(body["vllm_xargs"]["ngram_size"], 30);
    assert_eq!(body["skip_special_tokens"], false);
    assert_eq!(body["stream"], true);
}

#[tokio::test]
async fn refusals_and_faults_are_told_apart() {
    use AttemptOutcome::{Failed, Interrupted};
    let setup = setup("chandra-2", LIMITS).await;
    let error = |message: &str, code: u16| {
        json!({ "error": { "message": message, "type": "BadRequestError", "param": null, "code": code } }).to_string()
    };
    let engine_death = "EngineCore encountered an issue. See stack trace (above) for the root cause.";
    let too_long = "The decoder prompt (length 8607) is longer than the maximum model length of 2048.";
    let table = [
        (400, error("cannot identify image file <_io.BytesIO object>", 400), Failed(FailureClass::Rejected)),
        (400, error(too_long, 400), Failed(FailureClass::ContextFull)),
        (
            400,
            error("an image item with length 4200, which exceeds the pre-allocated encoder cache size 3721", 400),
            Failed(FailureClass::ImageTooLarge),
        ),
        (404, error("The model `nope` does not exist.", 404), Interrupted(MachineFault::ServerDied)),
        (404, json!({ "detail": "Not Found" }).to_string(), Interrupted(MachineFault::ServerDied)),
        (500, error(engine_death, 500), Interrupted(MachineFault::ServerDied)),
        (500, error("image file is truncated", 500), Failed(FailureClass::Rejected)),
        (503, String::new(), Interrupted(MachineFault::Overloaded)),
        (429, "slow down".into(), Interrupted(MachineFault::Overloaded)),
    ];
    for (status, body, expected) in table {
        let result = setup.attempt(Script::Plain(status, body.clone())).await;
        assert_eq!(result.attempt.outcome, expected, "{status} {body}");
        assert!(result.attempt.reason.contains(&status.to_string()), "{}", result.attempt.reason);
        assert!(result.part.is_none());
    }
}

#[tokio::test]
async fn an_answer_that_is_no_stream_of_text_is_told_at_once_with_the_remedy() {
    use AttemptOutcome::{Failed, Interrupted};
    let setup = setup("chandra-2", LIMITS).await;
    let overloaded = json!({ "object": "error", "message": "model is overloaded", "code": 503 }).to_string();
    for body in ["<html><body>login</body></html>".to_owned(), overloaded.clone(), "\n [1]".to_owned(), "no".to_owned()]
    {
        let attempt = setup.attempt(Script::Plain(200, body.clone())).await.attempt;
        assert_eq!(attempt.outcome, Interrupted(MachineFault::ServerDied), "{body}");
        assert!(
            attempt.reason.contains(body.trim()) && attempt.reason.contains("address of vLLM"),
            "{}",
            attempt.reason
        );
    }
    // A proxy that copies the type of the stream.
    let attempt = setup.attempt(streamed(overloaded)).await.attempt;
    assert_eq!(attempt.outcome, Interrupted(MachineFault::ServerDied));
    let elsewhere = delta(PAGE, None).replace("\"content\"", "\"reasoning_content\"");
    let attempt = setup.attempt(Script::Stream(vec![elsewhere.into_bytes()], After::Silence)).await.attempt;
    assert_eq!(attempt.outcome, Failed(FailureClass::ServerError), "at the first event");
    assert!(attempt.reason.contains("--reasoning-parser"), "{}", attempt.reason);
}

#[tokio::test]
async fn the_canary_of_a_start_finds_a_server_that_cannot_read_pages() {
    let profile = Profile::load("chandra-2", None).unwrap();
    let server = server_of(&profile);
    let client = Client::new(listen(server.clone()).await, LIMITS, None).unwrap();
    let reader = Reader::connect("chandra".parse().unwrap(), profile.clone(), client.clone(), RankId(0)).await.unwrap();
    let error = reader.check_answers(Duration::from_secs(30)).await.unwrap_err();
    assert!(error.to_string().contains("no event stream"), "the canary is answered with JSON: {error}");
    server.models.lock().unwrap()[0]["max_model_len"] = json!(4096);
    let reader = Reader::connect("chandra".parse().unwrap(), profile, client, RankId(0)).await.unwrap();
    let error = reader.check_answers(Duration::from_secs(30)).await.unwrap_err();
    assert!(error.to_string().contains("--max-model-len 18000"), "{error}");
}

#[tokio::test]
async fn an_empty_500_is_the_pages_fault_only_while_the_server_lives() {
    let setup = setup("chandra-2", LIMITS).await;
    let empty = || Script::Plain(500, String::new());
    assert_eq!(setup.outcome(empty()).await, AttemptOutcome::Failed(FailureClass::ServerError));
    setup.server.dead.store(true, Ordering::SeqCst);
    assert_eq!(setup.outcome(empty()).await, AttemptOutcome::Interrupted(MachineFault::ServerDied));
}

#[tokio::test]
async fn an_error_event_before_done_is_never_a_good_page() {
    let setup = setup("chandra-2", LIMITS).await;
    let error = "data: {\"error\": {\"message\": \"EngineCore encountered an issue.\", \"type\": \"BadRequestError\", \"param\": null, \"code\": 400}}\n\n";
    let result = setup.attempt(streamed(delta("", None) + &delta(PAGE, None) + error + DONE)).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Interrupted(MachineFault::ServerDied));
    assert_eq!(result.attempt.answer, PAGE, "the partial answer is kept");
}

#[tokio::test]
async fn what_came_before_garbage_is_kept_and_what_comes_after_is_not_read() {
    let setup = setup("chandra-2", LIMITS).await;
    let garbage = b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n".to_vec();
    let end = delta("", Some("stop")) + DONE;
    let write = [delta(PAGE, None).into_bytes(), garbage, end.into_bytes()].concat();
    let result = setup.attempt(Script::Stream(vec![write], After::End)).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Failed(FailureClass::ServerError));
    assert_eq!(result.attempt.answer, PAGE);
}

#[tokio::test]
async fn endings_have_their_classes() {
    use AttemptOutcome::{Blank, Failed, Interrupted};
    let setup = setup("chandra-2", LIMITS).await;
    let blank = "<div data-bbox=\"0 0 1000 1000\" data-label=\"Blank-Page\"></div>";
    let table = [
        (whole(PAGE, "length", 3_600, 12_384), Failed(FailureClass::Truncated)),
        (whole(PAGE, "length", 17_000, 1_000), Failed(FailureClass::ContextFull)),
        (whole(PAGE, "length", 3_600, 657), Failed(FailureClass::ContextFull)),
        (whole(PAGE, "abort", 3_600, 20), Interrupted(MachineFault::Aborted)),
        (whole(PAGE, "repetition", 3_600, 900), Failed(FailureClass::Loop)),
        (whole("", "stop", 3_600, 1), Failed(FailureClass::Empty)),
        (whole("I cannot read this.", "stop", 3_600, 5), Failed(FailureClass::Unparsable)),
        (whole(&PAGE[..PAGE.len() - 6], "stop", 3_600, 60), Failed(FailureClass::Unparsable)),
        (whole(blank, "stop", 3_600, 30), Blank),
    ];
    for (stream, expected) in table {
        let result = setup.attempt(streamed(stream)).await;
        assert_eq!(result.attempt.outcome, expected, "{}", result.attempt.reason);
    }
}

#[tokio::test]
async fn a_broken_connection_is_the_machines_fault() {
    let setup = setup("chandra-2", LIMITS).await;
    let begun = || vec![delta("", None).into_bytes(), delta(PAGE, None).into_bytes()];
    for after in [After::Break, After::End] {
        let result = setup.attempt(Script::Stream(begun(), after)).await;
        assert_eq!(result.attempt.outcome, AttemptOutcome::Interrupted(MachineFault::ConnectionLost));
        assert_eq!(result.attempt.tokens.completion, 1, "counted from the stream");
    }
    let mut finished = begun();
    finished.push(delta("", Some("stop")).into_bytes());
    assert_eq!(setup.outcome(Script::Stream(finished, After::Break)).await, AttemptOutcome::Accepted);
}

#[tokio::test]
async fn nobody_listening_is_a_lost_connection() {
    let setup = setup("chandra-2", LIMITS).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = ServerAddress::Tcp(format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let client = Client::new(address, LIMITS, None).unwrap();
    let error = client.handshake(setup.reader.profile()).await.unwrap_err();
    assert!(matches!(error, EngineError::Unreachable { path: "/version", .. }), "{error}");
    assert!(!client.alive().await);
    assert!(setup.reader.client().alive().await);
}

#[tokio::test]
async fn silence_is_cut_by_the_deadline_that_it_breaks() {
    let short = Duration::from_millis(200);
    let first = setup("chandra-2", Limits { first_token: short, ..LIMITS }).await;
    let result = first.attempt(Script::Stream(vec![], After::Silence)).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Interrupted(MachineFault::Overloaded), "a queue, no fault");
    assert!(result.attempt.reason.contains("first token"), "{}", result.attempt.reason);

    // Nothing else moves, and the engine does not answer a small request either: it hangs, whatever /health says.
    let mut hung = setup("chandra-2", Limits { first_token: short, ..LIMITS }).await;
    let client = hung.reader.client().clone().with_hang_limit(short);
    hung.reader =
        Reader::connect("chandra".parse().unwrap(), hung.reader.profile().clone(), client, RankId(3)).await.unwrap();
    hung.server.hung.store(true, Ordering::SeqCst);
    let result = hung.attempt(Script::Stream(vec![], After::Silence)).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Interrupted(MachineFault::ServerDied));
    assert!(result.attempt.reason.contains("hangs"), "{}", result.attempt.reason);

    let gap = setup("chandra-2", Limits { token_gap: short, ..LIMITS }).await;
    let begun = Script::Stream(vec![delta(PAGE, None).into_bytes()], After::Silence);
    let result = gap.attempt(begun).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Failed(FailureClass::Stalled));
    assert!(result.attempt.reason.contains("further token"), "{}", result.attempt.reason);
    assert_eq!(result.part.unwrap().blocks.len(), 2, "what had come is kept");

    let total = setup("chandra-2", Limits { total: short, ..LIMITS }).await;
    total.server.dead.store(true, Ordering::SeqCst);
    let result = total.attempt(Script::Stream(vec![], After::Silence)).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Interrupted(MachineFault::ServerDied));
}

#[tokio::test]
async fn a_page_behind_a_full_server_is_not_blamed_for_its_wait() {
    let one_at_a_time = ["--speak", "chandra", "--mode", "synthetic", "--time-scale", "1", "--max-num-seqs", "1"];
    let server = standin_common::Server::start(&one_at_a_time);
    let reader = |first_token| {
        let client = Client::new(server.address(), Limits { first_token, ..LIMITS }, None).unwrap();
        Reader::connect("chandra".parse().unwrap(), Profile::load("chandra-2", None).unwrap(), client, RankId(0))
    };
    let (patient, hasty) =
        (reader(LIMITS.first_token).await.unwrap(), reader(Duration::from_millis(100)).await.unwrap());
    let image = PageImage { png: standin_common::blank(1600, 2240).into(), ..image() };
    let first = tokio::spawn({
        let image = image.clone();
        async move { patient.attempt(&image, asking("first.p1.l1.a1")).await }
    });
    server.until_metric("vllm:num_requests_running", 1.0).await;
    let second = hasty.attempt(&image, asking("second.p1.l1.a1")).await;
    assert_eq!(second.attempt.outcome, AttemptOutcome::Interrupted(MachineFault::Overloaded), "{second:?}");
    assert_eq!(first.await.unwrap().attempt.outcome, AttemptOutcome::Accepted);
}

#[tokio::test]
async fn failed_questions_to_health_are_death_only_three_in_a_row() {
    let setup = setup("chandra-2", LIMITS).await;
    let broken = || Script::Stream(vec![delta(PAGE, None).into_bytes()], After::Break);
    setup.server.ailing.store(2, Ordering::SeqCst);
    assert_eq!(setup.outcome(broken()).await, AttemptOutcome::Interrupted(MachineFault::ConnectionLost));
    assert_eq!(setup.reader.client().await_gone(Duration::ZERO).await, None);
    setup.server.ailing.store(3, Ordering::SeqCst);
    assert_eq!(setup.outcome(broken()).await, AttemptOutcome::Interrupted(MachineFault::ServerDied));
    setup.server.ailing.store(3, Ordering::SeqCst);
    assert_eq!(setup.reader.client().await_gone(Duration::ZERO).await, Some(Gone::Unhealthy));
}

#[tokio::test]
async fn a_full_queue_of_connections_is_not_death_and_a_closed_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let listener = socket.listen(1).unwrap();
    let client = Client::new(ServerAddress::Unix(path.clone()), LIMITS, None).unwrap();
    let mut queued = Vec::new();
    // As many as fit: the next is told EAGAIN.
    while let Ok(stream) = tokio::net::UnixStream::connect(&path).await {
        queued.push(stream);
    }
    // Long enough for three failures in a row.
    let judged = tokio::time::timeout(Duration::from_secs(2), client.await_gone(Duration::ZERO)).await;
    assert!(judged.is_err(), "{judged:?} while nothing was known yet");
    let server = server_of(&Profile::load("chandra-2", None).unwrap());
    let serving = tokio::spawn(axum::serve(listener, router(server)).into_future());
    assert_eq!(client.await_gone(Duration::ZERO).await, None);
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    assert_eq!(client.await_gone(Duration::ZERO).await, Some(Gone::Refused));
}

#[tokio::test]
async fn a_server_that_is_loading_is_no_wrong_server() {
    let profile = Profile::load("chandra-2", None).unwrap();
    let server = server_of(&profile);
    server.loading.store(1, Ordering::SeqCst);
    let client = Client::new(listen(server).await, LIMITS, None).unwrap();
    let error = client.handshake(&profile).await.unwrap_err();
    assert!(matches!(error, EngineError::Unreachable { .. }) && error.to_string().contains("502"), "{error}");
    client.handshake(&profile).await.unwrap();
}

#[tokio::test]
async fn a_loop_is_cut_while_it_streams_and_frees_the_slot() {
    let setup = setup("chandra-2", LIMITS).await;
    let result = setup.attempt(Script::Endless("<p>Vu la loi</p>")).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Failed(FailureClass::Loop));
    assert_eq!(result.attempt.finish, Some(FinishReason::Cut));
    assert!(result.attempt.answer.len() < 4_000, "cut after {} characters", result.attempt.answer.len());
    while setup.server.open.load(Ordering::SeqCst) > 0 {
        setup.server.closed.notified().await;
    }
}

#[tokio::test]
async fn dropping_the_attempt_frees_the_slot() {
    let setup = setup("chandra-2", LIMITS).await;
    let begun = Script::Stream(vec![delta("<div", None).into_bytes()], After::Silence);
    setup.server.scripts.lock().unwrap().push_back(begun);
    let reader = setup.reader.clone();
    let task = tokio::spawn(async move { reader.attempt(&image(), asking("x")).await });
    while setup.server.open.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    task.abort();
    while setup.server.open.load(Ordering::SeqCst) > 0 {
        setup.server.closed.notified().await;
    }
}

#[tokio::test]
async fn the_text_before_a_loop_is_kept_as_the_partial_answer() {
    let setup = setup("chandra-2", LIMITS).await;
    let looping = format!("{PAGE}\n<div data-bbox=\"1 2 3 4\" data-label=\"Text\">{}", "<p>Vu la loi</p>".repeat(60));
    let result = setup.attempt(streamed(whole(&looping, "stop", 3_600, 500))).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Failed(FailureClass::Loop));
    assert_eq!(result.part.unwrap().blocks.len(), 2);
}

#[tokio::test]
async fn a_loop_that_others_ended_is_not_in_the_partial_answer() {
    let setup = setup("chandra-2", LIMITS).await;
    let short = setup.attempt(streamed(whole(PAGE, "length", 3_600, 12_384))).await;
    let before = short.attempt.kept_characters;
    let open = format!("{PAGE}\n<div data-bbox=\"1 2 3 4\" data-label=\"Text\">");
    let looping = format!("{open}{}", "..........".repeat(60));
    for finish in ["length", "repetition"] {
        let result = setup.attempt(streamed(whole(&looping, finish, 3_600, 12_384))).await;
        assert_eq!(result.attempt.kept_characters, before, "{finish}");
        assert_eq!(result.attempt.answer, looping, "the raw answer is whole");
    }
    let block = |n: usize| {
        format!(
            "<div data-bbox=\"1 {n} 3 4\" data-label=\"Text\"><p>Vu la loi organique des finances n° {};</p></div>\n",
            n % 2
        )
    };
    let blocks: String = (0..5).map(|n| block(n * n)).chain((0..12).map(|n| block(n * n + n / 3))).collect();
    let result = setup.attempt(streamed(whole(&(PAGE.to_owned() + &blocks), "stop", 3_600, 900))).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Failed(FailureClass::Loop), "{}", result.attempt.reason);
    assert!(result.attempt.kept_characters < before + 100, "{} and {before}", result.attempt.kept_characters);
}

#[tokio::test]
async fn an_image_without_room_for_an_answer_is_not_sent() {
    let profile = Profile::load("chandra-2", None).unwrap();
    let server = server_of(&profile);
    server.models.lock().unwrap()[0]["max_model_len"] = json!(2048);
    let client = Client::new(listen(server.clone()).await, LIMITS, None).unwrap();
    let reader = Reader::connect("chandra".parse().unwrap(), profile, client, RankId(0)).await.unwrap();
    let result = reader.attempt(&image(), asking("x")).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Failed(FailureClass::ContextFull));
    assert!(server.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_handshake_refuses_another_model_with_the_remedy() {
    let profile = Profile::load("chandra-2", None).unwrap();
    let server = server_of(&profile);
    let client = Client::new(listen(server.clone()).await, LIMITS, None).unwrap();

    *server.models.lock().unwrap() = json!([{ "id": "deepseek-ocr", "max_model_len": 8192 }]);
    let error = client.handshake(&profile).await.unwrap_err();
    assert!(matches!(error, EngineError::WrongModel { .. }));
    assert!(error.to_string().contains("`deepseek-ocr`") && error.to_string().contains("--served-model-name chandra"));

    let elder = json!([{ "id": "chandra", "root": "datalab-to/chandra", "max_model_len": 32768 }]);
    *server.models.lock().unwrap() = elder;
    let error = client.handshake(&profile).await.unwrap_err();
    assert!(error.to_string().contains("datalab-to/chandra)"), "same name, other boxes: {error}");

    *server.models.lock().unwrap() = json!([{ "id": "chandra", "owned_by": "bocr-stand-in-synthetic" }]);
    let capabilities = client.handshake(&profile).await.unwrap();
    assert_eq!(capabilities.server, ServerKind::StandInSynthetic);
    assert_eq!(capabilities.max_model_len, profile.context_length);
    *server.version.lock().unwrap() = "0.17.0+stand-in-tesseract".into();
    let capabilities = client.handshake(&profile).await.unwrap();
    assert_eq!(capabilities.server, ServerKind::StandInTesseract);
    assert!(capabilities.repetition_detection);
}

#[tokio::test]
async fn the_handshake_refuses_a_version_that_cannot_serve_the_model() {
    let profile = Profile::load("chandra-2", None).unwrap();
    let server = server_of(&profile);
    let client = Client::new(listen(server.clone()).await, LIMITS, None).unwrap();
    *server.version.lock().unwrap() = "0.11.2".into();
    let error = client.handshake(&profile).await.unwrap_err();
    assert!(matches!(error, EngineError::TooOld { .. }));
    assert!(error.to_string().contains("needs 0.17.0 or later"), "{error}");
    *server.version.lock().unwrap() = "dev".into();
    let capabilities = client.handshake(&profile).await.unwrap();
    assert!(!capabilities.repetition_detection, "nothing is asked of a version that nobody can judge");
}

#[tokio::test]
async fn the_handshake_tells_what_the_metrics_offer() {
    let profile = Profile::load("chandra-2", None).unwrap();
    let server = server_of(&profile);
    let client = Client::new(listen(server.clone()).await, LIMITS, None).unwrap();
    assert_eq!(client.handshake(&profile).await.unwrap().metrics, None, "no such page");
    let stand_in = standin_common::Server::start(&["--speak", "chandra", "--mode", "synthetic", "--time-scale", "0"]);
    let client = Client::new(stand_in.address(), LIMITS, None).unwrap();
    let metrics = client.handshake(&profile).await.unwrap().metrics.unwrap();
    assert_eq!(metrics.len(), 6, "{metrics:?}");
}

#[tokio::test]
async fn a_server_without_the_ngram_processor_is_known() {
    let profile = Profile::load("deepseek-ocr", None).unwrap();
    let server = server_of(&profile);
    server.scripts.lock().unwrap().push_back(Script::Plain(200, "{}".into()));
    let client = Client::new(listen(server).await, LIMITS, None).unwrap();
    assert_eq!(client.handshake(&profile).await.unwrap().ngram_processor, Some(false));
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let profile = Profile::load("chandra", None).unwrap();
    let server = server_of(&profile);
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(axum::serve(listener, router(server.clone())).into_future());
    let client = Client::new(ServerAddress::Unix(path), LIMITS, None).unwrap();
    let reader = Reader::connect("chandra".parse().unwrap(), profile, client, RankId(0)).await.unwrap();
    let setup = Setup { server, reader };
    let page = "<div data-bbox=\"[0, 0, 1024, 1024]\" data-label=\"Text\"><p>Un</p></div>";
    let result = setup.attempt(streamed(whole(page, "stop", 3_600, 20))).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Accepted);
    assert_eq!(result.part.unwrap().blocks[0].bbox, Some(BBox::PAGE));
    assert_eq!(result.attempt.served_by.version, "0.17.1");
    serving.abort();
}

/// Bytes of text that an answer of Chandra's 12,384 tokens may have.
const MOST_BYTES: usize = 12_384 * 64 + 16 * 1024;

/// A real stand-in process whose script has each of these kinds for a page of that name, and a reader of it.
struct Troubled {
    server: standin_common::Server,
    reader: Reader,
    image: PageImage,
    _script: tempfile::NamedTempFile,
}

async fn troubled(kinds: &[&str], limits: Limits) -> Troubled {
    let entries = kinds.iter().map(|kind| format!("[[fault]]\npage = \"{kind}.p1\"\nkind = \"{kind}\"\n"));
    let script = standin_common::script(&entries.collect::<String>());
    let path = script.path().to_str().unwrap();
    let instant = ["--speak", "chandra", "--mode", "synthetic", "--time-scale", "0", "--faults", path];
    let server = standin_common::Server::start(&instant);
    let client = Client::new(server.address(), limits, None).unwrap().with_hang_limit(Duration::from_secs(2));
    let reader =
        Reader::connect("chandra".parse().unwrap(), Profile::load("chandra-2", None).unwrap(), client, RankId(0))
            .await
            .unwrap();
    let image = PageImage { png: standin_common::blank(1600, 2240).into(), ..image() };
    Troubled { server, reader, image, _script: script }
}

impl Troubled {
    /// One attempt that is struck by this kind of fault.
    async fn struck(&self, kind: &str) -> AttemptResult {
        self.reader.attempt(&self.image, asking(&format!("{kind}.p1.l1.a1"))).await
    }

    async fn good_text(&self) -> String {
        let result = self.struck("none").await;
        assert_eq!(result.attempt.outcome, AttemptOutcome::Accepted, "{}", result.attempt.reason);
        result.attempt.answer
    }
}

#[tokio::test]
async fn every_fault_of_a_stream_has_its_class_and_none_is_taken_for_a_page() {
    use AttemptOutcome::{Failed, Interrupted};
    let table = [
        ("garbage-utf8", Failed(FailureClass::ServerError), "not UTF-8"),
        ("garbage-json", Failed(FailureClass::ServerError), "not vLLM's"),
        ("done-early", Failed(FailureClass::ServerError), "without a finish reason"),
        ("error-event", Interrupted(MachineFault::ServerDied), "EngineCore"),
        ("error-event-other", Failed(FailureClass::ServerError), "Internal server error"),
        ("abort", Interrupted(MachineFault::Aborted), "aborted"),
        ("cut", Interrupted(MachineFault::ConnectionLost), "ended before the answer"),
        ("reset", Interrupted(MachineFault::ConnectionLost), ""),
        ("500", Failed(FailureClass::ServerError), "HTTP 500"),
        ("503", Interrupted(MachineFault::Overloaded), "HTTP 503"),
        ("400", Failed(FailureClass::Rejected), "HTTP 400"),
        ("empty", Failed(FailureClass::Empty), ""),
        ("loop", Failed(FailureClass::Loop), "copies"),
        ("truncated", Failed(FailureClass::ContextFull), "fill the context"),
    ];
    let troubled = troubled(&table.map(|(kind, ..)| kind), LIMITS).await;
    let good = troubled.good_text().await;
    let results = join_all(table.iter().map(|(kind, ..)| troubled.struck(kind))).await;
    for ((kind, outcome, words), result) in table.into_iter().zip(results) {
        assert_eq!(result.attempt.outcome, outcome, "{kind}: {}", result.attempt.reason);
        assert!(result.attempt.reason.contains(words), "{kind}: {}", result.attempt.reason);
        let answer = &result.attempt.answer;
        let refused = ["500", "503", "400", "empty"].contains(&kind);
        // A reset may overtake the bytes before it.
        assert!(kind == "reset" || answer.is_empty() == refused, "{kind}: what had come is kept: {answer}");
        assert!(kind == "loop" || (good.starts_with(answer.as_str()) && good != *answer), "{kind}: {answer}");
    }
    assert_eq!(troubled.good_text().await, good, "the server and the client go on");
    let requests = troubled.server.until_requests(table.len() + 2).await;
    assert_eq!(requests.len(), table.len() + 2, "each was asked once: {requests:?}");
}

#[tokio::test]
async fn an_answer_beyond_its_tokens_is_given_up_before_it_fills_the_memory() {
    let limits = Limits { total: Duration::from_secs(30), ..LIMITS };
    let troubled = troubled(&["huge-event", "huge-stream"], limits).await;
    let good = troubled.good_text().await;
    for (kind, what) in [("huge-event", "an event"), ("huge-stream", "the answer")] {
        let result = troubled.struck(kind).await;
        assert_eq!(
            result.attempt.outcome,
            AttemptOutcome::Failed(FailureClass::ServerError),
            "{kind}: {}",
            result.attempt.reason
        );
        let reason = &result.attempt.reason;
        assert!(reason.contains(&format!("{what} is longer than {MOST_BYTES} bytes")), "{kind}: {reason}");
        assert!(result.attempt.answer.len() <= MOST_BYTES, "{kind}: {} bytes", result.attempt.answer.len());
    }
    let requests = troubled.server.until_requests(3).await;
    let given_up =
        |line: &String| line.starts_with("huge-stream.p1.l1.a1.") && line.ends_with(" fault huge-stream disconnected");
    assert!(requests.iter().any(given_up), "{requests:?}");
    assert_eq!(troubled.good_text().await, good);
}

#[tokio::test]
async fn progress_is_a_token_and_not_a_byte() {
    let gap = Duration::from_secs(1);
    let within = |result: &AttemptResult, what: &str| {
        let took = result.attempt.duration;
        assert!(took >= gap && took <= gap + Duration::from_secs(1), "{what}: {took:?}");
    };
    let limits = Limits { token_gap: gap, ..LIMITS };
    let troubled = troubled(&["slow-loris", "stall"], limits).await;
    for (lines, kind) in [(2, "slow-loris"), (4, "stall")] {
        let result = troubled.struck(kind).await;
        assert_eq!(result.attempt.outcome, AttemptOutcome::Failed(FailureClass::Stalled), "{kind}");
        assert!(result.attempt.reason.contains("further token"), "{kind}: {}", result.attempt.reason);
        assert!(!result.attempt.answer.is_empty());
        within(&result, kind);
        let freed = format!(" fault {kind} disconnected");
        let requests = troubled.server.until_requests(lines).await;
        assert!(
            requests.iter().any(|line| line.ends_with(&freed)),
            "the slot is freed, and a canary asked: {requests:?}"
        );
    }
    // Events without a token are no progress either, however fast they come.
    let idle = setup("chandra-2", Limits { first_token: gap, ..LIMITS }).await;
    let result = idle.attempt(Script::Endless("")).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Interrupted(MachineFault::Overloaded));
    within(&result, "empty events");
}

#[tokio::test]
async fn a_hang_and_a_death_end_the_attempt() {
    let gap = Duration::from_secs(1);
    let hanging = troubled(&["hang"], Limits { first_token: gap, ..LIMITS }).await;
    let result = hanging.struck("hang").await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Interrupted(MachineFault::ServerDied), "no blame for the page");
    assert!(result.attempt.duration <= gap + Duration::from_secs(1), "{:?}", result.attempt.duration);
    let dying = troubled(&["death"], LIMITS).await;
    let result = dying.struck("death").await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Interrupted(MachineFault::ServerDied));
    assert!(result.attempt.reason.contains("EngineCore") && !result.attempt.answer.is_empty());
}

#[tokio::test]
async fn a_refusal_without_end_is_read_no_further_than_it_matters() {
    let setup = setup("chandra-2", Limits { first_token: Duration::from_secs(5), ..LIMITS }).await;
    let result = setup.attempt(Script::EndlessRefusal(400)).await;
    assert_eq!(result.attempt.outcome, AttemptOutcome::Failed(FailureClass::Rejected));
    assert!(result.attempt.reason.len() < 1_000 && result.attempt.reason.contains("no no"));
}
