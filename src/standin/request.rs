//! A chat request's body as sent, and the checks that a real server makes, in its order and words.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;

use super::{
    picture::{NoPicture, Picture},
    protocol::ApiError,
    tokens,
};
use crate::model::Engine;

/// Top level of the body. Unknown fields are accepted, as vLLM does.
#[derive(Debug, Deserialize)]
struct Body {
    messages: Vec<Message>,
    model: Option<String>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
    skip_special_tokens: Option<bool>,
    vllm_xargs: Option<serde_json::Map<String, Value>>,
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

/// What a stream says about tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct StreamOptions {
    /// A last chunk with the usage.
    pub include_usage: bool,
    /// The usage so far in every chunk.
    pub continuous_usage_stats: bool,
}

/// A request that a real server would have begun to work on.
#[derive(Debug)]
pub struct ChatRequest {
    /// The page. A request without one is a canary, answered at once with one token.
    pub picture: Option<Picture>,
    /// Prompt tokens: image, text and template.
    pub prompt_tokens: u32,
    /// Most tokens of the answer, from `max_tokens` and what is left of the context.
    pub budget: u32,
    /// `None` for an answer in one piece.
    pub stream: Option<StreamOptions>,
    /// Whether special tokens are left out of the text.
    pub skip_special_tokens: bool,
}

/// What requests are checked against.
#[derive(Debug, Clone)]
pub struct ServedModel {
    /// The engine whose rules hold.
    pub engine: Engine,
    /// The name that requests must give.
    pub name: String,
    /// Prompt and answer together.
    pub max_model_len: u32,
}

impl ServedModel {
    /// Checks a body.
    ///
    /// # Errors
    /// What a real server answers: 400, 404, or 500 for an image it cannot decode.
    pub fn check(&self, body: &[u8]) -> Result<ChatRequest, ApiError> {
        let body: Body = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        if let Some(model) = body.model.as_deref().filter(|model| *model != self.name) {
            return Err(ApiError::unknown_model(model));
        }
        let (text, images) = parts(body.messages);
        if images.len() > 1 {
            return Err(ApiError::bad_request("At most 1 image(s) may be provided in one prompt. None"));
        }
        let picture = images.first().map(|url| picture(url)).transpose()?;
        if let (Engine::DeepSeek, Some(arguments)) = (self.engine, &body.vllm_xargs) {
            check_ngram_arguments(arguments)?;
        }
        let max_tokens = body.max_completion_tokens.or(body.max_tokens);
        let (prompt_tokens, budget) = self.budget(&text, picture.as_ref(), max_tokens)?;
        Ok(ChatRequest {
            picture,
            prompt_tokens,
            budget,
            stream: body.stream.then(|| body.stream_options.unwrap_or_default()),
            skip_special_tokens: body.skip_special_tokens.unwrap_or(true),
        })
    }

    /// Prompt tokens and the room for the answer. The first two checks count an image as one token, the third counts
    /// it in full (facts of the engines, C.3).
    fn budget(&self, text: &str, picture: Option<&Picture>, max_tokens: Option<u32>) -> Result<(u32, u32), ApiError> {
        let limit = self.max_model_len;
        let words = tokens::count(text) + tokens::of_template(self.engine);
        let counted = words + u32::from(picture.is_some());
        if counted >= limit {
            return Err(ApiError::bad_request(format!(
                "This model's maximum context length is {limit} tokens. However, your request has {counted} input \
                 tokens. Please reduce the length of the input messages. None"
            )));
        }
        if max_tokens == Some(0) {
            return Err(ApiError::bad_request("max_tokens must be at least 1, got 0. None"));
        }
        if let Some(asked) = max_tokens.filter(|asked| u64::from(counted) + u64::from(*asked) > u64::from(limit)) {
            return Err(ApiError::bad_request(format!(
                "'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context length \
                 is {limit} tokens and your request has {counted} input tokens ({asked} > {limit} - {counted}). None"
            )));
        }
        let image =
            picture.map_or(Ok(0), |picture| tokens::of_image(self.engine, picture.size)).map_err(|refused| {
                ApiError::bad_request(format!("Failed to apply Qwen3VLProcessor on data=…: {refused}"))
            })?;
        let prompt = words + image;
        if prompt >= limit {
            return Err(ApiError::bad_request(format!(
                "The decoder prompt (length {prompt}) is longer than the maximum model length of {limit}. Make sure \
                 that `max_model_len` is no smaller than the number of text tokens plus multimodal tokens. For image \
                 inputs, the number of image tokens depends on the number of images (and possibly their aspect ratios \
                 as well)."
            )));
        }
        Ok((prompt, max_tokens.unwrap_or(u32::MAX).min(limit - prompt)))
    }
}

