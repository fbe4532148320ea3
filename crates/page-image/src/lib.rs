//! The image of a page: analysis of its layout, the changes that a rule asks for, scaling, and PNG.
//!
//! Pure functions on pixels: no PDF, no files, no engines. It is a package of its own because its loops run over every
//! pixel of a page: development builds optimise this package and nothing else of the project.

mod bbox;
mod clean;
mod cut;
mod division;
mod encode;
mod glyphs;
mod language;
pub mod layout;
mod page_layout;
mod pixels;
mod rotation;
mod scale;
mod size;
mod split_views;
mod straighten;
mod turn_proposal;
mod view;

pub use bbox::BBox;
pub use cut::turned;
pub use division::{Division, PartImage, Undivided, divide};
pub use encode::{EncodingError, png};
pub use glyphs::{Glyph, GlyphSource, TextDirection, text_direction};
pub use language::Language;
pub use page_layout::{
    Columns, ColumnsReason, Confidence, Divide, LayoutRule, PageLayout, ParseWhenError, Region, When,
};
pub use pixels::{Pixels, white_canvas};
pub use rotation::{Rotation, Skew};
pub use scale::{ScaleError, catmull_rom, lanczos};
pub use size::{Grid, PixelSize};
pub use turn_proposal::{Evidence, Proof, TurnPlace, TurnProofs, TurnProposal};
pub use view::{ParseViewError, View};
