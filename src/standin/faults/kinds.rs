//! The kinds of faults: one table with their names in the script and what each does.

use serde::Deserialize;

use super::sleep::SleepFault;

/// A fault of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// After some tokens of the real answer, a phrase is repeated until the token budget is spent or the client
    /// disconnects.
    Loop {
        /// Tokens of the real answer before the loop.
        after_tokens: u32,
        /// The phrase that is repeated.
        phrase: String,
    },
    /// No further token comes, and the connection stays open.
    Stall {
        /// Tokens before the stall.
        after_tokens: u32,
    },
    /// HTTP 500.
    ServerError,
    /// HTTP 503.
    Unavailable,
    /// HTTP 400.
    BadRequest,
    /// Content `""`, finish reason `stop`.
    Empty,
    /// Finish reason `length` before the answer's end.
    Truncated {
        /// Tokens of the answer.
        after_tokens: u32,
    },
    /// The engine dies, then the process.
    Death {
        /// Tokens before the death.
        after_tokens: u32,
    },
    /// The connection is cut.
    Reset {
        /// Tokens before the cut.
        after_tokens: u32,
    },
    /// The engine hangs until the end of the process; `/health` stays 200.
    Hang,
    /// Finish reason `abort` before the answer's end.
    Abort {
        /// Tokens of the answer.
        after_tokens: u32,
    },
    /// The stream becomes faulty after HTTP 200 and some tokens.
    Stream {
        /// Kind of the stream fault.
        fault: StreamFault,
        /// Tokens before the fault.
        after_tokens: u32,
    },
}

/// A fault of a stream that began correctly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFault {
    /// An event that comes byte by byte and never ends.
    SlowLoris,
    /// An event that is not UTF-8, in an otherwise correct stream.
    GarbageUtf8,
    /// An event that is not JSON, in an otherwise correct stream.
    GarbageJson,
    /// One event of 10 MB, in an otherwise correct stream.
    HugeEvent,
    /// Endless text.
    HugeStream,
    /// An orderly end without finish reason and without `[DONE]`.
    Cut,
    /// `[DONE]` without finish reason.
    DoneEarly,
    /// An error event with the message of a dying engine.
    ErrorEvent,
    /// An error event with another message.
    ErrorEventOther,
}

/// A kind of fault.
#[derive(Debug)]
pub struct FaultKind {
    /// Name of the kind in the script.
    pub word: &'static str,
    /// Allowed values of `after_tokens`.
    pub tokens: Tokens,
    /// What the fault does.
    pub effect: Effect,
}

/// Allowed values of `after_tokens` for a kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// Any number.
    Any,
    /// At least 1.
    AtLeastOne,
    /// The key is not allowed: the fault comes at the beginning.
    None,
}

/// What a kind of fault affects, and how.
#[derive(Debug)]
pub enum Effect {
    /// A request. The function takes the tokens before the fault, and the phrase of a loop.
    Request(fn(u32, String) -> Fault),
    /// A stream that began correctly.
    Stream(StreamFault),
    /// A request to sleep or to wake up.
    Order(SleepFault),
}

const fn request(word: &'static str, tokens: Tokens, fault: fn(u32, String) -> Fault) -> FaultKind {
    FaultKind { word, tokens, effect: Effect::Request(fault) }
}

const fn stream(word: &'static str, fault: StreamFault) -> FaultKind {
    FaultKind { word, tokens: Tokens::Any, effect: Effect::Stream(fault) }
}

const fn order(word: &'static str, fault: SleepFault) -> FaultKind {
    FaultKind { word, tokens: Tokens::None, effect: Effect::Order(fault) }
}

/// All kinds.
pub static KINDS: [FaultKind; 23] = [
    request("loop", Tokens::Any, |after_tokens, phrase| Fault::Loop { after_tokens, phrase }),
    request("truncated", Tokens::AtLeastOne, |after_tokens, _| Fault::Truncated { after_tokens }),
    request("abort", Tokens::AtLeastOne, |after_tokens, _| Fault::Abort { after_tokens }),
    request("empty", Tokens::None, |_, _| Fault::Empty),
    request("500", Tokens::None, |_, _| Fault::ServerError),
    request("503", Tokens::None, |_, _| Fault::Unavailable),
    request("400", Tokens::None, |_, _| Fault::BadRequest),
    request("stall", Tokens::Any, |after_tokens, _| Fault::Stall { after_tokens }),
    request("hang", Tokens::None, |_, _| Fault::Hang),
    request("death", Tokens::Any, |after_tokens, _| Fault::Death { after_tokens }),
    request("reset", Tokens::Any, |after_tokens, _| Fault::Reset { after_tokens }),
    stream("slow-loris", StreamFault::SlowLoris),
    stream("garbage-utf8", StreamFault::GarbageUtf8),
    stream("garbage-json", StreamFault::GarbageJson),
    stream("huge-event", StreamFault::HugeEvent),
    stream("huge-stream", StreamFault::HugeStream),
    stream("cut", StreamFault::Cut),
    stream("done-early", StreamFault::DoneEarly),
    stream("error-event", StreamFault::ErrorEvent),
    stream("error-event-other", StreamFault::ErrorEventOther),
    order("sleep-fails", SleepFault::SleepFails),
    order("wake-fails", SleepFault::WakeFails),
    order("wake-hangs", SleepFault::WakeHangs),
];

/// A kind, parsed from its name.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct KindName(pub &'static FaultKind);

impl TryFrom<String> for KindName {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        KINDS.iter().find(|kind| kind.word == word).map(KindName).ok_or_else(|| {
            let words: Vec<&str> = KINDS.iter().map(|kind| kind.word).collect();
            format!("`{word}` is not a kind of fault: use one of {}", words.join(", "))
        })
    }
}
