//! Server-sent events, and vLLM's messages in them.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::model::{FinishReason, TokenUsage};

/// One event of a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// A piece of the answer. Any of its fields may be empty.
    Piece {
        /// New text.
        text: String,
        /// Finish reason; only on the last piece.
        finish: Option<FinishReason>,
        /// Token counts so far, or the final ones.
        usage: Option<TokenUsage>,
    },
    /// The text comes in another field than `content`: the server takes it for something else.
    Elsewhere(AnswerField),
    /// The engine failed: a `[DONE]` after it does not make the answer complete (`docs/facts/vllm.md`, "Errors").
    Error {
        /// Message of the server.
        message: String,
        /// Code of the error, with the meaning of an HTTP status.
        code: Option<u16>,
    },
    /// `[DONE]`.
    Done,
}

/// A field of an answer other than `content`, to which a server with the wrong options moves the text of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerField {
    /// `reasoning_content`, in later releases `reasoning`.
    Reasoning,
    /// `tool_calls`.
    ToolCalls,
}

impl fmt::Display for AnswerField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AnswerField::Reasoning => {
                "the text of the page arrives as `reasoning_content` and not as `content`: start the server without \
                 --reasoning-parser"
            }
            AnswerField::ToolCalls => {
                "the text of the page arrives as `tool_calls` and not as `content`: start the server without \
                 --enable-auto-tool-choice and --tool-call-parser"
            }
        })
    }
}

/// Splits a byte stream into events. Lines may be split anywhere, also within a character; comments and unknown fields
/// are skipped; the `data` lines of one event are joined.
#[derive(Debug)]
pub struct EventParser {
    /// Most bytes of one event.
    limit: usize,
    line: Vec<u8>,
    data: String,
    has_data: bool,
    after_carriage_return: bool,
}

impl EventParser {
    /// A parser that never holds more than `limit` bytes of an event that is not complete.
    pub fn new(limit: usize) -> EventParser {
        EventParser { limit, line: Vec::new(), data: String::new(), has_data: false, after_carriage_return: false }
    }

    /// Takes bytes and pushes the events that they complete, also those before an error.
    ///
    /// # Errors
    /// What is wrong with the stream: it is not UTF-8, an event is not in vLLM's format, or an event exceeds the limit.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<StreamEvent>) -> Result<(), String> {
        for &byte in bytes {
            let follows_carriage_return = std::mem::replace(&mut self.after_carriage_return, byte == b'\r');
            match byte {
                b'\n' if follows_carriage_return => {}
                b'\n' | b'\r' => self.end_line(events)?,
                _ if self.line.len() + self.data.len() >= self.limit => {
                    return Err(format!("an event is longer than {} bytes", self.limit));
                }
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<StreamEvent>) -> Result<(), String> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|error| format!("the stream is not UTF-8: {error}"))?;
        if line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                events.push(interpret(&std::mem::take(&mut self.data))?);
            }
            return Ok(());
        }
        if let Some(value) = line.strip_prefix("data:") {
            if self.has_data {
                self.data.push('\n');
            }
            self.data.push_str(value.strip_prefix(' ').unwrap_or(value));
            self.has_data = true;
        }
        Ok(())
    }
}

fn interpret(data: &str) -> Result<StreamEvent, String> {
    if data.trim() == "[DONE]" {
        return Ok(StreamEvent::Done);
    }
    let chunk: Chunk = serde_json::from_str(data)
        .or_else(|error| serde_json::from_str(&without_lone_surrogates(data).ok_or(error)?))
        .map_err(|error| format!("an event is not vLLM's: {error}: {}", data.chars().take(200).collect::<String>()))?;
    if let Some(error) = chunk.error {
        return Ok(error_event(&error));
    }
    let usage =
        chunk.usage.map(|usage| TokenUsage { prompt: usage.prompt_tokens, completion: usage.completion_tokens });
    let Some(choice) = chunk.choices.unwrap_or_default().into_iter().next() else {
        return Ok(StreamEvent::Piece { text: String::new(), finish: None, usage });
    };
    let delta = choice.delta.unwrap_or_default();
    if [delta.reasoning_content, delta.reasoning].iter().any(has_text) {
        return Ok(StreamEvent::Elsewhere(AnswerField::Reasoning));
    }
    if delta.tool_calls.as_array().is_some_and(|calls| !calls.is_empty())
        || matches!(choice.finish_reason.as_deref(), Some("tool_calls" | "function_call"))
    {
        return Ok(StreamEvent::Elsewhere(AnswerField::ToolCalls));
    }
    let finish = choice.finish_reason.as_deref().map(finish_reason).transpose()?;
    Ok(StreamEvent::Piece { text: delta.content.unwrap_or_default(), finish, usage })
}

