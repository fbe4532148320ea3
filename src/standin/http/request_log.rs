//! One line on standard error for each chat request, when it ends.
//!
//! `request BO_7500_Fr.p3.l17.a1 finished stop`: the `X-Request-Id` (`-` where there is none), then how it ended:
//!
//! | words | meaning |
//! |---|---|
//! | `finished REASON` | answered to its end, with this finish reason |
//! | `refused STATUS` | this HTTP status at once: a wrong request |
//! | `broken STATUS` | the engine died, or the page could not be read |
//! | `disconnected` | the client went away, or the server ended, before the end |
//! | `fault KIND` | the fault script struck it, and its client heard all that belongs to the fault |
//! | `fault KIND …` | the fault script struck it, and it ended in one of the other ways |
//!
//! The lines do not pass through the log, so that no filter takes any of them away.

use std::io::Write as _;

use axum::http::StatusCode;

use crate::model::FinishReason;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Finished(FinishReason),
    Refused(StatusCode),
    Broken(StatusCode),
    /// As the fault script says; nothing to add.
    Struck,
}

/// Writes the line of one request when it is dropped.
#[derive(Debug)]
pub struct RequestLog {
    request_id: String,
    fault: Option<&'static str>,
    ending: Option<Ending>,
}

impl RequestLog {
    /// A request that has just come.
    pub fn new(request_id: &str) -> Self {
        let request_id = if request_id.is_empty() { "-".into() } else { request_id.replace(char::is_whitespace, "_") };
        RequestLog { request_id, fault: None, ending: None }
    }

    /// The fault script strikes it with a fault of this word.
    pub fn injected(&mut self, fault: &'static str) {
        self.fault = Some(fault);
    }

    /// It was answered to its end.
    pub fn finished(&mut self, reason: FinishReason) {
        self.ending = Some(Ending::Finished(reason));
    }

    /// It was wrong.
    pub fn refused(&mut self, status: StatusCode) {
        self.ending = Some(Ending::Refused(status));
    }

    /// It could not be answered to its end.
    pub fn broken(&mut self, status: StatusCode) {
        self.ending = Some(Ending::Broken(status));
    }

    /// It ended as the fault script wants it.
    pub fn mark_fault(&mut self) {
        self.ending = Some(Ending::Struck);
    }

    fn line(&self) -> String {
        let fault = self.fault.map(|kind| format!(" fault {kind}")).unwrap_or_default();
        let ending = match self.ending {
            Some(Ending::Finished(reason)) => format!(" finished {}", reason.name()),
            Some(Ending::Refused(status)) => format!(" refused {}", status.as_u16()),
            Some(Ending::Broken(status)) => format!(" broken {}", status.as_u16()),
            Some(Ending::Struck) => String::new(),
            None => " disconnected".into(),
        };
        format!("request {}{fault}{ending}\n", self.request_id)
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        // Whoever started the server may have closed the pipe; the answers matter more.
        let _ = std::io::stderr().write_all(self.line().as_bytes());
    }
}
