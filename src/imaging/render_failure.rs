//! The failures of requests to the renderers.

use crate::{corpus::InspectFailure, model::FailureClass};

/// The reason why a request to the renderers failed.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderFailure {
    /// The document or the page is the cause.
    #[error("{class}: {reason}")]
    Page {
        class: FailureClass,
        /// Names the file, the page and the remedy.
        reason: String,
    },
    /// All children are lost and none can be started: the machine is the cause, never the page.
    #[error("this rank has no working renderer left: {0}")]
    PoolLost(String),
}

impl From<RenderFailure> for InspectFailure {
    fn from(failure: RenderFailure) -> Self {
        match failure {
            RenderFailure::Page { class, reason } => InspectFailure::Document { class, reason },
            RenderFailure::PoolLost(reason) => InspectFailure::Machine(reason),
        }
    }
}
