//! Layout analysis of a page: ink, columns, rotated content, skew, script.
//!
//! Pure functions from the grey levels of a page to decisions. The module depends neither on PDFium nor on engines, so
//! that the renderer and the stand-in server analyse a page in the same way.

mod bits;
mod columns;
mod ink;
mod letters;
mod marks;
mod mask;
mod samples;
mod script;
mod sheet;
mod skew;
mod text_ink;
mod turned;

pub use bits::Bits;
pub use columns::columns;
pub use ink::Ink;
pub use marks::{extent, for_each_mark};
pub use samples::{Sample, samples};
pub use script::{Script, script};
pub use sheet::Sheet;
pub use skew::skew;
pub use text_ink::letter_within;
pub use turned::{page_turn, turned_region};
