//! Finds libpdfium.

use std::{
    env, fmt, io,
    path::{Path, PathBuf},
};

/// The PDFium build whose functions this program binds. All symbols are resolved when the library is loaded, and almost
/// every release of PDFium removes some, so another build fails to load.
pub const PDFIUM_BUILD: u32 = 8149;

/// File name of the library.
const FILE_NAME: &str = "libpdfium.so";
/// Where `scripts/setup` puts the library, relative to the project.
const PROJECT_PATH: &str = ".deps/pdfium/libpdfium.so";

/// libpdfium was not found.
#[derive(Debug, thiserror::Error)]
#[error(
    "no {FILE_NAME} (PDFium build {PDFIUM_BUILD}) at {}; take it from the pypdfium2 5.15.2 wheel and \
     give its path as `pdfium` in the configuration or as PDFIUM_LIB in the environment, or run scripts/setup",
    Places(looked)
)]
pub struct LibraryNotFound {
    /// The paths that were tried.
    looked: Vec<PathBuf>,
}

struct Places<'a>(&'a [PathBuf]);

impl fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<_> = self.0.iter().map(|path| path.display().to_string()).collect();
        f.write_str(&places.join(", "))
    }
}

/// Finds libpdfium: at the configured path, else at `PDFIUM_LIB`, else beside the program, else in `.deps` of a parent
/// folder of the program or of the current directory. If a path is given and the library is not there, no other place
/// is searched.
///
/// # Errors
/// The library is at none of the places; the error names them.
pub fn find_library(configured: Option<&Path>) -> Result<PathBuf, LibraryNotFound> {
    let variable = env::var_os("PDFIUM_LIB").filter(|value| !value.is_empty()).map(PathBuf::from);
    let program = env::current_exe().and_then(|path| path.canonicalize());
    find_among(configured.map(Path::to_owned).or(variable), &program, &env::current_dir())
}

fn find_among(
    named: Option<PathBuf>,
    program: &io::Result<PathBuf>,
    current: &io::Result<PathBuf>,
) -> Result<PathBuf, LibraryNotFound> {
    let looked = match named {
        Some(path) => vec![if path.is_dir() { path.join(FILE_NAME) } else { path }],
        None => {
            let beside = program.iter().filter_map(|path| path.parent()).map(|folder| folder.join(FILE_NAME));
            let above_program = program.iter().flat_map(|path| path.ancestors().skip(1));
            let above_current = current.iter().flat_map(|path| path.ancestors());
            beside.chain(above_program.chain(above_current).map(|folder| folder.join(PROJECT_PATH))).collect()
        }
    };
    match looked
        .iter()
        .find(|path| path.is_file())
        .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()))
    {
        Some(path) => Ok(path),
        None => Err(LibraryNotFound { looked }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_named_path_wins_then_beside_the_binary_then_upwards() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let program = root.join("project/target/debug/bocr");
        let [named, beside, above] = [
            root.join("elsewhere/pdfium.so"),
            program.with_file_name(FILE_NAME),
            root.join("project").join(PROJECT_PATH),
        ];
        for path in [&named, &beside, &above] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let find = |named: Option<&PathBuf>| find_among(named.cloned(), &Ok(program.clone()), &Ok(root.to_owned()));
        assert_eq!(find(Some(&named)).unwrap(), named);
        assert_eq!(find(None).unwrap(), beside);
        fs::remove_file(&beside).unwrap();
        assert_eq!(find(None).unwrap(), above);
    }

    #[test]
    fn a_named_path_that_is_absent_is_an_error_with_the_remedy() {
        let error = find_library(Some(Path::new("/nowhere/libpdfium.so"))).unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/libpdfium.so") && error.contains("8149") && error.contains("PDFIUM_LIB"),
            "{error}"
        );
    }
}
