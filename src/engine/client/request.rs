//! The body of a request, built once as bytes, and the token budget of its answer.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    engine::Profile,
    model::{Capabilities, PixelSize, Sampling},
};

/// Bytes of prompt that are counted as one token. The prompts are English with tags, of which the models' tokenizers
/// put about four bytes into a token; three leaves a margin for other wordings.
const BYTES_PER_TOKEN: u32 = 3;

/// Tokens of the chat template, the roles and the markers around the image (12 to 20 on real servers).
const TEMPLATE_TOKENS: u32 = 32;

/// Tokens left free, because the count above is not the server's tokenizer.
const MARGIN: u32 = 64;

/// Fewest tokens of an answer. Fewer cannot hold a page, and the request would only cost a prefill.
const LEAST_ANSWER: u32 = 256;

const IMAGE_PREFIX: &str = "data:image/png;base64,";

/// How a request shares the context between prompt and answer, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBudget {
    /// Prompt tokens of the image.
    pub image: u32,
    /// Prompt tokens of everything else, an upper estimate.
    pub text: u32,
    /// Most tokens of the answer: at most what the profile asks for, and what the context has left
    /// (`docs/facts/vllm.md`, "Lengths").
    pub answer: u32,
}

impl TokenBudget {
    /// The budget for an image of this size.
    ///
    /// # Errors
    /// The image leaves no tokens for an answer; the message says which numbers do not fit.
    pub fn compute(profile: &Profile, max_model_len: u32, size: PixelSize) -> Result<TokenBudget, String> {
        let image = profile.visual_tokens.count(size);
        let prompt_bytes = u32::try_from(profile.prompt_text.len()).unwrap_or(u32::MAX);
        let text = prompt_bytes.div_ceil(BYTES_PER_TOKEN).saturating_add(TEMPLATE_TOKENS);
        let available = max_model_len.saturating_sub(image).saturating_sub(text).saturating_sub(MARGIN);
        if available < LEAST_ANSWER {
            return Err(format!(
                "an image of {} x {} px takes {image} tokens and the prompt about {text}: a context of {max_model_len} \
                 leaves no tokens for an answer; send a smaller image or serve a longer context",
                size.width, size.height
            ));
        }
        Ok(TokenBudget { image, text, answer: profile.max_tokens.min(available) })
    }
}

/// One request, ready to be sent.
#[derive(Debug, Clone)]
pub struct EngineRequest {
    /// The JSON body.
    pub body: Bytes,
    /// `X-Request-Id`: the caller's id, which is also in the server's log, and a checksum of the image; ASCII. With
    /// both caches off, as the profiles set them, vLLM 0.11 identifies an image by the id of its request alone. Two
    /// images under one id get the same encoding, and the engine dies if their sizes differ (seen on 0.11.2).
    pub request_id: String,
    /// Sampling fields in the body.
    pub sampling: Sampling,
    /// Token budget in the body.
    pub max_tokens: u32,
    /// Whether the body has a cache salt, which is the request's id.
    pub salted: bool,
}

impl EngineRequest {
    /// Builds the body: one user message, image then text if there is a prompt, every sampling field explicit, streaming with usage
    /// (`docs/facts/chandra.md`, "Request" and `docs/facts/deepseek.md`, "Serving with vLLM"). A retry has its own
    /// cache salt, so that it does not reuse a faulty entry of the prefix cache (`docs/facts/vllm.md`, "Prefix cache").
    pub fn build(
        profile: &Profile,
        server: &Capabilities,
        png: &[u8],
        max_tokens: u32,
        step: usize,
        request_id: &str,
    ) -> EngineRequest {
        let sampling = profile.sampling_at(step);
        let salted = step > 0;
        let request_id = format!("{request_id}.i{:08x}", crc32c::crc32c(png));
        let mut content = vec![json!({ "type": "image_url", "image_url": { "url": IMAGE_PREFIX } })];
        if !profile.prompt_text.is_empty() {
            content.push(json!({ "type": "text", "text": profile.prompt_text }));
        }
        let mut body = json!({
            "messages": [{
                "role": "user",
                "content": content,
            }],
            "model": server.model,
            "max_tokens": max_tokens,
            "temperature": decimal(sampling.temperature),
            "top_p": decimal(sampling.top_p),
            "stream": true,
            "stream_options": { "include_usage": true, "continuous_usage_stats": true },
        });
        if let Value::Object(fields) = &mut body {
            fields.extend(profile.request.clone());
            if let (true, Some(detection)) = (server.repetition_detection, profile.repetition_detection) {
                fields.insert("repetition_detection".into(), json!(detection));
            }
            if salted {
                fields.insert("cache_salt".into(), json!(request_id));
            }
        }
        EngineRequest { body: insert_image(&body.to_string(), png), request_id, sampling, max_tokens, salted }
    }
}

