//! Tesseract really reads, in both languages and in every dialect.

#![allow(clippy::unwrap_used)]

use crate::standin_common::{Server, blank, page, sample, text_of};
use bulletin_ocr::{
    engine::{self, Dialect, Formulas},
    model::{BBox, PixelSize},
};
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

/// The words come out of the parser of each dialect, and the boxes, where it has some, are where the print is.
#[tokio::test]
async fn every_dialect_gives_the_words_and_where_they_stand_to_its_parser() {
    let png = sample("french.png");
    let picture = image::load_from_memory(&png).unwrap().into_luma8();
    let size = PixelSize { width: picture.width(), height: picture.height() };
    let dark = || picture.enumerate_pixels().filter(|(.., pixel)| pixel.0[0] < 128);
    let bounds = |place: fn((u32, u32)) -> u32| {
        let places = dark().map(|(x, y, _)| place((x, y)));
        (places.clone().min().unwrap(), places.max().unwrap() + 1)
    };
    let ((left, right), (top, bottom)) = (bounds(|(x, _)| x), bounds(|(_, y)| y));
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let [left, right] = [left, right].map(|x| f64::from(x) / width);
    let [top, bottom] = [top, bottom].map(|y| f64::from(y) / height);
    let print = BBox::from_scale([left, top, right, bottom], 1.0);
    let (front_matter, formulas) = (true, Formulas::default());
    for dialect in [
        Dialect::Divs { box_scale: 1024 },
        Dialect::Divs { box_scale: 1000 },
        Dialect::Grounding { box_scale: 999 },
        Dialect::LayoutJson { box_scale: None },
        Dialect::LayoutJson { box_scale: Some(1000) },
        Dialect::Markdown { front_matter, formulas },
        Dialect::Doctags { box_scale: 500 },
    ] {
        let scale = dialect.box_scale().map(|scale| scale.to_string());
        let mut arguments = vec!["--speak", dialect.name(), "--mode", "tesseract", "--served-name", "model"];
        arguments.extend(scale.iter().flat_map(|scale| ["--box-scale", scale]));
        arguments.extend(matches!(dialect, Dialect::Markdown { .. }).then_some("--front-matter"));
        let server = Server::start(&arguments);
        let mut body = page("model", &png);
        body["skip_special_tokens"] = json!(false);
        let (status, answer) = server.chat(&body).await;
        assert_eq!(status, 200, "{dialect:?}: {answer}");
        let reading = engine::parse_answer(content(&answer), dialect, size);
        assert_eq!(reading.fault, None, "{dialect:?}: {answer}");
        let text: String = reading.blocks.iter().map(|block| engine::text_of(&block.html) + "\n").collect();
        assert!(FRENCH.iter().all(|word| text.contains(word)), "{dialect:?}: {text}");
        let boxes: Vec<BBox> = reading.blocks.iter().filter_map(|block| block.bbox).collect();
        if matches!(dialect, Dialect::Markdown { .. }) {
            assert_eq!(boxes, [], "{dialect:?}");
            continue;
        }
        assert_eq!(boxes.len(), reading.blocks.len(), "{dialect:?}: {answer}");
        let around = [
            (boxes.iter().map(|b| b.left).min().unwrap(), print.left),
            (boxes.iter().map(|b| b.top).min().unwrap(), print.top),
            (boxes.iter().map(|b| b.right).max().unwrap(), print.right),
            (boxes.iter().map(|b| b.bottom).max().unwrap(), print.bottom),
        ];
        // Words end a little within their print; a pixel or a unit of the scale is lost in rounding.
        let most = BBox::SCALE / 50;
        assert!(around.iter().all(|(found, print)| found.abs_diff(*print) <= most), "{dialect:?}: {around:?}");
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
