//! The kinds of faults: one table of their words and of what each takes.

use serde::Deserialize;

use super::sleep::SleepFault;

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// After some tokens of the real answer, a phrase is repeated until the token budget or a disconnect.
    Loop {
        /// Tokens of the real answer before the loop.
        after_tokens: u32,
        /// What is repeated.
        phrase: String,
    },
    /// Nothing more comes, and the connection stays open.
    Stall {
        /// Tokens before the silence.
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
        /// Tokens written.
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
    /// The engine hangs for good; `/health` stays 200.
    Hang,
    /// Finish reason `abort` before the answer's end.
    Abort {
        /// Tokens written.
        after_tokens: u32,
    },
    /// The stream goes wrong, with HTTP 200.
    Stream {
        /// How.
        fault: StreamFault,
        /// Tokens before it.
        after_tokens: u32,
    },
}

/// What goes wrong in a stream that began well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFault {
    /// An event that comes byte by byte and never ends.
    SlowLoris,
    /// An event that is no UTF-8 in an otherwise good stream.
    GarbageUtf8,
    /// An event that is no JSON in an otherwise good stream.
    GarbageJson,
    /// One event of 10 MB in an otherwise good stream.
    HugeEvent,
    /// Text without end.
    HugeStream,
    /// An orderly end without finish reason or end mark.
    Cut,
    /// The end mark without finish reason.
    DoneEarly,
    /// An error event in the words of a dying engine.
    ErrorEvent,
    /// An error event in other words.
    ErrorEventOther,
}

/// A kind of fault.
#[derive(Debug)]
pub struct FaultKind {
    /// The word of the script.
    pub word: &'static str,
    /// What `after_tokens` may be.
    pub tokens: Tokens,
    /// What goes wrong.
    pub effect: Effect,
}

/// What `after_tokens` may be for a kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// Any number.
    Any,
    /// At least 1.
    AtLeastOne,
    /// The fault is at the beginning: the key is wrong.
    None,
}

/// What a kind of fault strikes, and how.
#[derive(Debug)]
pub enum Effect {
    /// A request. Takes the tokens before the fault, and the phrase of a loop.
    Request(fn(u32, String) -> Fault),
    /// A stream that began well.
    Stream(StreamFault),
    /// An order to sleep or to wake up.
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

/// A kind, read from its word.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct KindWord(pub &'static FaultKind);

impl TryFrom<String> for KindWord {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        KINDS.iter().find(|kind| kind.word == word).map(KindWord).ok_or_else(|| {
            let words: Vec<&str> = KINDS.iter().map(|kind| kind.word).collect();
            format!("`{word}` is no kind of fault; the kinds are {}", words.join(", "))
        })
    }
}
