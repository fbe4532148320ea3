//! Bodies of vLLM's OpenAI-compatible server, version 0.11.2, field by field as a real one sends them.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::model::{FinishReason, TokenUsage};

/// The version whose bodies and rules are spoken. `/version` adds the stand-in's kind: `0.11.2+stand-in-tesseract`.
pub const VERSION: &str = "0.11.2";

/// An error body: `{"error":{"message","type","param","code"}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status, also the body's `code`.
    pub status: StatusCode,
    /// The body's `type`.
    pub kind: &'static str,
    /// For people.
    pub message: String,
}

impl ApiError {
    /// HTTP 400 `BadRequestError`: the request is wrong and will stay so.
    pub fn bad_request(message: impl Into<String>) -> Self {
        ApiError { status: StatusCode::BAD_REQUEST, kind: "BadRequestError", message: message.into() }
    }

    /// HTTP 400 `Bad Request`: the body has not the form of a request.
    pub fn malformed(message: impl Into<String>) -> Self {
        ApiError { status: StatusCode::BAD_REQUEST, kind: "Bad Request", message: message.into() }
    }

    /// HTTP 404: no such model.
    pub fn unknown_model(name: &str) -> Self {
        let message = format!("The model `{name}` does not exist.");
        ApiError { status: StatusCode::NOT_FOUND, kind: "NotFoundError", message }
    }

    /// HTTP 500.
    pub fn internal(message: impl Into<String>) -> Self {
        ApiError { status: StatusCode::INTERNAL_SERVER_ERROR, kind: "InternalServerError", message: message.into() }
    }

    /// HTTP 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        ApiError { status: StatusCode::SERVICE_UNAVAILABLE, kind: "ServiceUnavailableError", message: message.into() }
    }

    /// What every request hears when the engine process has died.
    pub fn engine_dead() -> Self {
        Self::internal("EngineCore encountered an issue. See stack trace (above) for the root cause.")
    }

    /// The body.
    pub fn body(&self) -> Value {
        json!({ "error": {
            "message": self.message, "type": self.kind, "param": null, "code": self.status.as_u16(),
        }})
    }

    /// The event of a stream that breaks. A real server calls everything there a bad request.
    pub fn stream_event(&self) -> Value {
        json!({ "error": {
            "message": self.message, "type": "BadRequestError", "param": null, "code": 400,
        }})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body())).into_response()
    }
}

/// What is equal in all bodies of one answer.
#[derive(Debug, Clone)]
pub struct AnswerHead {
    /// `chatcmpl-…`.
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created: i64,
    /// Served name.
    pub model: String,
    /// Says that a stand-in answered: `stand-in-tesseract` or `stand-in-synthetic`.
    pub fingerprint: &'static str,
}

impl AnswerHead {
    fn chunk(&self, choices: Value) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "system_fingerprint": self.fingerprint, "choices": choices,
        })
    }

    /// The first chunk of a stream: the role, no text.
    pub fn role_chunk(&self) -> Value {
        self.chunk(json!([{
            "index": 0, "delta": { "role": "assistant", "content": "" }, "logprobs": null, "finish_reason": null,
        }]))
    }

    /// A chunk with text; the last one carries the finish reason.
    pub fn text_chunk(&self, text: &str, finish: Option<FinishReason>) -> Value {
        let mut choice = json!({
            "index": 0, "delta": { "content": text }, "logprobs": null,
            "finish_reason": finish.map(FinishReason::name),
        });
        if finish.is_some() {
            choice["stop_reason"] = Value::Null;
        }
        choice["token_ids"] = Value::Null;
        self.chunk(json!([choice]))
    }

    /// The chunk after the last one, without choices.
    pub fn usage_chunk(&self, usage: TokenUsage) -> Value {
        let mut chunk = self.chunk(json!([]));
        chunk["usage"] = usage_body(usage);
        chunk
    }

    /// The whole answer, for a request that does not stream.
    pub fn completion(&self, text: &str, finish: FinishReason, usage: TokenUsage) -> Value {
        let mut counts = usage_body(usage);
        counts["prompt_tokens_details"] = Value::Null;
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant", "content": text, "refusal": null, "annotations": null, "audio": null,
                    "function_call": null, "tool_calls": [], "reasoning": null, "reasoning_content": null,
                },
                "logprobs": null, "finish_reason": finish.name(), "stop_reason": null, "token_ids": null,
            }],
            "service_tier": null, "system_fingerprint": self.fingerprint, "usage": counts,
            "prompt_logprobs": null, "prompt_token_ids": null, "kv_transfer_params": null,
        })
    }
}

/// `usage` of an answer or a chunk.
pub fn usage_body(usage: TokenUsage) -> Value {
    json!({
        "prompt_tokens": usage.prompt, "total_tokens": usage.prompt + usage.completion,
        "completion_tokens": usage.completion,
    })
}
