//! The fault script: which requests go wrong, and how.
//!
//! ```toml
//! [[fault]]
//! page = "BO_7500_Fr.p3"   # found in the header X-Request-Id; `*` stands for anything; left out: every request
//!                          # `BO_7500_Fr.p3*.whole`: only where the page is shown whole (`reduced`, `halves-1`)
//! engine = "chandra"       # only a stand-in that speaks this engine; left out: either
//! nth = 5                  # only the fifth request for a page of this process, counted from 1
//! times = 2                # only the first two requests that match; left out: always
//! probability = 0.3        # only this share of the request ids, always the same ones; left out: all
//! kind = "loop"            # the table below
//! after_tokens = 200       # tokens written before it; left out: 64
//! phrase = "et de la "     # loop: what is repeated
//! ```
//!
//! | kind | what happens | `after_tokens` |
//! |---|---|---|
//! | `loop` | a phrase is repeated until the token budget or a disconnect | yes |
//! | `truncated` | finish reason `length` before the answer's end | yes |
//! | `abort` | finish reason `abort` with HTTP 200, as a server that shuts down | yes |
//! | `empty` | content `""`, finish reason `stop` | |
//! | `500` `503` `400` | that HTTP status | |
//! | `stall` | nothing more comes, the connection stays open | yes |
//! | `hang` | the engine hangs for good: no request progresses, `/health` stays 200 | |
//! | `death` | the engine dies, then the process | yes |
//! | `reset` | the connection is cut | yes |
//! | `slow-loris` | an event is dribbled, ten bytes a second, and never completed | yes |
//! | `garbage-utf8` | an event that is no UTF-8, then `stop` and `[DONE]` as if nothing had been | yes |
//! | `garbage-json` | an event whose JSON is broken, then the same | yes |
//! | `huge-event` | 10 MB of text in one event, then the same | yes |
//! | `huge-stream` | events of text without end, as fast as they are taken | yes |
//! | `cut` | the stream ends in order, without finish reason and without `[DONE]` | yes |
//! | `done-early` | `[DONE]` without finish reason | yes |
//! | `error-event` | an error event in the words of a dying EngineCore, then `[DONE]` | yes |
//! | `error-event-other` | the same in other words | yes |
//! | `sleep-fails` `wake-fails` | HTTP 500 to `/sleep` or `/wake_up`, which changes nothing then | |
//! | `wake-hangs` | `/wake_up` is never answered | |
//!
//! From `slow-loris` to `error-event-other` they are faults of a stream; an answer in one piece becomes HTTP 500.
//!
//! The first entry that matches is injected. A page pattern matches whole words: `BO_7500_Fr.p3` is not found in
//! `BO_7500_Fr.p31.l9.a1`. Requests without an image, such as canaries, are neither counted nor struck; a hang or a
//! death that is in force strikes them too. The last three are of orders and not of requests: they know `engine` and `times`
//! only.

use std::{
    fs, io,
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;

use crate::{model::Engine, standin::http::sleep::SleepFault};

/// A fault script that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaultScriptError {
    /// The file cannot be read.
    #[error("fault script {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bad TOML, an unknown key, a value that fits no fault. The text holds the line.
    #[error("fault script {path}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, and what is wrong with it.
        message: String,
    },
}

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
    /// An order to sleep or to wake up goes wrong.
    Order(SleepFault),
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

impl StreamFault {
    /// The word of the script.
    pub fn name(self) -> &'static str {
        match self {
            StreamFault::SlowLoris => "slow-loris",
            StreamFault::GarbageUtf8 => "garbage-utf8",
            StreamFault::GarbageJson => "garbage-json",
            StreamFault::HugeEvent => "huge-event",
            StreamFault::HugeStream => "huge-stream",
            StreamFault::Cut => "cut",
            StreamFault::DoneEarly => "done-early",
            StreamFault::ErrorEvent => "error-event",
            StreamFault::ErrorEventOther => "error-event-other",
        }
    }
}

impl Fault {
    /// The word of the script.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Loop { .. } => "loop",
            Fault::Stall { .. } => "stall",
            Fault::ServerError => "500",
            Fault::Unavailable => "503",
            Fault::BadRequest => "400",
            Fault::Empty => "empty",
            Fault::Truncated { .. } => "truncated",
            Fault::Death { .. } => "death",
            Fault::Reset { .. } => "reset",
            Fault::Hang => "hang",
            Fault::Abort { .. } => "abort",
            Fault::Order(fault) => fault.name(),
            Fault::Stream { fault, .. } => fault.name(),
        }
    }
}

