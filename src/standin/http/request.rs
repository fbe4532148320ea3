//! A chat request's body, and the checks that a real server makes, in its order and with its messages.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;

use crate::standin::{dialect::Dialect, picture::Picture, tokens};

use super::{api_error::ApiError, release::Release, repetition::RepetitionDetection};

/// Top level of the body. Unknown fields are accepted, as by vLLM.
#[derive(Debug, Deserialize)]
struct Body {
    messages: Vec<Message>,
    model: Option<String>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
    skip_special_tokens: Option<bool>,
    vllm_xargs: Option<serde_json::Map<String, Value>>,
    repetition_detection: Option<RepetitionDetection>,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(rename = "role")]
    _role: String,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    Text { text: String },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Debug, Deserialize)]
struct ImageUrl {
    url: String,
}

/// What a stream reports about tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct StreamOptions {
    /// Whether the usage comes in a last chunk.
    pub include_usage: bool,
    /// Whether the usage so far comes in every chunk.
    pub continuous_usage_stats: bool,
}

/// A checked request, which a real server would begin to process.
#[derive(Debug)]
pub struct ChatRequest {
    /// Image of the page. A request without one is a canary request, answered at once with one token.
    pub picture: Option<Picture>,
    /// Prompt tokens: image, text and template.
    pub prompt_tokens: u32,
    /// Most tokens of the answer: the smaller of `max_tokens` and what the context has left.
    pub budget: u32,
    /// `None` for an answer in one piece.
    pub stream: Option<StreamOptions>,
    /// Whether special tokens are left out of the text.
    pub skip_special_tokens: bool,
    /// When a repetition ends the answer.
    pub repetition: RepetitionDetection,
}

/// The model that requests are checked against.
#[derive(Debug, Clone)]
pub struct ServedModel {
    /// The dialect whose rules apply.
    pub dialect: Dialect,
    /// The release whose rules apply.
    pub release: Release,
    /// The name that requests must give.
    pub name: String,
    /// Context: most tokens of prompt and answer together.
    pub max_model_len: u32,
}

impl ServedModel {
    /// Checks a body.
    ///
    /// # Errors
    /// The error response of a real server: HTTP 400, 404, or its release's answer to an image that it cannot decode.
    pub fn check(&self, body: &[u8]) -> Result<ChatRequest, ApiError> {
        let release = self.release;
        let body: Body = match body {
            [] => return Err(release.malformed("missing", "body", "Field required")),
            body => serde_json::from_slice(body).map_err(|error| malformed(release, &error))?,
        };
        if let Some(model) = body.model.as_deref().filter(|model| *model != self.name) {
            return Err(release.unknown_model(model, &self.name));
        }
        let (text, images) = parts(body.messages);
        if images.len() > 1 {
            return Err(release.too_many_images());
        }
        let picture = images.first().map(|url| picture(release, url)).transpose()?;
        if let (Dialect::Grounding, Some(arguments)) = (self.dialect, &body.vllm_xargs) {
            check_ngram_arguments(release, arguments)?;
        }
        let repetition = body.repetition_detection.filter(|_| release.detects_repetition()).unwrap_or_default();
        if !repetition.makes_sense() {
            return Err(release.senseless_repetition());
        }
        let max_tokens = body.max_completion_tokens.or(body.max_tokens);
        let (prompt_tokens, budget) = self.budget(&text, picture.as_ref(), max_tokens)?;
        Ok(ChatRequest {
            picture,
            prompt_tokens,
            budget,
            stream: body.stream.then(|| body.stream_options.unwrap_or_default()),
            skip_special_tokens: body.skip_special_tokens.unwrap_or(true),
            repetition,
        })
    }

    /// Prompt tokens, and the token budget of the answer. The first two checks count an image as one token, the third
    /// counts it in full (`docs/facts/vllm.md`, "Lengths").
    fn budget(&self, text: &str, picture: Option<&Picture>, max_tokens: Option<i64>) -> Result<(u32, u32), ApiError> {
        let (release, limit) = (self.release, self.max_model_len);
        let words = tokens::count(text) + tokens::of_template(self.dialect);
        let counted = words + u32::from(picture.is_some());
        if counted >= limit {
            return Err(release.text_too_long(counted, limit));
        }
        if let Some(asked) = max_tokens.filter(|asked| *asked < 1) {
            return Err(release.max_tokens_below_one(asked));
        }
        if let Some(error) = max_tokens.and_then(|asked| release.max_tokens_too_large(asked, counted, limit)) {
            return Err(error);
        }
        let image = match picture {
            None => 0,
            Some(picture) => {
                tokens::of_image(self.dialect, picture.size).map_err(|_| release.processor_failed(picture.size))?
            }
        };
        let prompt = words + image;
        if prompt >= limit {
            return Err(release.prompt_too_long(prompt, limit));
        }
        let asked = max_tokens.map_or(u32::MAX, |asked| u32::try_from(asked).unwrap_or(u32::MAX));
        Ok((prompt, asked.min(limit - prompt)))
    }
}

/// The answer to a body that is no valid request. Only the most common of pydantic's reports are distinguished.
fn malformed(release: Release, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    if !error.is_data() {
        return release.malformed("json_invalid", "body.1", "JSON decode error");
    }
    if text.contains("missing field `messages`") {
        return release.malformed("missing", "body.messages", "Field required");
    }
    release.malformed("value_error", "body", &text.replace('\'', "`"))
}

fn parts(messages: Vec<Message>) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut images = Vec::new();
    for content in messages.into_iter().filter_map(|message| message.content) {
        match content {
            Content::Text(words) => text.push_str(&words),
            Content::Parts(parts) => {
                for part in parts {
                    match part {
                        Part::Text { text: words } => text.push_str(&words),
                        Part::ImageUrl { image_url } => images.push(image_url.url),
                    }
                }
            }
        }
    }
    (text, images)
}