fn malformed(error: &serde_json::Error) -> ApiError {
    let kind = if error.is_data() { "value_error" } else { "json_invalid" };
    ApiError::malformed(format!(
        "[{{'type': '{kind}', 'loc': ('body', {}), 'msg': {:?}}}]",
        error.column(),
        error.to_string()
    ))
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

fn picture(url: &str) -> Result<Picture, ApiError> {
    if url.starts_with("file:") {
        return Err(ApiError::bad_request("Cannot load local files without `--allowed-local-media-path`. None"));
    }
    let Some(data) = url.strip_prefix("data:") else {
        return Err(ApiError::bad_request("The URL must be a data URL (a stand-in fetches nothing). None"));
    };
    let Some((_, encoded)) = data.split_once(";base64,") else {
        return Err(ApiError::bad_request("Only base64 data URLs are supported for now. None"));
    };
    let png = STANDARD.decode(encoded).map_err(|_| ApiError::bad_request("Non-base64 digit found None"))?;
    Picture::from_png(png).map_err(|error| match error {
        NoPicture::Unknown => ApiError::bad_request(format!("{error} None")),
        NoPicture::Truncated | NoPicture::TooLarge(_) => ApiError::internal(error.to_string()),
    })
}

/// What DeepSeek-OCR's n-gram processor asks of its arguments.
fn check_ngram_arguments(arguments: &serde_json::Map<String, Value>) -> Result<(), ApiError> {
    let Some(size) = arguments.get("ngram_size") else { return Ok(()) };
    let window = arguments.get("window_size");
    for (name, value) in [("ngram_size", Some(size)), ("window_size", window)] {
        if let Some(value) = value.filter(|value| value.as_u64().is_none_or(|number| number == 0)) {
            return Err(ApiError::bad_request(format!(
                "`{name}` has to be a strictly positive integer, got {value}. None"
            )));
        }
    }
    match arguments.get("whitelist_token_ids") {
        Some(ids @ (Value::Number(_) | Value::Bool(_))) => Err(ApiError::bad_request(format!(
            "`whitelist_token_ids` has to be a sequence of integers, got {ids}. None"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::json;

    use super::*;

    fn model(engine: Engine, max_model_len: u32) -> ServedModel {
        ServedModel { engine, name: "chandra".into(), max_model_len }
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
        let request = check(&model(Engine::Chandra, 2048), &body(&page(1000, 1400), 2000)).unwrap();
        assert_eq!(request.prompt_tokens, 1364 + 12 + 1);
        assert_eq!(request.budget, 2048 - request.prompt_tokens);
        assert!(request.stream.is_none() && request.skip_special_tokens);
    }

    #[test]
    fn each_wrong_request_gets_the_real_servers_answer() {
        let chandra = model(Engine::Chandra, 2048);
        let good = page(100, 100);
        for (body, status, words) in [
            (json!({ "model": "nope", "messages": [] }), 404, "The model `nope` does not exist."),
            (json!({ "model": "chandra" }), 400, "missing field `messages`"),
            (body(&good, 200_000), 400, "'max_tokens' or 'max_completion_tokens' is too large: 200000."),
            (body(&page(2480, 3508), 10), 400, "The decoder prompt (length 8593) is longer"),
            (body("data:image/png;base64,####", 10), 400, "Non-base64 digit found None"),
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
        let deepseek = model(Engine::DeepSeek, 8192);
        let mut request = body(&page(100, 100), 10);
        request["vllm_xargs"] = json!({ "ngram_size": 30, "window_size": 90, "whitelist_token_ids": [128821, 128822] });
        request["skip_special_tokens"] = json!(false);
        assert!(!check(&deepseek, &request).unwrap().skip_special_tokens);
        for wrong in
            [json!({ "ngram_size": 0 }), json!({ "ngram_size": "30" }), json!({ "ngram_size": 3, "window_size": -1 })]
        {
            request["vllm_xargs"] = wrong;
            assert!(check(&deepseek, &request).unwrap_err().message.contains("strictly positive integer"));
            assert!(check(&model(Engine::Chandra, 8192), &request).is_ok());
        }
        request["vllm_xargs"] = json!({ "ngram_size": 3, "whitelist_token_ids": 4090 });
        assert!(check(&deepseek, &request).unwrap_err().message.contains("sequence of integers, got 4090"));
    }
}
