//! Ranks of different builds do not work together, and every record says which build wrote it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::run_support::{Bench, text};
use bulletin_ocr::{store::ShardReader, sys::PROGRAM_VERSION};

/// The program as another build would be: the same version, another build id.
fn other_build(bench: &Bench) -> PathBuf {
    let (_, id) = PROGRAM_VERSION.split_once('+').unwrap();
    let mut program = fs::read(env!("CARGO_BIN_EXE_bocr")).unwrap();
    let places: Vec<usize> =
        program.windows(id.len()).enumerate().filter(|(_, bytes)| *bytes == id.as_bytes()).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        program[at..at + id.len()].fill(b'0');
    }
    let path = bench.path("other-bocr");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[test]
fn ranks_of_different_builds_are_refused() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf"]);
    let (run, configuration) = (bench.run_directory(), bench.instant_configuration(""));
    let words = |path: &Path| path.to_str().unwrap().to_owned();
    let arguments =
        ["run".into(), "-i".into(), words(&input), "-o".into(), words(&run), "-c".into(), words(&configuration)];
    let mut command = bench.mpirun(1, &arguments.each_ref().map(String::as_str));
    command.args([":", "-n", "1", "--bind-to", "none", "--oversubscribe"]).arg(other_build(&bench)).args(&arguments);
    let output = command.output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("rank 1") && said.contains("runs bocr 0.1.0+00000000"), "{said}");
    assert!(said.contains(&format!("rank 0 runs {PROGRAM_VERSION}")), "{said}");
    bench.assert_nothing_left();
}

#[test]
fn the_version_and_every_shard_name_the_build() {
    let bench = Bench::new();
    let version = bench.bocr(&["--version"]).output().unwrap();
    assert_eq!(text(&version).trim(), format!("bocr {PROGRAM_VERSION}"));
    let input = bench.inputs(&["pages/digital_fr.pdf"]);
    let (run, configuration) = (bench.run_directory(), bench.instant_configuration(""));
    let arguments =
        ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()];
    let output = bench.bocr(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let shard = ShardReader::open(&run.join("store/shard-00000-0000.h5")).unwrap();
    assert_eq!(shard.opening().unwrap().provenance.program_version, PROGRAM_VERSION);
}
