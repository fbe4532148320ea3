//! Parses answers into blocks, one parser for each dialect, and converts blocks to the two forms that people read.

mod brackets;
mod divs;
mod doctags;
mod grounding;
pub(super) mod html;
mod label;
mod layout_json;
pub(super) mod markdown;
mod markdown_page;
mod otsl;
mod prose;

use crate::model::PixelSize;

use super::Dialect;

/// Parses an answer in this dialect. `image` is the size of the image that was sent, in pixels.
pub fn parse(answer: &str, dialect: Dialect, image: PixelSize) -> html::Reading {
    match dialect {
        Dialect::Divs { box_scale } => divs::parse(answer, box_scale),
        Dialect::Grounding { box_scale } => grounding::parse(answer, box_scale),
        Dialect::LayoutJson { box_scale } => layout_json::parse(answer, box_scale, image),
        Dialect::Markdown { front_matter, formulas } => markdown_page::parse(answer, front_matter, formulas),
        Dialect::Doctags { box_scale } => doctags::parse(answer, box_scale),
    }
}