fn picture(release: Release, url: &str) -> Result<Picture, ApiError> {
    if url.starts_with("file:") {
        return Err(release.local_file());
    }
    let Some(data) = url.strip_prefix("data:") else {
        return Err(release.bad_request("The URL must be a data URL (a stand-in fetches nothing)."));
    };
    let Some((_, encoded)) = data.split_once(";base64,") else {
        return Err(release.not_base64());
    };
    let encoded: Cow<'_, str> = if release.is_strict_on_base64() {
        encoded.into()
    } else {
        encoded.chars().filter(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c)).collect::<String>().into()
    };
    let png = STANDARD.decode(&*encoded).map_err(|_| release.bad_base64())?;
    Picture::from_png(png).map_err(|error| release.no_picture(&error))
}

/// Checks the arguments of DeepSeek-OCR's n-gram processor.
fn check_ngram_arguments(release: Release, arguments: &serde_json::Map<String, Value>) -> Result<(), ApiError> {
    let Some(size) = arguments.get("ngram_size") else { return Ok(()) };
    let window = arguments.get("window_size");
    for (name, value) in [("ngram_size", Some(size)), ("window_size", window)] {
        if let Some(value) = value.filter(|value| value.as_u64().is_none_or(|number| number == 0)) {
            let value = value.as_str().map_or_else(|| value.to_string(), String::from);
            return Err(release.bad_request(format!("`{name}` has to be a strictly positive integer, got {value}.")));
        }
    }
    match arguments.get("whitelist_token_ids") {
        Some(ids @ (Value::Number(_) | Value::Bool(_))) => {
            Err(release.bad_request(format!("`whitelist_token_ids` has to be a sequence of integers, got {ids}.")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::json;

    use super::*;

    fn model(dialect: Dialect, max_model_len: u32) -> ServedModel {
        ServedModel { dialect, release: Release::V0_11_2, name: "chandra".into(), max_model_len }
    }

    fn page(width: u32, height: u32) -> String {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::GrayImage::new(width, height).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        format!("data:image/png;base64,{}", STANDARD.encode(bytes.into_inner()))
    }

    fn body(url: &str, max_tokens: u32) -> Value {
        json!({ "model": "chandra", "max_tokens": max_tokens, "messages": [{ "role": "user", "content": [
            { "type": "image_url", "image_url": { "url": url } }, { "type": "text", "text": "read" } ] }] })
    }

    fn check(model: &ServedModel, body: &Value) -> Result<ChatRequest, ApiError> {
        model.check(&serde_json::to_vec(body).unwrap())
    }

    #[test]
    fn an_image_and_a_text_are_counted_and_the_budget_is_clamped_to_the_context() {
        let request = check(&model(Dialect::Divs, 2048), &body(&page(1000, 1400), 2000)).unwrap();
        assert_eq!(request.prompt_tokens, 1364 + 12 + 1);
        assert_eq!(request.budget, 2048 - request.prompt_tokens);
        assert!(request.stream.is_none() && request.skip_special_tokens);
    }

    #[test]
    fn each_wrong_request_gets_the_real_servers_answer() {
        let chandra = model(Dialect::Divs, 2048);
        let good = page(100, 100);
        for (body, status, words) in [
            (json!({ "model": "nope", "messages": [] }), 404, "The model `nope` does not exist."),
            (json!({ "model": "chandra" }), 400, "'loc': ('body', 'messages'), 'msg': 'Field required'"),
            (body(&good, 200_000), 400, "'max_tokens' or 'max_completion_tokens' is too large: 200000."),
            (body(&page(2480, 3508), 10), 400, "The decoder prompt (length 8593) is longer"),
            (body("data:image/png;base64,####", 10), 400, "cannot identify image file"),
            (body("data:image/png;base64,AAAA", 10), 400, "cannot identify image file"),
            (body("data:image/png;base64,", 10), 400, "cannot identify image file"),
            (body(&good[..good.len() - 16], 10), 500, "image file is truncated"),
            (body("file:///etc/passwd", 10), 400, "Cannot load local files"),
            (body(&page(8, 4000), 10), 400, "Failed to apply Qwen3VLProcessor"),
        ] {
            let error = check(&chandra, &body).unwrap_err();
            assert_eq!(error.status, StatusCode::from_u16(status).unwrap(), "{error:?}");
            assert!(error.message.contains(words), "{error:?}");
        }
        assert_eq!(chandra.check(b"{nope").unwrap_err().kind, "Bad Request");
    }

    #[test]
    fn deepseeks_arguments_are_checked_as_its_processor_does() {
        let deepseek = model(Dialect::Grounding, 8192);
        let mut request = body(&page(100, 100), 10);
        request["vllm_xargs"] = json!({ "ngram_size": 30, "window_size": 90, "whitelist_token_ids": [128821, 128822] });
        request["skip_special_tokens"] = json!(false);
        assert!(!check(&deepseek, &request).unwrap().skip_special_tokens);
        for wrong in
            [json!({ "ngram_size": 0 }), json!({ "ngram_size": "30" }), json!({ "ngram_size": 3, "window_size": -1 })]
        {
            request["vllm_xargs"] = wrong;
            assert!(check(&deepseek, &request).unwrap_err().message.contains("strictly positive integer"));
            assert!(check(&model(Dialect::Divs, 8192), &request).is_ok());
        }
        request["vllm_xargs"] = json!({ "ngram_size": 3, "whitelist_token_ids": 4090 });
        assert!(check(&deepseek, &request).unwrap_err().message.contains("sequence of integers, got 4090"));
    }
}
