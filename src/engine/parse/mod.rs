//! Answers to blocks: a parser a dialect, and the two forms that people read.

pub(super) mod divs;
pub(super) mod grounding;
pub(super) mod html;
pub(super) mod markdown;
