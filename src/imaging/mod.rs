//! Pages to images: PDFium in a pool of child processes, sizes by the engine's rule, halves, PNG.
//!
//! Knows no engine; obeys [`crate::model::ImageRule`]. PDFium is not thread-safe and its input is hostile, so it
//! runs in `bocr render-child` processes with limits of time and memory: what a page does to one costs that page.

mod child;
mod child_supervisor;
mod clean;
mod cut;
mod diagnosis;
mod encode;
mod filled;
mod library;
mod overlay;
mod page;
mod pdfium;
mod pixels;
mod pool;
mod pool_event;
mod pool_settings;
mod preprocessing;
mod protocol;
mod remote;
mod render_failure;
mod scale;
mod size;
mod split_views;
mod straighten;
mod watched_file;

pub use child::{ChildError, serve as serve_child};
pub use clean::{clean, needs_cleaning};
pub use encode::png;
pub use library::{LibraryNotFound, PDFIUM_BUILD, find_library};
pub use overlay::overlay;
pub use pdfium::{Drawing, LoadLibraryError, OpenDocument, Renderer};
pub use pixels::Pixels;
pub use pool::{DrawnPage, DrawnPart, Pool, RenderJob};
pub use pool_settings::PoolSettings;
pub use protocol::Refusal;
pub use remote::StartError;
pub use render_failure::RenderFailure;
pub use size::{PageSize, Target};
