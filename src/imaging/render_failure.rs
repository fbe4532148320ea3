//! Why a request to the renderers was not answered.

use crate::{corpus::InspectFailure, model::FailureClass};

/// A request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderFailure {
    /// The document or the page is at fault.
    #[error("{class}: {reason}")]
    Page {
        /// Who must act.
        class: FailureClass,
        /// For people: names the file, the page and the remedy.
        reason: String,
    },
    /// No child can be started any more: a fault of the machine, never of the page.
    #[error("no renderer works any more on this rank: {0}")]
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