/// Tokens before a fault where the script does not say.
const AFTER_TOKENS: u32 = 64;
/// What a loop repeats where the script does not say.
const PHRASE: &str = "Le présent arrêté sera publié au Bulletin officiel. ";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptFile {
    #[serde(default)]
    fault: Vec<Spanned<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    page: Option<String>,
    engine: Option<Engine>,
    nth: Option<NonZeroU64>,
    times: Option<NonZeroU32>,
    probability: Option<f64>,
    kind: Kind,
    after_tokens: Option<u32>,
    phrase: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Loop,
    Stall,
    #[serde(rename = "500")]
    ServerError,
    #[serde(rename = "503")]
    Unavailable,
    #[serde(rename = "400")]
    BadRequest,
    Empty,
    Truncated,
    Death,
    Reset,
    Hang,
    Abort,
    SlowLoris,
    GarbageUtf8,
    GarbageJson,
    HugeEvent,
    HugeStream,
    Cut,
    DoneEarly,
    ErrorEvent,
    ErrorEventOther,
    #[serde(untagged)]
    Order(SleepFault),
}

impl Entry {
    fn fault(&self) -> Result<Fault, &'static str> {
        let after_tokens = self.after_tokens.unwrap_or(AFTER_TOKENS);
        let stream = |fault| Fault::Stream { fault, after_tokens };
        let fault = match self.kind {
            Kind::Loop => {
                let phrase = self.phrase.clone().unwrap_or_else(|| PHRASE.into());
                if phrase.is_empty() {
                    return Err("`phrase` must not be empty");
                }
                Fault::Loop { after_tokens, phrase }
            }
            Kind::Stall => Fault::Stall { after_tokens },
            Kind::Truncated | Kind::Abort if after_tokens == 0 => {
                return Err("a truncated or aborted answer has at least one token");
            }
            Kind::Truncated => Fault::Truncated { after_tokens },
            Kind::Abort => Fault::Abort { after_tokens },
            Kind::Death => Fault::Death { after_tokens },
            Kind::Reset => Fault::Reset { after_tokens },
            Kind::ServerError => Fault::ServerError,
            Kind::Unavailable => Fault::Unavailable,
            Kind::BadRequest => Fault::BadRequest,
            Kind::Empty => Fault::Empty,
            Kind::Hang => Fault::Hang,
            Kind::SlowLoris => stream(StreamFault::SlowLoris),
            Kind::GarbageUtf8 => stream(StreamFault::GarbageUtf8),
            Kind::GarbageJson => stream(StreamFault::GarbageJson),
            Kind::HugeEvent => stream(StreamFault::HugeEvent),
            Kind::HugeStream => stream(StreamFault::HugeStream),
            Kind::Cut => stream(StreamFault::Cut),
            Kind::DoneEarly => stream(StreamFault::DoneEarly),
            Kind::ErrorEvent => stream(StreamFault::ErrorEvent),
            Kind::ErrorEventOther => stream(StreamFault::ErrorEventOther),
            Kind::Order(fault) => Fault::Order(fault),
        };
        let of_requests = self.page.is_some() || self.nth.is_some() || self.probability.is_some();
        if matches!(fault, Fault::Order(_)) && (of_requests || self.after_tokens.is_some()) {
            return Err("sleep-fails, wake-fails and wake-hangs know `engine` and `times` only");
        }
        let at_once = [Kind::ServerError, Kind::Unavailable, Kind::BadRequest, Kind::Empty, Kind::Hang];
        if self.after_tokens.is_some() && at_once.contains(&self.kind) {
            return Err("`after_tokens` is not for 500, 503, 400, empty and hang");
        }
        if self.probability.is_some_and(|probability| !(0.0..=1.0).contains(&probability)) {
            return Err("`probability` must be from 0 to 1");
        }
        if self.phrase.is_some() && self.kind != Kind::Loop {
            return Err("`phrase` is for loop only");
        }
        Ok(fault)
    }
}

/// One entry, and how often it may still be injected.
#[derive(Debug)]
struct Rule {
    page: Option<String>,
    nth: Option<NonZeroU64>,
    left: Option<u32>,
    probability: Option<f64>,
    fault: Fault,
}

#[derive(Debug, Default)]
struct Progress {
    requests: u64,
    rules: Vec<Rule>,
}

