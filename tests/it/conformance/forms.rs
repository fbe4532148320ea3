//! Status, headers and bodies, field by field and in their order: what real servers said is recorded, and the stand-in must
//! say the same.
//!
//! What changes from answer to answer (ids, times, numbers in messages, text) is left out of the comparison, and so are
//! the headers `date`, `server` and `vary`, and `system_fingerprint`, in which the stand-in says what it is.

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bulletin_ocr::model::PixelSize;
use serde_json::{Map, Value, json};

use super::target::{Model, PAGE, Target, page};

/// Where the stand-in is not like the real server, on purpose.
const DIFFERENCES: [(&str, Compared, &str); 9] = [
    ("missing messages", Compared::Kind, "of pydantic's report the stand-in has the first words"),
    ("no JSON", Compared::Kind, "as above"),
    ("empty body", Compared::Kind, "as above"),
    ("messages are a text", Compared::Status, "as above, and it does not say which field it was"),
    ("max_tokens is a text", Compared::Status, "as above"),
    ("image too narrow", Compared::Kind, "the processor's arguments are told in full by a real server"),
    ("no image", Compared::Kind, "the stand-in says that it takes PNG only; 0.11.2 tells the address of an object"),
    ("empty image", Compared::Kind, "as above"),
    ("bad base64", Compared::Kind, "on 0.11.2 as above"),
];

/// How much of an answer is compared.
#[derive(Clone, Copy, PartialEq)]
enum Compared {
    Status,
    /// And the kind of error.
    Kind,
}

