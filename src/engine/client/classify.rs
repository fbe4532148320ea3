//! What the end of an answer means for the page: a complete answer, a failure of the page, or a machine fault.

use crate::{
    engine::{Deadline, End, EngineResponse},
    model::{AttemptOutcome, FailureClass, FinishReason, MachineFault},
};

/// The server's health, probed after a bad end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// `/health` gave 200 for as long as a dying engine may still do so. After a stall, the engine has also answered
    /// other requests: further streams of pages, or a canary request.
    Alive,
    /// `/health` gives 200, but the engine answers no request.
    Hung,
    /// The server is gone, as [`crate::engine::Client::await_gone`] decides.
    Dead,
}

/// The meaning of an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classification {
    /// The answer is complete; the parser and the acceptance decide.
    Whole,
    /// The attempt ends with this outcome, for this reason.
    Ends(AttemptOutcome, String),
}

/// Whether an end leaves open whose fault it was, so that a health probe must come before [`classify`]. An HTTP 500
/// does not tell a bad request from a dead engine (`docs/facts/vllm.md`, "Errors"); nor does a lost connection tell a
/// bad line from a server that this request has crashed, nor a stall a slow page from a hung engine.
pub(in crate::engine) fn needs_health(end: &End) -> bool {
    match end {
        End::Refused { status, message } => {
            *status >= 500 && ![502, 503, 504].contains(status) && !is_bad_image(message) && !is_engine_death(message)
        }
        End::ErrorEvent { message } => !is_engine_death(message),
        End::Finished(FinishReason::Error) | End::Stalled(_) | End::Malformed { .. } => true,
        End::Lost { sent, .. } => *sent,
        End::Finished(_) | End::Cut(_) | End::Elsewhere(_) | End::NotAStream { .. } => false,
    }
}

/// Classifies an end (`docs/facts/vllm.md`, "Errors", "Lengths", "Endings and sampling", "Deaths").
///
/// `max_tokens` is the token budget of the request, `max_model_len` the server's context in tokens.
pub fn classify(reply: &EngineResponse, max_tokens: u32, max_model_len: u32, health: Health) -> Classification {
    use FailureClass::{Loop, Rejected, ServerError, Stalled};
    use MachineFault::{Aborted, ConnectionLost, Overloaded, ServerDied};
    let failed = |class, reason: &str| Classification::Ends(AttemptOutcome::Failed(class), reason.into());
    let interrupted = |fault, reason: &str| Classification::Ends(AttemptOutcome::Interrupted(fault), reason.into());
    let unless_dead = |class, reason: &str| match health {
        Health::Alive => failed(class, reason),
        Health::Hung => interrupted(ServerDied, &format!("the engine hangs: {reason}")),
        Health::Dead => interrupted(ServerDied, reason),
    };
    match &reply.end {
        End::Finished(FinishReason::Stop) => Classification::Whole,
        End::Finished(FinishReason::Length) => length(reply, max_tokens, max_model_len),
        End::Finished(FinishReason::Abort) => interrupted(Aborted, "the server aborted the request"),
        End::Finished(FinishReason::Error) => unless_dead(ServerError, "the server reported an error for this request"),
        End::Finished(FinishReason::Repetition) => failed(Loop, "the server's repetition detection fired"),
        End::Finished(FinishReason::Cut) => failed(Loop, "the judge cut the answer"),
        End::Cut(found) => failed(Loop, &found.to_string()),
        End::ErrorEvent { message } if is_engine_death(message) => interrupted(ServerDied, message),
        End::ErrorEvent { message } => unless_dead(ServerError, &format!("error event: {message}")),
        End::Lost { sent: true, message } if health != Health::Alive => interrupted(ServerDied, message),
        End::Lost { message, .. } => interrupted(ConnectionLost, message),
        // The engine answers other requests, so this page has waited in its queue.
        End::Stalled(deadline @ Deadline::FirstToken) if health == Health::Alive => {
            interrupted(Overloaded, stalled(*deadline))
        }
        End::Stalled(deadline) => unless_dead(Stalled, stalled(*deadline)),
        End::Malformed { message } => unless_dead(ServerError, message),
        End::Elsewhere(field) => failed(ServerError, &field.to_string()),
        // Another program answers there: the next handshake reports which.
        End::NotAStream { message } => interrupted(ServerDied, message),
        End::Refused { status, message } => {
            let reason = format!("HTTP {status}: {message}");
            match status {
                503 | 429 => interrupted(Overloaded, &reason),
                // Another server answers there, or the key has changed: the next handshake reports which.
                401 | 403 | 404 | 405 => interrupted(ServerDied, &reason),
                408 | 502 | 504 => interrupted(ConnectionLost, &reason),
                _ if is_too_long(message) => failed(FailureClass::ContextFull, &reason),
                413 => failed(FailureClass::ImageTooLarge, &reason),
                400..500 if is_image_too_large(message) => failed(FailureClass::ImageTooLarge, &reason),
                500.. if is_bad_image(message) => failed(Rejected, &reason),
                500.. if is_engine_death(message) => interrupted(ServerDied, &reason),
                500.. => unless_dead(ServerError, &reason),
                _ => failed(Rejected, &reason),
            }
        }
    }
}

