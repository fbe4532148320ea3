//! Parses answers into blocks, one parser for each dialect, and converts blocks to the two forms that people read.

mod brackets;
pub(super) mod divs;
pub(super) mod grounding;
pub(super) mod html;
mod label;
pub(super) mod markdown;
