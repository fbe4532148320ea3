//! Renders pages to images: PDFium in a pool of child processes, image sizes by the rule of the engine.
//!
//! The module depends on no engine, only on [`crate::model::ImageRule`]. PDFium is not thread-safe and its input is
//! hostile, so it runs in `bocr render-child` processes with limits of time and memory: if a page crashes a process,
//! only that page fails.

mod child;
mod child_supervisor;
mod content;
mod damage;
mod diagnosis;
mod filled;
mod fonts;
mod glyphs;
mod library;
mod overlay;
mod page;
mod pdfium;
mod pool;
mod pool_event;
mod pool_settings;
mod protocol;
mod remote;
mod render_failure;
mod size;
mod turn_prover;
mod watched_file;

pub use child::{ChildError, serve as serve_child};
pub use library::{LibraryNotFound, PDFIUM_BUILD, find_library};
pub use overlay::overlay;
pub use pdfium::{LoadLibraryError, OpenDocument, RenderTask, Renderer};
pub use pool::{EncodedPage, EncodedPart, Pool, RenderJob};
pub use pool_settings::PoolSettings;
pub use protocol::Refusal;
pub use remote::StartError;
pub use render_failure::RenderFailure;
pub use size::{PageSize, Target};
pub use turn_prover::{Readings, TurnCheck};