/// The faults of one stand-in, and how many of them have been injected.
#[derive(Debug, Default)]
pub struct FaultScript {
    progress: Mutex<Progress>,
}

impl FaultScript {
    /// Reads a script for a stand-in that speaks `engine`.
    ///
    /// # Errors
    /// An unreadable file or a wrong entry, with file and line.
    pub fn load(path: &Path, engine: Engine) -> Result<Self, FaultScriptError> {
        let text = fs::read_to_string(path).map_err(|source| FaultScriptError::Io { path: path.into(), source })?;
        Self::parse(&text, engine).map_err(|message| FaultScriptError::Invalid { path: path.into(), message })
    }

    fn parse(text: &str, engine: Engine) -> Result<Self, String> {
        let file: ScriptFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut rules = Vec::new();
        for spanned in file.fault {
            let line = text[..spanned.span().start].matches('\n').count() + 1;
            let entry = spanned.into_inner();
            let fault = entry.fault().map_err(|message| format!("entry at line {line}: {message}"))?;
            if entry.engine.is_none_or(|wanted| wanted == engine) {
                rules.push(Rule {
                    page: entry.page,
                    nth: entry.nth,
                    left: entry.times.map(NonZeroU32::get),
                    probability: entry.probability,
                    fault,
                });
            }
        }
        Ok(FaultScript { progress: Mutex::new(Progress { requests: 0, rules }) })
    }

    /// Counts a request for a page and says what goes wrong with it. `request_id` is its `X-Request-Id`.
    pub fn next(&self, request_id: &str) -> Option<Fault> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.requests += 1;
        let number = progress.requests;
        let (_, rule) = progress.rules.iter_mut().enumerate().find(|(place, rule)| {
            rule.left != Some(0)
                && !matches!(rule.fault, Fault::Order(_))
                && rule.nth.is_none_or(|nth| nth.get() == number)
                && rule.page.as_deref().is_none_or(|page| matches(page, request_id))
                && rule.probability.is_none_or(|probability| draw(*place, request_id) < probability)
        })?;
        rule.left = rule.left.map(|left| left - 1);
        Some(rule.fault.clone())
    }
}

impl FaultScript {
    /// What goes wrong with an order to sleep, or else to wake up.
    pub fn next_order(&self, sleep: bool) -> Option<SleepFault> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let (rule, fault) = progress.rules.iter_mut().find_map(|rule| match rule.fault {
            Fault::Order(fault) if rule.left != Some(0) && sleep == (fault == SleepFault::SleepFails) => {
                Some((rule, fault))
            }
            _ => None,
        })?;
        rule.left = rule.left.map(|left| left - 1);
        Some(fault)
    }
}

/// A number in 0.0..1.0 that follows from the request id and the entry's place in the script alone: the same requests
/// are struck in every run, whatever their order, and two entries strike independently.
fn draw(place: usize, request_id: &str) -> f64 {
    let digest = Sha256::new().chain_update(place.to_le_bytes()).chain_update(request_id).finalize();
    let number = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

/// Whether `pattern`, in which `*` stands for anything, is found in `text` at the limits of words: what stands
/// before and after must not be a letter or a digit, unless the pattern itself begins or ends with `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let pieces: Vec<&str> = pattern.split('*').collect();
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|start| {
        let bounded = pieces[0].is_empty() || !text[..start].ends_with(char::is_alphanumeric);
        bounded && text[start..].starts_with(pieces[0]) && follow(&pieces[1..], &text[start + pieces[0].len()..])
    })
}

