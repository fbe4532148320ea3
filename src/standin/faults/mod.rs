//! Faults on request: the script, and what they do to a stream and to the engine.

pub(super) mod condition;
pub(super) mod script;
pub(super) mod stream;
