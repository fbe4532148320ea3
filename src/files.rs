//! Small files that are replaced in one step.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Writes a file under another name, waits for the disk, and gives it its name: a reader sees all of it or none, also
/// after a power cut.
///
/// # Errors
/// The directory cannot be written.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
