//! An entry of the fault script.

use std::num::{NonZeroU32, NonZeroU64};

use serde::Deserialize;

use super::kinds::{Effect, Fault, KindName, Tokens};
use crate::standin::dialect::Dialect;

/// Tokens before a fault where the script sets none.
const AFTER_TOKENS: u32 = 64;
/// The phrase of a loop where the script sets none.
const PHRASE: &str = "Le présent arrêté sera publié au Bulletin officiel. ";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) page: Option<String>,
    #[serde(alias = "engine")]
    pub(super) dialect: Option<Dialect>,
    pub(super) nth: Option<NonZeroU64>,
    pub(super) times: Option<NonZeroU32>,
    pub(super) probability: Option<f64>,
    pub(super) kind: KindName,
    after_tokens: Option<u32>,
    phrase: Option<String>,
}

impl Entry {
    /// Refuses keys that the kind of fault does not have.
    pub(super) fn check(&self) -> Result<(), String> {
        let kind = self.kind.0;
        let of_requests = self.page.is_some() || self.nth.is_some() || self.probability.is_some();
        if matches!(kind.effect, Effect::Order(_)) && (of_requests || self.after_tokens.is_some()) {
            return Err("sleep-fails, wake-fails and wake-hangs allow the keys `dialect` and `times` only".into());
        }
        match (kind.tokens, self.after_tokens) {
            (Tokens::None, Some(_)) => return Err(format!("leave out `after_tokens`: {} does not have it", kind.word)),
            (Tokens::AtLeastOne, Some(0)) => {
                return Err("`after_tokens` must be at least 1 for a truncated or aborted answer".into());
            }
            _ => {}
        }
        if self.probability.is_some_and(|probability| !(0.0..=1.0).contains(&probability)) {
            return Err("`probability` must be from 0 to 1".into());
        }
        if self.phrase.is_some() && kind.word != "loop" {
            return Err("leave out `phrase`: only loop has it".into());
        }
        match self.phrase.as_deref() {
            Some("") => Err("`phrase` must not be empty".into()),
            _ => Ok(()),
        }
    }

    /// Number of tokens before the fault.
    pub(super) fn after_tokens(&self) -> u32 {
        self.after_tokens.unwrap_or(AFTER_TOKENS)
    }

    /// The fault that `make` builds from this entry's tokens and phrase.
    pub(super) fn fault(&self, make: fn(u32, String) -> Fault) -> Fault {
        make(self.after_tokens(), self.phrase.clone().unwrap_or_else(|| PHRASE.into()))
    }
}
