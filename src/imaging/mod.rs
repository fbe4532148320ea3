//! Pages to images: PDFium in a pool of child processes, sizes by the engine's rule, halves, PNG, the blank test.
//!
//! Knows no engine; obeys [`crate::model::ImageRule`]. PDFium is not thread-safe and its input is hostile, so it
//! runs in `bocr render-child` processes with limits of time and memory: what a page does to one costs that page.

mod attend;
mod blank;
mod child;
mod clean;
mod encode;
mod halves;
mod library;
mod pdfium;
mod pixels;
mod pool;
mod protocol;
mod remote;
mod size;
mod symptom;
mod watched_file;

pub use blank::Ink;
pub use child::{ChildError, serve as serve_child};
pub use clean::{clean, needs_cleaning};
pub use encode::png;
pub use library::{LibraryNotFound, PDFIUM_BUILD, find_library};
pub use pdfium::{Drawing, LoadLibraryError, OpenDocument, Renderer};
pub use pixels::Pixels;
pub use pool::{PageImage, Pool, PoolSettings, RenderFailure, RenderJob};
pub use protocol::Refusal;
pub use remote::StartError;
pub use size::{PageSize, Target};
