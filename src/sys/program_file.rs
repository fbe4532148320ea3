//! Whether a file is a program.

use std::path::Path;

use rustix::fs::{Access, access};

/// Whether this is a file that this user can run.
pub fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}
