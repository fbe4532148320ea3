//! One line on standard error for each chat request, when it ends.
//!
//! `request BO_7500_Fr.p3.l17.a1 finished stop`: the `X-Request-Id` (`-` where there is none), then how it ended:
//!
//! | words | meaning |
//! |---|---|
//! | `finished REASON` | answered completely, with this finish reason |
//! | `refused STATUS` | refused at once with this HTTP status: the request was wrong |
//! | `broken STATUS` | the engine died, or the page could not be read |
//! | `disconnected` | the client went away, or the server ended, before the end of the answer |
//! | `fault KIND` | a fault of the fault script was injected, and the client got all of it |
//! | `fault KIND …` | a fault was injected, and the request ended in one of the other ways |
//!
//! The lines do not go through the log, so that no filter removes any of them.

use std::io::Write as _;

use axum::http::StatusCode;

use crate::model::FinishReason;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Finished(FinishReason),
    Refused(StatusCode),
    Broken(StatusCode),
    /// By the injected fault, completely.
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
    /// Begins the line of a new request.
    pub fn new(request_id: &str) -> Self {
        let request_id = if request_id.is_empty() { "-".into() } else { request_id.replace(char::is_whitespace, "_") };
        RequestLog { request_id, fault: None, ending: None }
    }

    /// The fault script injects a fault of this kind.
    pub fn injected(&mut self, fault: &'static str) {
        self.fault = Some(fault);
    }

    /// The request was answered completely.
    pub fn finished(&mut self, reason: FinishReason) {
        self.ending = Some(Ending::Finished(reason));
    }

    /// The request was wrong.
    pub fn refused(&mut self, status: StatusCode) {
        self.ending = Some(Ending::Refused(status));
    }

    /// The request could not be answered completely.
    pub fn broken(&mut self, status: StatusCode) {
        self.ending = Some(Ending::Broken(status));
    }

    /// The request ended as the injected fault demands.
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
        // The process that started the server may have closed the pipe. The answers are more important than the line.
        let _ = std::io::stderr().write_all(self.line().as_bytes());
    }
}