fn has_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// The JSON with U+FFFD in place of every half of a surrogate pair without its other half, which is no character; `None`
/// if it has none. A server writes such a half where a token ends within a character.
fn without_lone_surrogates(json: &str) -> Option<String> {
    let unit = |at: usize| {
        let number = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(number, 16).ok()
    };
    let mut mended = String::with_capacity(json.len());
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = json[at..].find('\\') {
        at += found;
        at += match (unit(at), unit(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                mended.push_str(&json[copied..at]);
                mended.push_str("\\ufffd");
                copied = at + 6;
                6
            }
            // The character after the backslash may be a backslash, or be longer than a byte in JSON that is not valid.
            _ => 1 + json[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    mended.push_str(&json[copied..]);
    (copied > 0).then_some(mended)
}

/// An error in either of its forms: `{"message":…,"code":…}`, or a bare text.
fn error_event(error: &Value) -> StreamEvent {
    let message = error.get("message").unwrap_or(error);
    let message = message.as_str().map_or_else(|| message.to_string(), str::to_string);
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    StreamEvent::Error { message, code }
}

fn finish_reason(word: &str) -> Result<FinishReason, String> {
    match word {
        "stop" => Ok(FinishReason::Stop),
        "length" => Ok(FinishReason::Length),
        "abort" => Ok(FinishReason::Abort),
        "error" => Ok(FinishReason::Error),
        "repetition" => Ok(FinishReason::Repetition),
        _ => Err(format!("unknown finish reason `{word}`")),
    }
}

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<String>,
    reasoning_content: Value,
    reasoning: Value,
    tool_calls: Value,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &str = concat!(
        ": ping\r\n\r\n",
        "event: message\r\n",
        r#"data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        "\r\n\r\n",
        r#"data: {"choices":[{"delta":{"content":"الجريدة é"},"finish_reason":null}],"usage":{"prompt_tokens":9,"total_tokens":11,"completion_tokens":2}}"#,
        "\n\n",
        r#"data: {"choices":[{"delta":{},"finish_reason":"stop","stop_reason":null}]}"#,
        "\n\n",
        r#"data:{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}"#,
        "\r\r",
        "data: [DONE]\n\n",
    );

    fn parser() -> EventParser {
        EventParser::new(10_000)
    }

    fn expected() -> Vec<StreamEvent> {
        let piece = |text: &str, finish, usage| StreamEvent::Piece { text: text.into(), finish, usage };
        vec![
            piece("", None, None),
            piece("الجريدة é", None, Some(TokenUsage { prompt: 9, completion: 2 })),
            piece("", Some(FinishReason::Stop), None),
            piece("", None, Some(TokenUsage { prompt: 9, completion: 3 })),
            StreamEvent::Done,
        ]
    }

    proptest! {
        #[test]
        fn events_are_the_same_wherever_the_bytes_are_split(cuts in prop::collection::vec(0..STREAM.len(), 0..20)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let (mut parser, mut events) = (parser(), Vec::new());
            for pair in cuts.windows(2) {
                parser.push(&STREAM.as_bytes()[pair[0]..pair[1]], &mut events).unwrap();
            }
            prop_assert_eq!(events, expected());
        }
    }

    #[test]
    fn an_error_event_is_an_error_whatever_its_form() {
        let mut events = Vec::new();
        let data = "data: {\"error\": {\"message\": \"EngineCore encountered an issue\", \"type\": \"BadRequestError\", \"param\": null, \"code\": 400}}\n\ndata: [DONE]\n\n";
        parser().push(data.as_bytes(), &mut events).unwrap();
        let message = "EngineCore encountered an issue".to_string();
        assert_eq!(events, [StreamEvent::Error { message, code: Some(400) }, StreamEvent::Done]);
        for form in
            [r#""EngineCore""#, r#"{"message":"EngineCore","code":"x"}"#, r#"{"message":"EngineCore","code":-1}"#]
        {
            let mut events = Vec::new();
            parser().push(format!("data: {{\"error\":{form}}}\n\n").as_bytes(), &mut events).unwrap();
            assert_eq!(events, [StreamEvent::Error { message: "EngineCore".into(), code: None }], "{form}");
        }
    }

    #[test]
    fn an_event_without_end_is_held_up_to_the_limit_only() {
        for unit in ["x", "data: x\n", "data: {\"choices\":null}\n: \n"] {
            let (mut parser, mut events) = (EventParser::new(1000), Vec::new());
            let mut fed = 0;
            let error = loop {
                assert!(fed < 20_000, "{unit:?}");
                fed += unit.len();
                if let Err(error) = parser.push(unit.as_bytes(), &mut events) {
                    break error;
                }
                assert!(parser.line.len() + parser.data.len() <= 1000);
            };
            assert!(error.contains("1000 bytes"), "{error}");
        }
        let (mut parser, mut events) = (EventParser::new(100), Vec::new());
        (0..50).for_each(|_| parser.push(b"data: {\"choices\":null}\n\n", &mut events).unwrap());
        assert_eq!(events.len(), 50, "the limit is on one event, not on all");
    }

    #[test]
    fn text_in_another_field_is_told_with_the_remedy() {
        let event_of = |choice: &str| {
            let mut events = Vec::new();
            parser().push(format!("data: {{\"choices\":[{choice}]}}\n\n").as_bytes(), &mut events).unwrap();
            events.remove(0)
        };
        for (choice, field, option) in [
            (r#"{"delta":{"reasoning_content":"Vu"}}"#, AnswerField::Reasoning, "--reasoning-parser"),
            (r#"{"delta":{"content":null,"reasoning":"Vu"}}"#, AnswerField::Reasoning, "--reasoning-parser"),
            (r#"{"delta":{"tool_calls":[{"index":0}]}}"#, AnswerField::ToolCalls, "--tool-call-parser"),
            (r#"{"delta":{},"finish_reason":"tool_calls"}"#, AnswerField::ToolCalls, "--tool-call-parser"),
        ] {
            assert_eq!(event_of(choice), StreamEvent::Elsewhere(field), "{choice}");
            assert!(field.to_string().contains(option));
        }
        let piece = StreamEvent::Piece { text: "Vu".into(), finish: None, usage: None };
        assert_eq!(event_of(r#"{"delta":{"content":"Vu","reasoning_content":"","tool_calls":[]}}"#), piece);
    }

    #[test]
    fn half_a_surrogate_pair_is_a_replacement_character() {
        let text_of = |content: &str| {
            let mut events = Vec::new();
            let data = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}}}}]}}\n\n");
            parser().push(data.as_bytes(), &mut events).unwrap();
            let StreamEvent::Piece { text, .. } = events.remove(0) else { panic!("no piece") };
            text
        };
        assert_eq!(text_of("a\\ud83d b"), "a\u{FFFD} b");
        assert_eq!(text_of("\\ude00\\ud83d\\ude00\\ud83d"), "\u{FFFD}😀\u{FFFD}");
        assert_eq!(text_of("\\\\ud83d \\ud83d\\u0627"), "\\ud83d \u{FFFD}ا");
    }

    #[test]
    fn what_came_before_an_error_is_kept() {
        let mut events = Vec::new();
        let data = b"data: {\"choices\":null}\n\ndata: \xff\n\n";
        assert!(parser().push(data, &mut events).is_err());
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn null_choices_and_foreign_data_are_told_apart() {
        let mut events = Vec::new();
        parser().push(b"data: {\"choices\":null}\n\n", &mut events).unwrap();
        assert_eq!(events, [StreamEvent::Piece { text: String::new(), finish: None, usage: None }]);
        let error = parser().push(b"data: <html>\n\n", &mut events).unwrap_err();
        assert!(error.contains("<html>"), "{error}");
        assert!(parser().push(b"data: \xff\n\n", &mut events).is_err());
    }
}