enum EstimateTarget {
    Get(&'static str),
    Chat(Value),
    Raw(&'static str),
}

/// The questions, by name.
fn questions(target: &Target) -> Vec<(&'static str, EstimateTarget)> {
    let model = &target.profile.served_name;
    let png = page(PAGE);
    let url = |png: &[u8]| format!("data:image/png;base64,{}", STANDARD.encode(png));
    let with = |url: &str, fields: Value| {
        let mut body = json!({
            "model": model, "max_tokens": 3, "temperature": 1.0, "ignore_eos": true,
            "messages": [{ "role": "user", "content": [
                { "type": "image_url", "image_url": { "url": url } }, { "type": "text", "text": "Read." } ] }],
        });
        if let (Value::Object(body), Value::Object(fields)) = (&mut body, fields) {
            body.extend(fields);
        }
        EstimateTarget::Chat(body)
    };
    let asks = |fields: Value| with(&url(&png), fields);
    let usage = json!({ "include_usage": true, "continuous_usage_stats": true });
    let narrow = page(PixelSize { width: 8, height: 4000 });
    let image = json!({ "type": "image_url", "image_url": { "url": url(&png) } });
    let mut questions = vec![
        ("health", EstimateTarget::Get("/health")),
        ("ping", EstimateTarget::Get("/ping")),
        ("models", EstimateTarget::Get("/v1/models")),
        ("no such path", EstimateTarget::Get("/nothing")),
        ("wrong method", EstimateTarget::Get("/v1/chat/completions")),
        ("metrics", EstimateTarget::Get("/metrics")),
        ("whole answer", asks(json!({}))),
        ("stream", asks(json!({ "stream": true }))),
        ("stream with usage", asks(json!({ "stream": true, "stream_options": { "include_usage": true } }))),
        ("stream with running usage", asks(json!({ "stream": true, "stream_options": usage }))),
        ("another model", asks(json!({ "model": "another" }))),
        ("another model, stream", asks(json!({ "model": "another", "stream": true }))),
        ("max_tokens too large", asks(json!({ "max_tokens": 200_000 }))),
        (
            "max_tokens of the context",
            asks(json!({ "max_tokens": 8_190, "logit_bias": { "4084": 100 }, "ignore_eos": false })),
        ),
        ("max_tokens 0", asks(json!({ "max_tokens": 0 }))),
        ("max_tokens negative", asks(json!({ "max_tokens": -1 }))),
        ("max_tokens is a text", asks(json!({ "max_tokens": "many" }))),
        ("image cut off", with(&url(&png[..png.len() / 2]), json!({}))),
        ("image cut off, stream", with(&url(&png[..png.len() / 2]), json!({ "stream": true }))),
        ("no image", with("data:image/png;base64,AAAA", json!({}))),
        ("empty image", with("data:image/png;base64,", json!({}))),
        ("bad base64", with("data:image/png;base64,####", json!({}))),
        ("no base64", with("data:image/png,abc", json!({}))),
        ("local file", with("file:///etc/passwd", json!({}))),
        ("two images", asks(json!({ "messages": [{ "role": "user", "content": [image.clone(), image] }] }))),
        ("text too long", asks(json!({ "messages": [{ "role": "user", "content": "bulletin ".repeat(20_000) }] }))),
        ("missing messages", EstimateTarget::Chat(json!({ "model": model }))),
        ("messages are a text", EstimateTarget::Chat(json!({ "model": model, "messages": "hello" }))),
        ("no JSON", EstimateTarget::Raw("{nope")),
        ("empty body", EstimateTarget::Raw("")),
        ("unknown field", asks(json!({ "nonsense": 3 }))),
        (
            "repetition without sense",
            asks(json!({ "repetition_detection": { "max_pattern_size": 9, "min_count": 1 } })),
        ),
        ("n-gram of 0", asks(json!({ "vllm_xargs": { "ngram_size": 0 } }))),
        ("n-gram as a text", asks(json!({ "vllm_xargs": { "ngram_size": "30" } }))),
        ("window negative", asks(json!({ "vllm_xargs": { "ngram_size": 3, "window_size": -1 } }))),
        ("whitelist as a number", asks(json!({ "vllm_xargs": { "ngram_size": 3, "whitelist_token_ids": 7 } }))),
    ];
    if target.model == Model::Chandra {
        let large = page(PixelSize { width: 2480, height: 3508 });
        questions.push(("image too long", with(&url(&large), json!({}))));
        questions.push(("image too long, stream", with(&url(&large), json!({ "stream": true }))));
        questions.push(("image too narrow", with(&url(&narrow), json!({}))));
    }
    questions
}

/// Asks everything and gives the forms of the answers, by the names of the questions.
async fn answers(target: &Target) -> BTreeMap<String, Value> {
    // A real server closes the connection after some of its errors, without a word before.
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let mut answers = BTreeMap::new();
    for (name, ask) in questions(target) {
        let chat = |body: String| {
            let request = client.post(format!("{}/v1/chat/completions", target.url)).body(body);
            request.header("content-type", "application/json")
        };
        let request = match ask {
            EstimateTarget::Get(path) => client.get(format!("{}{path}", target.url)),
            EstimateTarget::Chat(body) => chat(body.to_string()),
            EstimateTarget::Raw(body) => chat(body.into()),
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let text = answer.text().await.unwrap();
        let body = match kind.as_deref() {
            Some(kind) if kind.starts_with("text/event-stream") => events(&text),
            Some(kind) if kind.starts_with("text/plain") => metrics(&text),
            Some(_) => form("", &serde_json::from_str(&text).unwrap()),
            None => json!(text),
        };
        answers.insert(name.to_owned(), json!({ "status": status, "content-type": kind, "body": body }));
    }
    answers
}

/// The events of a stream; equal ones that follow one another are one.
fn events(text: &str) -> Value {
    let mut events: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|event| {
            let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {event:?}"));
            if data == "[DONE]" { json!(data) } else { form("", &serde_json::from_str(data).unwrap()) }
        })
        .collect();
    events.dedup();
    json!(events)
}

/// The lines of the figures that the client reads, and what is said of their kinds.
fn metrics(text: &str) -> Value {
    const FIGURES: [&str; 7] = [
        "num_requests_running",
        "num_requests_waiting",
        "kv_cache_usage_perc",
        "num_preemptions_total",
        "prompt_tokens_total",
        "generation_tokens_total",
        "request_success_total",
    ];
    let of_figure = |line: &&str| {
        let name = line.strip_prefix("# TYPE ").unwrap_or(line).strip_prefix("vllm:").unwrap_or_default();
        FIGURES.iter().any(|figure| name.strip_prefix(figure).is_some_and(|rest| rest.starts_with([' ', '{'])))
    };
    let mut lines: Vec<_> = text
        .lines()
        .filter(of_figure)
        .map(|line| if line.starts_with('#') { line } else { line.rsplit_once(' ').unwrap().0 })
        .collect();
    lines.sort_unstable();
    json!(lines)
}

/// A value without what changes from answer to answer.
fn form(key: &str, value: &Value) -> Value {
    match value {
        _ if key == "system_fingerprint" => json!("…"),
        Value::Object(fields) => {
            // 0.11.2 signs no event of a stream, 0.32.0 only the last; the stand-in all.
            let event = fields.get("object").is_some_and(|object| object == "chat.completion.chunk");
            let fields = fields.iter().filter(|(key, _)| !(event && *key == "system_fingerprint"));
            Value::Object(fields.map(|(key, value)| (key.clone(), form(key, value))).collect::<Map<_, _>>())
        }
        Value::Array(values) => values.iter().map(|value| form(key, value)).collect(),
        Value::Number(_) if key != "code" => json!(0),
        Value::String(text) if key == "message" => json!(numberless(text)),
        Value::String(_) if key == "content" => json!("…"),
        Value::String(_) if ["id", "model", "root", "owned_by"].contains(&key) => json!("…"),
        other => other.clone(),
    }
}

/// A message without its numbers and the addresses of objects.
fn numberless(text: &str) -> String {
    let mut parts = text.split("0x");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str("0x…");
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    let mut words = String::new();
    for c in plain.chars() {
        match c {
            '0'..='9' if words.ends_with('#') => {}
            '0'..='9' => words.push('#'),
            other => words.push(other),
        }
    }
    words
}

fn record(target: &Target) -> PathBuf {
    let name = format!("{}-{}.json", target.release.name(), target.model.name());
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/conformance/recorded").join(name)
}

pub async fn the_forms_are_those_that_were_recorded(target: std::sync::Arc<Target>) {
    let heard = answers(&target).await;
    assert!(target.client.alive().await, "what a dead engine says is no form");
    let path = record(&target);
    if target.is_real() && std::env::var_os("BOCR_CONFORMANCE_RECORD").is_some() {
        std::fs::write(path, format!("{:#}\n", json!(heard))).unwrap();
        return;
    }
    let recorded: BTreeMap<String, Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(heard.keys().eq(recorded.keys()), "record anew: other questions are asked");
    let mut wrong = Vec::new();
    for (name, expected) in &recorded {
        let known = DIFFERENCES.iter().find(|(question, ..)| question == name && !target.is_real());
        let part = |answer: &Value| match known.map(|(_, compared, _)| compared) {
            // As text: the order of fields counts.
            None => format!("{answer:#}"),
            Some(Compared::Kind) => format!("{} {}", answer["status"], answer["body"]["error"]["type"]),
            Some(Compared::Status) => answer["status"].to_string(),
        };
        if part(expected) != part(&heard[name]) {
            wrong.push(format!("{name}: expected {}\nheard {}", part(expected), part(&heard[name])));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
