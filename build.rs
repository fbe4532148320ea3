//! Gives the program the id of its build, `BOCR_BUILD`: a digest of its sources, its dependencies, the compiler and its
//! settings. Ranks compare it, and every record's file has it. It needs no git, and equal sources that are built alike
//! on two machines have the same id.

use std::{
    collections::BTreeMap,
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// What the program is built from. Tests and documents are not among it: they do not change the program.
const SOURCES: [&str; 5] = ["Cargo.toml", "Cargo.lock", "build.rs", "src", "crates"];

/// Variables with which Cargo describes a build.
const SETTINGS: [&str; 6] = ["TARGET", "PROFILE", "OPT_LEVEL", "DEBUG", "CARGO_CFG_FEATURE", "CARGO_ENCODED_RUSTFLAGS"];

fn main() -> io::Result<()> {
    let mut files = BTreeMap::new();
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
        collect(Path::new(source), &mut files)?;
    }
    let mut digest = DefaultHasher::new();
    files.hash(&mut digest);
    SETTINGS.map(env::var_os).hash(&mut digest);
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Command::new(compiler).arg("-vV").output()?.stdout.hash(&mut digest);
    println!("cargo:rustc-env=BOCR_BUILD={:016x}", digest.finish());
    Ok(())
}

/// Adds the files at or below a path, with their contents.
fn collect(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else {
        files.insert(path.to_owned(), fs::read(path)?);
    }
    Ok(())
}
