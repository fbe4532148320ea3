//! Programs on the `PATH`.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::sys::is_program;

/// Finds a program as a shell does: on the `PATH`, or at the path if the name has a slash. `None` if there is no
/// executable file.
pub(super) fn find_program(name: &Path) -> Option<PathBuf> {
    if name.as_os_str().as_encoded_bytes().contains(&b'/') {
        return Some(name.to_owned()).filter(|path| is_program(path));
    }
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| is_program(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        let shell = find_program(Path::new("sh")).unwrap();
        assert_eq!(find_program(&shell), Some(shell));
        assert_eq!(find_program(Path::new("no-such-program")), None);
        assert_eq!(find_program(Path::new("/etc/passwd")), None);
    }
}
