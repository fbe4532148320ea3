//! Verdicts, failure classes and machine faults.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The verdict on a page. Every settled page has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// An engine's answer was accepted.
    Read,
    /// Nothing to read: by its ink before an engine saw it, or by the engine's answer.
    Blank,
    /// No engine's answer was accepted. The class says what can help.
    Failed(FailureClass),
    /// As [`Verdict::Read`], but some content of the page could not be drawn. The record's reason names it.
    Incomplete,
}

impl Verdict {
    /// Name in shards, exports and reports: `read`, `incomplete`, `blank` or `failed`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Read => "read",
            Verdict::Incomplete => "incomplete",
            Verdict::Blank => "blank",
            Verdict::Failed(_) => "failed",
        }
    }

    /// The failure class of a failed page.
    pub fn class(self) -> Option<FailureClass> {
        match self {
            Verdict::Failed(class) => Some(class),
            Verdict::Read | Verdict::Incomplete | Verdict::Blank => None,
        }
    }

    /// Whether an engine's answer was accepted.
    pub fn is_read(self) -> bool {
        matches!(self, Verdict::Read | Verdict::Incomplete)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class() {
            Some(class) => write!(f, "failed({class})"),
            None => f.write_str(self.name()),
        }
    }
}

/// What can help after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The same engine may succeed with another retry step.
    SameEngine,
    /// Only another engine may succeed.
    OtherEngine,
    /// The user must act: give a password, a better file or a larger limit.
    Operator,
}

macro_rules! failure_classes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $name:literal, $remedy:ident;)+) => {
        /// Why a page (or a document) could not be read. Each class says what can help ([`FailureClass::remedy`]). The
        /// numeric code is part of the shard format.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum FailureClass {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant = $code,)+
        }

        impl FailureClass {
            /// All classes, in order of declaration.
            pub const ALL: &'static [FailureClass] = &[$(FailureClass::$variant),+];

            /// Name in shards, exports and reports and on the command line.
            pub fn name(self) -> &'static str {
                match self { $(FailureClass::$variant => $name,)+ }
            }

            /// What can help.
            pub fn remedy(self) -> Remedy {
                match self { $(FailureClass::$variant => Remedy::$remedy,)+ }
            }
        }
    };
}

// A new class is declared last, as a new verdict is: journals store a class as its position here.
failure_classes! {
    /// The file cannot be opened as a PDF (empty, truncated, not a PDF, no pages). The operator must fetch it again.
    Unreadable = 1, "unreadable", Operator;
    /// The file needs a password that the configuration does not give.
    Encrypted = 2, "encrypted", Operator;
    /// PDFium could not render this page, or died rendering it.
    RenderFailed = 3, "render-failed", Operator;
    /// Rendering the page took longer than the configured limit.
    RenderTimeout = 4, "render-timeout", Operator;
    /// The page would not fit in the renderer's memory limit.
    TooLarge = 5, "too-large", Operator;
    /// The answer repeats itself without end. Another sampling may help, then another engine.
    Loop = 10, "loop", SameEngine;
    /// The token budget was used up before the answer ended.
    Truncated = 11, "truncated", SameEngine;
    /// The context window was full before the answer ended. A smaller image or half a page may help.
    ContextFull = 12, "context-full", SameEngine;
    /// HTTP 200 and finish reason `stop`, but the answer is empty for a page with ink.
    Empty = 13, "empty", SameEngine;
    /// The answer is not in the engine's grammar.
    Unparsable = 14, "unparsable", SameEngine;
    /// The server rejected the request (HTTP 4xx). The same request would be rejected again.
    Rejected = 20, "rejected", OtherEngine;
    /// The server failed on this request (HTTP 5xx) while it stayed healthy for others.
    ServerError = 21, "server-error", SameEngine;
    /// No progress within the token limits while the server was healthy.
    Stalled = 22, "stalled", SameEngine;
    /// The page was alone in flight at two engine deaths. It goes to the next engine.
    Poison = 30, "poison", OtherEngine;
    /// The file is no longer the one in the plan. The next start plans it again.
    Changed = 6, "changed", Operator;
    /// The answer is in a script in which the edition is not printed.
    WrongScript = 15, "wrong-script", SameEngine;
    /// The answer has far less or far more text than the ink on the page suggests.
    Implausible = 16, "implausible", SameEngine;
    /// No rank returned the page in time, or its file could not be read in time: the file system or the process that
    /// works on the page hangs. The next start reads the page again.
    Stuck = 7, "stuck", Operator;
    /// The text has replacement characters (U+FFFD) or other signs that its bytes were decoded wrongly.
    BrokenText = 17, "broken-text", SameEngine;
    /// The answer says the page twice, or it is the answer that another page got. It is asked for again once: if it
    /// comes again, the page may be so.
    Repeated = 18, "repeated", SameEngine;
    /// The server refused the image as too large. A smaller image or half a page may help.
    ImageTooLarge = 23, "image-too-large", SameEngine;
}

impl FailureClass {
    /// The class with this shard code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|class| *class as u8 == code)
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault of the machine, never of the page: the page returns to the queue with its attempt count unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineFault {
    /// The engine or its server process died with the request in flight.
    ServerDied,
    /// The connection was refused, reset or cut.
    ConnectionLost,
    /// The server reported that it is overloaded (HTTP 503 or 429).
    Overloaded,
    /// The server aborted the request (finish reason `abort`), as it does when it shuts down.
    Aborted,
    /// The renderer pool failed, not only one child.
    RendererLost,
    /// The run is draining: deadline, stop file or signal.
    Draining,
    /// The inputs cannot be reached from this rank: a file system is not mounted, or fails.
    InputLost,
}

impl fmt::Display for MachineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MachineFault::ServerDied => "the server died",
            MachineFault::ConnectionLost => "the connection was lost",
            MachineFault::Overloaded => "the server is overloaded",
            MachineFault::Aborted => "the server aborted the request",
            MachineFault::RendererLost => "the renderer pool is gone",
            MachineFault::Draining => "the run is stopping",
            MachineFault::InputLost => "the inputs cannot be reached",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_round_trip() {
        for &class in FailureClass::ALL {
            assert_eq!(FailureClass::from_code(class as u8), Some(class));
            assert_eq!(FailureClass::ALL.iter().filter(|other| other.name() == class.name()).count(), 1);
        }
        assert_eq!(FailureClass::from_code(0), None);
    }
}
