//! Tesseract really reads, in both languages and both dialects.

#![allow(clippy::unwrap_used)]

use crate::standin_common::{Server, blank, page, sample, text_of};
use serde_json::json;

const FRENCH: [&str; 6] = ["honoraires", "quinze", "président", "Article", "arbitrales", "exécutoires"];
const ARABIC: [&str; 6] = ["الكتاب", "المحلفون", "المادة", "للمفوض", "القضائي", "بالتبليغ"];

fn content(answer: &serde_json::Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

#[tokio::test]
async fn chandras_dialect_in_both_languages() {
    let server = Server::start(&["--speak", "chandra", "--mode", "tesseract"]);
    assert_eq!(server.get("/version").await.1, r#"{"version":"0.32.0+stand-in-tesseract"}"#);
    for (file, words) in [("french.png", FRENCH), ("arabic.png", ARABIC)] {
        let (status, answer) = server.chat(&page("chandra", &sample(file))).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        let text = content(&answer);
        assert!(text.starts_with("<div data-bbox=\"") && text.ends_with("</p></div>"), "{text}");
        assert!(text.contains("data-label=\"Text\""), "{text}");
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}

#[tokio::test]
async fn chandra_1_writes_its_boxes_as_lists() {
    let server = Server::start(&["--speak", "chandra", "--mode", "tesseract", "--box-scale", "1024"]);
    let (events, _) = server.stream(&page("chandra", &sample("french.png"))).await;
    let text = text_of(&events);
    assert!(text.starts_with("<div data-bbox=\"["), "{text}");
    assert!(FRENCH.iter().all(|word| text.contains(word)), "{text}");
}

#[tokio::test]
async fn deepseeks_grammar_is_seen_only_with_special_tokens() {
    let server = Server::start(&["--speak", "deepseek", "--mode", "tesseract"]);
    let mut body = page("deepseek-ocr", &sample("arabic.png"));
    body["skip_special_tokens"] = json!(false);
    body["vllm_xargs"] = json!({ "ngram_size": 30, "window_size": 90, "whitelist_token_ids": [128821, 128822] });
    let (_, answer) = server.chat(&body).await;
    let text = content(&answer);
    assert!(text.starts_with("<|ref|>text<|/ref|><|det|>[["), "{text}");
    assert!(ARABIC.iter().all(|word| text.contains(word)), "{text}");
    // Wider than high: three tiles by two, or two by one.
    assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() > 273, "{answer}");

    body["skip_special_tokens"] = json!(true);
    let text = content(&server.chat(&body).await.1).to_owned();
    assert!(text.starts_with("text[[") && !text.contains("<|"), "{text}");

    body["vllm_xargs"] = json!({ "ngram_size": 0 });
    let (status, refused) = server.chat(&body).await;
    assert_eq!(status, 400, "{refused}");
}

#[tokio::test]
async fn a_page_without_words_is_blank() {
    let chandra = Server::start(&["--speak", "chandra", "--mode", "tesseract"]);
    let (_, answer) = chandra.chat(&page("chandra", &blank(800, 1100))).await;
    assert_eq!(content(&answer), "<div data-bbox=\"0 0 1000 1000\" data-label=\"Blank-Page\"></div>");
    let deepseek = Server::start(&["--speak", "deepseek", "--mode", "tesseract"]);
    let (_, answer) = deepseek.chat(&page("deepseek-ocr", &blank(800, 1100))).await;
    assert_eq!(content(&answer), "");
    assert_eq!(answer["usage"]["completion_tokens"], 1);
}

#[tokio::test]
async fn a_reading_that_takes_too_long_is_an_error_of_the_server() {
    let server = Server::start(&["--speak", "chandra", "--mode", "tesseract", "--time-limit", "0.001"]);
    let (status, answer) = server.chat(&page("chandra", &sample("french.png"))).await;
    assert_eq!(status, 500);
    assert!(answer["error"]["message"].as_str().unwrap().contains("took longer than 0.001 s"), "{answer}");
    let (events, _) = server.stream(&page("chandra", &sample("french.png"))).await;
    assert!(events[0].starts_with("{\"error\"") && events[1] == "[DONE]", "{events:?}");
    server.until_tesseracts(0).await;
}
