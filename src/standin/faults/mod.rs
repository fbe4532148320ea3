//! The fault script: which requests fail, and how.
//!
//! ```toml
//! [[fault]]
//! page = "BO_7500_Fr.p3"   # found in the header X-Request-Id; `*` matches any text; without it: every request
//!                          # `BO_7500_Fr.p3*.whole`: only where the page is shown whole (`reduced`, `halves-1`)
//! dialect = "divs"         # only a stand-in that speaks this dialect; without it: any
//! nth = 5                  # only the fifth request for a page of this process, counted from 1
//! times = 2                # only the first two requests that match; without it: all that match
//! probability = 0.3        # only this share of the request ids, the same ones in every run; without it: all
//! kind = "loop"            # the table below
//! after_tokens = 200       # tokens of the answer before the fault; without it: 64
//! phrase = "et de la "     # loop: the repeated phrase
//! ```
//!
//! | kind | what happens | `after_tokens` |
//! |---|---|---|
//! | `loop` | a phrase is repeated until the token budget is spent or the client disconnects | yes |
//! | `truncated` | finish reason `length` before the answer's end | yes |
//! | `abort` | finish reason `abort` with HTTP 200, as from a server that shuts down | yes |
//! | `empty` | content `""`, finish reason `stop` | |
//! | `500` `503` `400` | that HTTP status | |
//! | `stall` | no further token comes, the connection stays open | yes |
//! | `hang` | the engine hangs until the end of the process: no request progresses, `/health` stays 200 | |
//! | `death` | the engine dies, then the process | yes |
//! | `reset` | the connection is cut | yes |
//! | `slow-loris` | an event is sent at ten bytes a second, and never completed | yes |
//! | `garbage-utf8` | an event that is not UTF-8, then `stop` and `[DONE]` as in a correct stream | yes |
//! | `garbage-json` | an event whose JSON is broken, then the same | yes |
//! | `huge-event` | 10 MB of text in one event, then the same | yes |
//! | `huge-stream` | endless events of text, as fast as the client reads | yes |
//! | `cut` | the stream ends in order, without finish reason and without `[DONE]` | yes |
//! | `done-early` | `[DONE]` without finish reason | yes |
//! | `error-event` | an error event with the message of a dying EngineCore, then `[DONE]` | yes |
//! | `error-event-other` | the same with another message | yes |
//! | `sleep-fails` `wake-fails` | HTTP 500 to `/sleep` or `/wake_up`, and the sleep state does not change | |
//! | `wake-hangs` | `/wake_up` is never answered | |
//!
//! The kinds from `slow-loris` to `error-event-other` are faults of a stream; an answer in one piece becomes HTTP 500.
//!
//! The first entry that matches is injected. A page pattern matches whole words: `BO_7500_Fr.p3` is not found in
//! `BO_7500_Fr.p31.l9.a1`. Requests without an image, such as canary requests, are not counted and match no entry; an
//! engine that hangs or is dead does not answer them either. The last three kinds concern requests to sleep or to wake
//! up, and allow the keys `dialect` and `times` only.

pub(super) mod condition;
mod entry;
mod injected;
mod kinds;
mod pattern;
mod sleep;
pub(super) mod stream;

