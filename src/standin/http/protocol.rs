//! Bodies of vLLM's OpenAI-compatible server, field by field as real servers of each release send them.
//!
//! One value differs: `system_fingerprint` says in every answer that it comes from a stand-in.

use serde_json::{Value, json};

use crate::model::{FinishReason, TokenUsage};

use super::release::Release;

/// The fields that are equal in all bodies of one answer.
#[derive(Debug, Clone)]
pub struct AnswerHead {
    /// The release whose form the bodies have.
    pub release: Release,
    /// Id of the answer: `chatcmpl-…`.
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created: i64,
    /// Served name of the model.
    pub model: String,
    /// `stand-in-tesseract` or `stand-in-synthetic`: says that a stand-in answered.
    pub fingerprint: &'static str,
}

impl AnswerHead {
    /// An event. `running` is the usage so far, if the client wants it in every event.
    fn chunk(&self, choices: Value, running: Option<TokenUsage>) -> Value {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": choices,
        });
        if let Some(usage) = running {
            chunk["usage"] = usage_body(usage);
            if self.release == Release::V0_32_0 {
                chunk["usage"]["completion_tokens_details"] = Value::Null;
            }
        }
        chunk
    }

    fn delta(&self, mut delta: Value) -> Value {
        if self.release == Release::V0_11_2 {
            delta["reasoning_content"] = Value::Null;
        }
        delta
    }

    fn signed(&self, mut chunk: Value) -> Value {
        chunk["system_fingerprint"] = json!(self.fingerprint);
        chunk
    }

    /// The first event of a stream: the role, no text, no token yet.
    pub fn role_chunk(&self, running: Option<TokenUsage>) -> Value {
        let delta = self.delta(json!({ "role": "assistant", "content": "" }));
        let choices = json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null }]);
        let mut chunk = self.chunk(choices, running.map(|usage| TokenUsage { completion: 0, ..usage }));
        chunk["prompt_token_ids"] = Value::Null;
        if self.release == Release::V0_32_0 {
            chunk["prompt_text"] = Value::Null;
        }
        self.signed(chunk)
    }

    /// An event with text; the last one has the finish reason.
    pub fn text_chunk(&self, text: &str, finish: Option<FinishReason>, running: Option<TokenUsage>) -> Value {
        let mut choice = json!({
            "index": 0, "delta": self.delta(json!({ "content": text })), "logprobs": null,
            "finish_reason": finish.map(FinishReason::name),
        });
        if let Some(finish) = finish {
            choice["stop_reason"] = stop_reason(finish);
        }
        choice["token_ids"] = Value::Null;
        self.signed(self.chunk(json!([choice]), running))
    }

    /// The event after the last text, with the usage and without choices.
    pub fn usage_chunk(&self, usage: TokenUsage) -> Value {
        let mut chunk = self.chunk(json!([]), None);
        chunk["usage"] = usage_body(usage);
        self.signed(chunk)
    }

    /// The complete answer, for a request that does not stream.
    pub fn completion(&self, text: &str, finish: FinishReason, usage: TokenUsage) -> Value {
        let mut message = json!({
            "role": "assistant", "content": text, "refusal": null, "annotations": null, "audio": null,
            "function_call": null,
        });
        let mut choice_end = json!({ "token_ids": null });
        let mut counts = usage_body(usage);
        counts["prompt_tokens_details"] = Value::Null;
        let mut end = json!({ "prompt_logprobs": null, "prompt_token_ids": null });
        match self.release {
            Release::V0_11_2 => {
                message["tool_calls"] = json!([]);
                message["reasoning"] = Value::Null;
                message["reasoning_content"] = Value::Null;
                end["kv_transfer_params"] = Value::Null;
            }
            Release::V0_32_0 => {
                message["reasoning"] = Value::Null;
                choice_end["routed_experts"] = Value::Null;
                counts["completion_tokens_details"] = Value::Null;
                for field in ["prompt_text", "kv_transfer_params", "ec_transfer_params", "metrics"] {
                    end[field] = Value::Null;
                }
            }
        }
        let choice = join(
            json!({
                "index": 0, "message": message, "logprobs": null, "finish_reason": finish.name(),
                "stop_reason": stop_reason(finish),
            }),
            choice_end,
        );
        let answer = json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [choice], "service_tier": null, "system_fingerprint": self.fingerprint, "usage": counts,
        });
        join(answer, end)
    }
}

/// `stop_reason` of an answer: null for all but repetition, since no stop string or stop token ends answers here.
fn stop_reason(finish: FinishReason) -> Value {
    if finish == FinishReason::Repetition { json!("repetition_detected") } else { Value::Null }
}

/// The fields of both, in order.
fn join(mut first: Value, second: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut first, second) {
        fields.extend(more);
    }
    first
}

/// The field `usage` of an answer or an event.
fn usage_body(usage: TokenUsage) -> Value {
    json!({
        "prompt_tokens": usage.prompt, "total_tokens": usage.prompt + usage.completion,
        "completion_tokens": usage.completion,
    })
}