/// `length` means a full context or a spent budget; the token counts tell which (`docs/facts/vllm.md`, "Lengths").
fn length(reply: &EngineResponse, max_tokens: u32, max_model_len: u32) -> Classification {
    let usage = reply.usage;
    let full = usage.prompt.saturating_add(usage.completion) >= max_model_len || usage.completion < max_tokens;
    let (class, reason) = if reply.usage_reported && full {
        let reason = format!("{} + {} tokens fill the context of {max_model_len}", usage.prompt, usage.completion);
        (FailureClass::ContextFull, reason)
    } else {
        (FailureClass::Truncated, format!("the answer did not end within {max_tokens} tokens"))
    };
    Classification::Ends(AttemptOutcome::Failed(class), reason)
}

fn stalled(deadline: Deadline) -> &'static str {
    match deadline {
        Deadline::FirstToken => "no first token in time",
        Deadline::TokenGap => "no further token in time",
        Deadline::Total => "the answer took longer than the total limit",
    }
}

fn is_too_long(message: &str) -> bool {
    message.contains("maximum context length") || message.contains("maximum model length")
}

/// Whether a message is about the size of the image (`docs/facts/vllm.md`, "Errors").
fn is_image_too_large(message: &str) -> bool {
    const SIZE: [&str; 8] =
        ["too large", "too big", "exceed", "larger than", "reduce", "too many pixels", "maximum size", "size limit"];
    let message = message.to_lowercase();
    let is_about_size = || SIZE.iter().any(|word| message.contains(word));
    message.contains("encoder cache") || message.contains("image") && is_about_size()
}

/// Whether a message is one of a dying engine, or of a server that shuts down. `/health` may still give 200 when it
/// arrives (`docs/facts/vllm.md`, "Deaths").
fn is_engine_death(message: &str) -> bool {
    ["EngineCore", "EngineDead", "cannot schedule new futures after shutdown"].iter().any(|word| message.contains(word))
}