use std::{
    fs, io,
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;
use toml::Spanned;

use self::{
    entry::Entry,
    kinds::Effect,
    pattern::{chance, matches},
    sleep::OrderRule,
};
use crate::standin::dialect::Dialect;

pub use self::{
    injected::Injected,
    kinds::{Fault, StreamFault},
    sleep::SleepFault,
};

/// A fault script that cannot be used.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum FaultScriptError {
    /// The file cannot be read.
    #[error("fault script {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// The TOML is wrong, a key is unknown, or a value fits no fault. The message names the line.
    #[error("fault script {path}: {message}")]
    Invalid { path: PathBuf, message: String },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptFile {
    #[serde(default)]
    fault: Vec<Spanned<Entry>>,
}

/// One entry for requests, with the number of times that it may still be injected.
#[derive(Debug)]
struct Rule {
    /// Its index among all entries for this dialect.
    place: usize,
    page: Option<String>,
    nth: Option<NonZeroU64>,
    left: Option<u32>,
    probability: Option<f64>,
    injected: Injected<Fault>,
}

#[derive(Debug, Default)]
struct Progress {
    requests: u64,
    rules: Vec<Rule>,
    orders: Vec<OrderRule>,
}

impl Progress {
    fn add(&mut self, entry: Entry) {
        let place = self.rules.len() + self.orders.len();
        let left = entry.times.map(NonZeroU32::get);
        let kind = entry.kind.0;
        let fault = match kind.effect {
            Effect::Order(fault) => {
                return self.orders.push(OrderRule { left, injected: Injected { word: kind.word, fault } });
            }
            Effect::Request(make) => entry.fault(make),
            Effect::Stream(fault) => Fault::Stream { fault, after_tokens: entry.after_tokens() },
        };
        let injected = Injected { word: kind.word, fault };
        let (page, nth, probability) = (entry.page, entry.nth, entry.probability);
        self.rules.push(Rule { place, page, nth, left, probability, injected });
    }
}

/// The faults of one stand-in, and how often each has been injected.
#[derive(Debug, Default)]
pub struct FaultScript {
    progress: Mutex<Progress>,
}

impl FaultScript {
    /// Reads a script for a stand-in that speaks `dialect`.
    ///
    /// # Errors
    /// The file is unreadable, or an entry is wrong; the message names file and line.
    pub fn load(path: &Path, dialect: Dialect) -> Result<Self, FaultScriptError> {
        let text = fs::read_to_string(path).map_err(|source| FaultScriptError::Io { path: path.into(), source })?;
        Self::parse(&text, dialect).map_err(|message| FaultScriptError::Invalid { path: path.into(), message })
    }

    fn parse(text: &str, dialect: Dialect) -> Result<Self, String> {
        let file: ScriptFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut progress = Progress::default();
        for spanned in file.fault {
            let line = text[..spanned.span().start].matches('\n').count() + 1;
            let entry = spanned.into_inner();
            entry.check().map_err(|message| format!("entry at line {line}: {message}"))?;
            if entry.dialect.is_none_or(|wanted| wanted == dialect) {
                progress.add(entry);
            }
        }
        Ok(FaultScript { progress: Mutex::new(progress) })
    }

    /// Counts a request for a page and returns its fault, if any. `request_id` is its `X-Request-Id`.
    pub fn next(&self, request_id: &str) -> Option<Injected<Fault>> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.requests += 1;
        let number = progress.requests;
        let rule = progress.rules.iter_mut().find(|rule| {
            rule.left != Some(0)
                && rule.nth.is_none_or(|nth| nth.get() == number)
                && rule.page.as_deref().is_none_or(|page| matches(page, request_id))
                && rule.probability.is_none_or(|probability| chance(rule.place, request_id) < probability)
        })?;
        rule.left = rule.left.map(|left| left - 1);
        Some(rule.injected.clone())
    }

    /// The fault of a request to sleep, or else to wake up, if any.
    pub fn next_order(&self, sleep: bool) -> Option<Injected<SleepFault>> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        sleep::next_order(&mut progress.orders, sleep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> FaultScript {
        FaultScript::parse(text, Dialect::Divs).unwrap()
    }

    fn fault(script: &FaultScript, request_id: &str) -> Option<Fault> {
        script.next(request_id).map(|injected| injected.fault)
    }

    #[test]
    fn times_and_nth_limit_an_entry() {
        let script =
            script("[[fault]]\nnth = 3\nkind = \"503\"\n[[fault]]\npage = \"p1\"\ntimes = 2\nkind = \"empty\"\n");
        let faults: Vec<_> = ["p1", "p2", "p1", "p1", "p1"].iter().map(|id| fault(&script, id)).collect();
        assert_eq!(faults, [Some(Fault::Empty), None, Some(Fault::Unavailable), Some(Fault::Empty), None]);
    }

    #[test]
    fn a_storm_strikes_its_share_and_always_the_same_requests() {
        let text = "[[fault]]\nprobability = 0.3\nkind = \"503\"\n[[fault]]\nprobability = 0.5\nkind = \"empty\"\n";
        let ids: Vec<String> = (0..2000).map(|page| format!("BO_7500_Fr.p{page}.l{}.a1", page * 7)).collect();
        let forwards = script(text);
        let struck: Vec<_> = ids.iter().map(|id| fault(&forwards, id)).collect();
        let count = |fault: Fault| struck.iter().filter(|struck| **struck == Some(fault.clone())).count();
        assert!((520..=680).contains(&count(Fault::Unavailable)), "{}", count(Fault::Unavailable));
        // Half of the other 70 %: the second entry draws independently.
        assert!((620..=780).contains(&count(Fault::Empty)), "{}", count(Fault::Empty));
        let backwards = script(text);
        let mut again: Vec<_> = ids.iter().rev().map(|id| fault(&backwards, id)).collect();
        again.reverse();
        assert_eq!(struck, again);
    }

    #[test]
    fn an_entry_for_the_other_engine_is_left_out() {
        let script = script("[[fault]]\nengine = \"deepseek\"\nkind = \"hang\"\n");
        assert!(script.next("any").is_none());
    }

    #[test]
    fn every_kind_has_its_word() {
        let whole = ["loop", "stall", "500", "503", "400", "empty", "truncated", "death", "reset", "hang", "abort"];
        let stream = ["slow-loris", "garbage-utf8", "garbage-json", "huge-event", "huge-stream"];
        let early = ["cut", "done-early", "error-event", "error-event-other"];
        let words: Vec<_> = whole.into_iter().chain(stream).chain(early).collect();
        for word in &words {
            let injected = script(&format!("[[fault]]\nkind = \"{word}\"\n")).next("any").unwrap();
            assert_eq!(injected.word, *word);
        }
        let documented = include_str!("mod.rs");
        assert!(kinds::KINDS.iter().all(|kind| documented.contains(&format!("`{}`", kind.word))));
        assert_eq!(kinds::KINDS.len(), words.len() + 3, "and three of orders");
    }

    #[test]
    fn faults_of_orders_strike_no_request_and_each_its_own_order() {
        let script = script("[[fault]]\nkind = \"wake-fails\"\ntimes = 1\n[[fault]]\nkind = \"wake-hangs\"\n");
        assert!(script.next("any").is_none() && script.next_order(true).is_none());
        let orders: Vec<_> = (0..3).map(|_| script.next_order(false).unwrap().word).collect();
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
            let message = FaultScript::parse(text, Dialect::Divs).unwrap_err();
            assert!(message.contains(line) && message.contains(word), "{text}: {message}");
        }
    }
}
