//! What lies where on a page: ink, columns, turned content, skew, script.
//!
//! Pure: the light and dark of a page in, decisions out. Knows neither PDFium nor engines nor the way a page came here, so
//! that the renderer and the stand-in server see a page with the same eyes.

mod bits;
mod columns;
mod ink;
mod letters;
mod marks;
mod mask;
mod script;
mod sheet;
mod skew;
mod text_ink;
mod turned;

pub use bits::Bits;
pub use columns::columns;
pub use ink::Ink;
pub use marks::{extent, for_each_mark};
pub use script::{Script, script};
pub use sheet::Sheet;
pub use skew::skew;
pub use text_ink::letter_within;
pub use turned::{page_turn, turned_region};