/// vLLM 0.11 answers HTTP 500 to an image that it cannot decode; each retry gives the same.
fn is_bad_image(message: &str) -> bool {
    message.contains("image file is truncated") || message.contains("decompression bomb")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{engine::AnswerField, model::TokenUsage};
    use FailureClass as Class;
    use Health::{Alive, Dead, Hung};
    use MachineFault as Fault;

    fn reply(end: End, prompt: u32, completion: u32) -> EngineResponse {
        EngineResponse {
            raw: String::new(),
            end,
            usage: TokenUsage { prompt, completion },
            usage_reported: prompt > 0,
            time_to_first_token: None,
            duration: Duration::ZERO,
        }
    }

    fn refused(status: u16, message: &str) -> End {
        End::Refused { status, message: message.into() }
    }

    fn finished(reason: FinishReason) -> End {
        End::Finished(reason)
    }

    fn outcome(end: End, prompt: u32, completion: u32, health: Health) -> AttemptOutcome {
        match classify(&reply(end, prompt, completion), 1000, 18_000, health) {
            Classification::Whole => AttemptOutcome::Accepted,
            Classification::Ends(outcome, reason) => {
                assert!(!reason.is_empty());
                outcome
            }
        }
    }

    #[test]
    fn every_ending_has_one_meaning() {
        let failed = AttemptOutcome::Failed;
        let interrupted = AttemptOutcome::Interrupted;
        let engine_death = "EngineCore encountered an issue. See stack trace (above) for the root cause.";
        let too_long = "The decoder prompt (length 8607) is longer than the maximum model length of 2048. Make sure";
        let encoder_cache = "The decoder prompt contains a(n) image item with length 4200, which exceeds the \
                             pre-allocated encoder cache size 3721. Please reduce the input size";
        let lost = |sent, message: &str| End::Lost { sent, message: message.into() };
        let seen_loop = crate::engine::Loop { proof: crate::engine::Proof::Copies { period: 7, copies: 60 }, at: 12 };
        let table = [
            (finished(FinishReason::Stop), Alive, AttemptOutcome::Accepted),
            (finished(FinishReason::Abort), Alive, interrupted(Fault::Aborted)),
            (finished(FinishReason::Repetition), Alive, failed(Class::Loop)),
            (finished(FinishReason::Error), Alive, failed(Class::ServerError)),
            (finished(FinishReason::Error), Dead, interrupted(Fault::ServerDied)),
            (End::Cut(seen_loop), Alive, failed(Class::Loop)),
            (End::ErrorEvent { message: engine_death.into() }, Alive, interrupted(Fault::ServerDied)),
            (End::ErrorEvent { message: "out of luck".into() }, Alive, failed(Class::ServerError)),
            (End::ErrorEvent { message: "out of luck".into() }, Dead, interrupted(Fault::ServerDied)),
            (lost(false, "connection refused"), Dead, interrupted(Fault::ConnectionLost)),
            (lost(true, "connection reset by peer"), Alive, interrupted(Fault::ConnectionLost)),
            (lost(true, "connection reset by peer"), Dead, interrupted(Fault::ServerDied)),
            (End::Stalled(Deadline::TokenGap), Alive, failed(Class::Stalled)),
            (End::Stalled(Deadline::Total), Alive, failed(Class::Stalled)),
            (End::Stalled(Deadline::FirstToken), Alive, interrupted(Fault::Overloaded)),
            (End::Stalled(Deadline::FirstToken), Dead, interrupted(Fault::ServerDied)),
            (End::Stalled(Deadline::FirstToken), Hung, interrupted(Fault::ServerDied)),
            (End::Stalled(Deadline::TokenGap), Hung, interrupted(Fault::ServerDied)),
            (End::Stalled(Deadline::Total), Hung, interrupted(Fault::ServerDied)),
            (End::Malformed { message: "no".into() }, Alive, failed(Class::ServerError)),
            (refused(400, "cannot identify image file"), Alive, failed(Class::Rejected)),
            (refused(400, too_long), Alive, failed(Class::ContextFull)),
            (refused(422, "media"), Alive, failed(Class::Rejected)),
            (refused(400, encoder_cache), Alive, failed(Class::ImageTooLarge)),
            (
                refused(400, "Image size (4000, 6000) exceeds the maximum of 6291456"),
                Alive,
                failed(Class::ImageTooLarge),
            ),
            (refused(413, "Request Entity Too Large"), Alive, failed(Class::ImageTooLarge)),
            (refused(400, "At most 0 image(s) may be provided in one prompt."), Alive, failed(Class::Rejected)),
            (End::Elsewhere(AnswerField::Reasoning), Alive, failed(Class::ServerError)),
            (End::NotAStream { message: "html".into() }, Alive, interrupted(Fault::ServerDied)),
            (refused(404, "The model `nope` does not exist."), Alive, interrupted(Fault::ServerDied)),
            (refused(401, "Unauthorized"), Alive, interrupted(Fault::ServerDied)),
            (refused(429, ""), Alive, interrupted(Fault::Overloaded)),
            (refused(503, ""), Alive, interrupted(Fault::Overloaded)),
            (refused(502, ""), Alive, interrupted(Fault::ConnectionLost)),
            (refused(500, ""), Alive, failed(Class::ServerError)),
            (refused(500, ""), Dead, interrupted(Fault::ServerDied)),
            (refused(500, engine_death), Alive, interrupted(Fault::ServerDied)),
            (refused(500, "cannot schedule new futures after shutdown"), Alive, interrupted(Fault::ServerDied)),
            (refused(500, "image file is truncated"), Alive, failed(Class::Rejected)),
            (refused(500, "could be decompression bomb DOS attack."), Dead, failed(Class::Rejected)),
        ];
        for (end, health, expected) in table {
            assert_eq!(outcome(end.clone(), 100, 1000, health), expected, "{end:?} {health:?}");
        }
    }

    #[test]
    fn length_is_truncation_or_a_full_context() {
        let length = || finished(FinishReason::Length);
        assert_eq!(outcome(length(), 4000, 1000, Alive), AttemptOutcome::Failed(Class::Truncated));
        assert_eq!(outcome(length(), 17_000, 1000, Alive), AttemptOutcome::Failed(Class::ContextFull));
        assert_eq!(outcome(length(), 1391, 657, Alive), AttemptOutcome::Failed(Class::ContextFull));
        assert_eq!(outcome(length(), 0, 657, Alive), AttemptOutcome::Failed(Class::Truncated), "usage not reported");
    }

    #[test]
    fn health_is_asked_only_where_it_can_matter() {
        assert!(needs_health(&refused(500, "")));
        assert!(!needs_health(&refused(500, "image file is truncated")));
        assert!(!needs_health(&refused(400, "")));
        assert!(needs_health(&End::Stalled(Deadline::Total)));
        assert!(!needs_health(&finished(FinishReason::Stop)));
        assert!(needs_health(&End::Lost { sent: true, message: "reset".into() }));
        assert!(!needs_health(&End::Lost { sent: false, message: "refused".into() }));
    }
}