/// Inserts the encoded image at its empty data URL, so that megabytes never pass through a JSON value. The messages
/// come first in the body, so the first occurrence of the prefix is the image's.
fn insert_image(body: &str, png: &[u8]) -> Bytes {
    let at = body.find(IMAGE_PREFIX).map_or(body.len(), |start| start + IMAGE_PREFIX.len());
    let mut bytes = String::with_capacity(body.len() + png.len().div_ceil(3) * 4);
    bytes.push_str(&body[..at]);
    STANDARD.encode_string(png, &mut bytes);
    bytes.push_str(&body[at..]);
    Bytes::from(bytes)
}

/// The shortest decimal form: an `f32` of 0.1, widened, would be 0.10000000149011612 in JSON.
fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, |number| json!(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServerKind;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nnot a whole one";

    fn server(model: &str, version: &str) -> Capabilities {
        Capabilities::new(version, model, 18_000, ServerKind::Model)
    }

    fn body_of(name: &str, version: &str, step: usize) -> String {
        let profile = Profile::load(name, None).unwrap();
        let mut served = server(&profile.served_name, version);
        served.max_model_len = profile.context_length;
        let size = PixelSize { width: 1600, height: 2240 };
        let budget = TokenBudget::compute(&profile, served.max_model_len, size).unwrap();
        let question = EngineRequest::build(&profile, &served, PNG, budget.answer, step, "BO_7500_Fr.p3.l17.a1");
        String::from_utf8(question.body.to_vec()).unwrap()
    }

    /// The bodies as they go over the wire. To renew: `BLESS=1 cargo test golden`, and read the difference.
    #[test]
    fn golden_bodies() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/engine");
        let cases = [("chandra", "0.11.2", 0), ("chandra-2", "0.17.1", 2), ("deepseek-ocr", "0.17.1", 0)];
        for (name, version, step) in cases {
            let path = folder.join(format!("request-{name}.json"));
            let body = body_of(name, version, step) + "\n";
            if std::env::var_os("BLESS").is_some() {
                std::fs::write(&path, &body).unwrap();
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), body, "{name}");
        }
    }

    #[test]
    fn a_body_is_json_with_the_image_first() {
        let body: Value = serde_json::from_str(&body_of("chandra", "0.11.2", 0)).unwrap();
        let content = &body["messages"][0]["content"];
        let url = content[0]["image_url"]["url"].as_str().unwrap();
        assert_eq!(STANDARD.decode(url.strip_prefix(IMAGE_PREFIX).unwrap()).unwrap(), PNG);
        assert_eq!(content[1]["type"], "text");
        assert_eq!(body["top_p"], 0.1);
        assert_eq!(body.get("cache_salt"), None);
        assert_eq!(body.get("repetition_detection"), None, "0.11.2 does not know it");
    }

    #[test]
    fn a_prompt_that_mentions_a_data_url_does_not_catch_the_image() {
        let mut profile = Profile::load("chandra", None).unwrap();
        profile.prompt_text = format!("never write {IMAGE_PREFIX}");
        let question = EngineRequest::build(&profile, &server("chandra", "0.17.0"), PNG, 100, 1, "x");
        let body: Value = serde_json::from_slice(&question.body).unwrap();
        assert_eq!(body["messages"][0]["content"][1]["text"], profile.prompt_text);
        assert_eq!(body["cache_salt"], question.request_id);
        assert_eq!(body["repetition_detection"]["min_count"], 64);
    }

    #[test]
    fn a_request_id_stands_for_one_image() {
        let profile = Profile::load("chandra", None).unwrap();
        let ask = |png: &[u8]| {
            EngineRequest::build(&profile, &server("chandra", "0.11.2"), png, 9, 0, "BO_1.p1.l1.a1").request_id
        };
        assert_ne!(ask(PNG), ask(b"another"));
        assert_eq!(ask(PNG), ask(PNG));
        assert!(ask(PNG).starts_with("BO_1.p1.l1.a1.i"), "{}", ask(PNG));
    }

    #[test]
    fn budgets_leave_room_for_image_and_prompt() {
        let a4 = PixelSize { width: 1600, height: 2240 };
        let largest = PixelSize { width: 2048, height: 3072 };
        let chandra = Profile::load("chandra-2", None).unwrap();
        assert_eq!(TokenBudget::compute(&chandra, 18_000, a4).unwrap().answer, 12_384);
        let tight = TokenBudget::compute(&chandra, 18_000, largest).unwrap();
        assert_eq!(tight.image, 6144);
        assert!((10_500..11_300).contains(&tight.answer), "{tight:?}");
        assert!(tight.image + tight.text + tight.answer < 18_000);

        let deepseek = Profile::load("deepseek-ocr", None).unwrap();
        let budget = TokenBudget::compute(&deepseek, 8192, PixelSize { width: 1191, height: 1684 }).unwrap();
        assert_eq!((budget.image, budget.answer), (903, 7168));
        assert!(budget.image + budget.text + budget.answer <= 8192);
        let error = TokenBudget::compute(&chandra, 4096, a4).unwrap_err();
        assert!(error.contains("3500 tokens") && error.contains("smaller image"), "{error}");
    }
}
