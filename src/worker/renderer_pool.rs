//! The renderer children of a rank.

use std::path::Path;

use super::error::WorkerError;
use crate::{
    imaging::{Pool, PoolSettings, find_library},
    model::configuration::Configuration,
};

/// Starts the renderer children of a rank with this many cores.
///
/// # Errors
/// PDFium was not found, or the children cannot be started.
pub(crate) async fn renderer_pool(
    program: &Path,
    configuration: &Configuration,
    cores: usize,
) -> Result<Pool, WorkerError> {
    let pdfium = find_library(configuration.pdfium.as_deref())?;
    let settings = PoolSettings::new(program.to_owned(), pdfium, &configuration.imaging, cores);
    Ok(Pool::start(settings).await?)
}