/// Whether the pieces come one after the other in `rest`, the last of them at the end of a word.
fn follow(pieces: &[&str], rest: &str) -> bool {
    match pieces {
        [] => !rest.starts_with(char::is_alphanumeric),
        [""] => true,
        [piece, later @ ..] => rest.match_indices(piece).any(|(at, found)| follow(later, &rest[at + found.len()..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> FaultScript {
        FaultScript::parse(text, Engine::Chandra).unwrap()
    }

    #[test]
    fn a_page_is_matched_in_the_request_id_at_word_limits() {
        for (pattern, id, expected) in [
            ("BO_7500_Fr.p3", "BO_7500_Fr.p3.l17.a1", true),
            ("BO_7500_Fr.p3", "BO_7500_Fr.p31.l17.a1", false),
            ("7500", "BO_7500_Fr.p3.l17.a1", true),
            ("500", "BO_7500_Fr.p3.l17.a1", false),
            ("*500", "BO_7500_Fr.p3.l17.a1", true),
            ("BO_*_Fr.p3", "BO_7500_Fr.p3.l17.a1", true),
            ("BO_*.a2", "BO_7500_Fr.p3.l17.a1", false),
            ("BO_7500_Fr.p3*", "BO_7500_Fr.p31.l17.a1", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, id), expected, "{pattern} in {id}");
        }
    }

    #[test]
    fn times_and_nth_limit_an_entry() {
        let script =
            script("[[fault]]\nnth = 3\nkind = \"503\"\n[[fault]]\npage = \"p1\"\ntimes = 2\nkind = \"empty\"\n");
        let faults: Vec<_> = ["p1", "p2", "p1", "p1", "p1"].iter().map(|id| script.next(id)).collect();
        assert_eq!(faults, [Some(Fault::Empty), None, Some(Fault::Unavailable), Some(Fault::Empty), None]);
    }

    #[test]
    fn a_storm_strikes_its_share_and_always_the_same_requests() {
        let text = "[[fault]]\nprobability = 0.3\nkind = \"503\"\n[[fault]]\nprobability = 0.5\nkind = \"empty\"\n";
        let ids: Vec<String> = (0..2000).map(|page| format!("BO_7500_Fr.p{page}.l{}.a1", page * 7)).collect();
        let forwards = script(text);
        let struck: Vec<_> = ids.iter().map(|id| forwards.next(id)).collect();
        let count = |fault: Fault| struck.iter().filter(|struck| **struck == Some(fault.clone())).count();
        assert!((520..=680).contains(&count(Fault::Unavailable)), "{}", count(Fault::Unavailable));
        // Half of the other 70 %: the second entry draws for itself.
        assert!((620..=780).contains(&count(Fault::Empty)), "{}", count(Fault::Empty));
        let backwards = script(text);
        let mut again: Vec<_> = ids.iter().rev().map(|id| backwards.next(id)).collect();
        again.reverse();
        assert_eq!(struck, again);
    }

    #[test]
    fn an_entry_for_the_other_engine_is_left_out() {
        let script = script("[[fault]]\nengine = \"deepseek\"\nkind = \"hang\"\n");
        assert_eq!(script.next("any"), None);
    }

    #[test]
    fn every_kind_has_its_word() {
        let whole = ["loop", "stall", "500", "503", "400", "empty", "truncated", "death", "reset", "hang", "abort"];
        let stream = ["slow-loris", "garbage-utf8", "garbage-json", "huge-event", "huge-stream"];
        let early = ["cut", "done-early", "error-event", "error-event-other"];
        for word in whole.into_iter().chain(stream).chain(early) {
            let fault = script(&format!("[[fault]]\nkind = \"{word}\"\n")).next("any").unwrap();
            assert_eq!(fault.name(), word);
        }
    }

    #[test]
    fn faults_of_orders_strike_no_request_and_each_its_own_order() {
        let script = script("[[fault]]\nkind = \"wake-fails\"\ntimes = 1\n[[fault]]\nkind = \"wake-hangs\"\n");
        assert_eq!((script.next("any"), script.next_order(true)), (None, None));
        let orders: Vec<_> = (0..3).map(|_| script.next_order(false).unwrap().name()).collect();
        assert_eq!(orders, ["wake-fails", "wake-hangs", "wake-hangs"]);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line, word) in [
            ("[[fault]]\nkind = \"loop\"\npages = \"x\"\n", "line 3", "pages"),
            ("[[fault]]\nkind = \"empty\"\n\n[[fault]]\nkind = \"stall\"\nphrase = \"x\"\n", "line 4", "phrase"),
            ("[[fault]]\nkind = \"explode\"\n", "line 2", "explode"),
            ("[[fault]]\nkind = \"hang\"\nafter_tokens = 3\n", "line 1", "after_tokens"),
            ("[[fault]]\nkind = \"loop\"\ntimes = 0\n", "line 3", "nonzero"),
            ("[[fault]]\nkind = \"503\"\nprobability = 1.5\n", "line 1", "probability"),
            ("[[fault]]\nkind = \"abort\"\nafter_tokens = 0\n", "line 1", "aborted"),
            ("[[fault]]\nkind = \"wake-fails\"\npage = \"p1\"\n", "line 1", "`times` only"),
        ] {
            let message = FaultScript::parse(text, Engine::Chandra).unwrap_err();
            assert!(message.contains(line) && message.contains(word), "{text}: {message}");
        }
    }
}
