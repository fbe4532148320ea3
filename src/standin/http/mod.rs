//! vLLM's API over HTTP: routes, bodies, streams, metrics, sleep mode.

pub(super) mod api_error;
pub(super) mod chat;
pub(super) mod metrics;
pub(super) mod protocol;
pub(super) mod release;
pub(super) mod repetition;
pub(super) mod request;
pub(super) mod request_log;
pub(super) mod server;
pub(super) mod sleep;
pub(super) mod socket;
