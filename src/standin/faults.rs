//! The fault script: which requests go wrong, and how.
//!
//! ```toml
//! [[fault]]
//! page = "BO_7500_Fr.p3"   # found in the header X-Request-Id; `*` stands for anything; left out: every request
//! engine = "chandra"       # only a stand-in that speaks this engine; left out: either
//! nth = 5                  # only the fifth chat request of this process, counted from 1
//! times = 2                # only the first two requests that match; left out: always
//! kind = "loop"            # loop stall truncated death reset hang empty 500 503 400
//! after_tokens = 200       # loop, stall, truncated, death, reset: tokens written before it
//! phrase = "et de la "     # loop: what is repeated
//! ```
//!
//! The first entry that matches is injected. A page pattern matches whole words: `BO_7500_Fr.p3` is not found in
//! `BO_7500_Fr.p31.l9.a1`.

use std::{
    fs, io,
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;
use toml::Spanned;

use crate::model::Engine;

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
    kind: Kind,
    after_tokens: Option<u32>,
    phrase: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
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
}

impl Entry {
    fn fault(&self) -> Result<Fault, &'static str> {
        let after_tokens = self.after_tokens.unwrap_or(AFTER_TOKENS);
        let fault = match self.kind {
            Kind::Loop => {
                let phrase = self.phrase.clone().unwrap_or_else(|| PHRASE.into());
                if phrase.is_empty() {
                    return Err("`phrase` must not be empty");
                }
                Fault::Loop { after_tokens, phrase }
            }
            Kind::Stall => Fault::Stall { after_tokens },
            Kind::Truncated if after_tokens == 0 => return Err("a truncated answer has at least one token"),
            Kind::Truncated => Fault::Truncated { after_tokens },
            Kind::Death => Fault::Death { after_tokens },
            Kind::Reset => Fault::Reset { after_tokens },
            Kind::ServerError => Fault::ServerError,
            Kind::Unavailable => Fault::Unavailable,
            Kind::BadRequest => Fault::BadRequest,
            Kind::Empty => Fault::Empty,
            Kind::Hang => Fault::Hang,
        };
        let takes_tokens = matches!(self.kind, Kind::Loop | Kind::Stall | Kind::Truncated | Kind::Death | Kind::Reset);
        if self.after_tokens.is_some() && !takes_tokens {
            return Err("`after_tokens` is for loop, stall, truncated, death and reset only");
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
                rules.push(Rule { page: entry.page, nth: entry.nth, left: entry.times.map(NonZeroU32::get), fault });
            }
        }
        Ok(FaultScript { progress: Mutex::new(Progress { requests: 0, rules }) })
    }

    /// Counts a chat request and says what goes wrong with it. `request_id` is its `X-Request-Id`.
    pub fn next(&self, request_id: &str) -> Option<Fault> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.requests += 1;
        let number = progress.requests;
        let rule = progress.rules.iter_mut().find(|rule| {
            rule.left != Some(0)
                && rule.nth.is_none_or(|nth| nth.get() == number)
                && rule.page.as_deref().is_none_or(|page| matches(page, request_id))
        })?;
        rule.left = rule.left.map(|left| left - 1);
        Some(rule.fault.clone())
    }
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
    fn an_entry_for_the_other_engine_is_left_out() {
        let script = script("[[fault]]\nengine = \"deepseek\"\nkind = \"hang\"\n");
        assert_eq!(script.next("any"), None);
    }

    #[test]
    fn every_kind_has_its_word() {
        for word in ["loop", "stall", "500", "503", "400", "empty", "truncated", "death", "reset", "hang"] {
            let fault = script(&format!("[[fault]]\nkind = \"{word}\"\n")).next("any").unwrap();
            assert_eq!(fault.name(), word);
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line, word) in [
            ("[[fault]]\nkind = \"loop\"\npages = \"x\"\n", "line 3", "pages"),
            ("[[fault]]\nkind = \"empty\"\n\n[[fault]]\nkind = \"stall\"\nphrase = \"x\"\n", "line 4", "phrase"),
            ("[[fault]]\nkind = \"explode\"\n", "line 2", "explode"),
            ("[[fault]]\nkind = \"hang\"\nafter_tokens = 3\n", "line 1", "after_tokens"),
            ("[[fault]]\nkind = \"loop\"\ntimes = 0\n", "line 3", "nonzero"),
        ] {
            let message = FaultScript::parse(text, Engine::Chandra).unwrap_err();
            assert!(message.contains(line) && message.contains(word), "{text}: {message}");
        }
    }
}
