//! A log that cannot be written holds up no rank.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Command, Stdio},
};

use rustix::fs::OFlags;

use crate::run_support::{Bench, Killed, until};

/// Fills a pipe that nobody reads, and keeps it open: whoever writes into it hangs.
fn filled(pipe: &Path) -> File {
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    let mut file = File::options().read(true).write(true).custom_flags(nonblocking).open(pipe).unwrap();
    let end = loop {
        if let Err(end) = file.write_all(&[b'\n'; 4096]) {
            break end;
        }
    };
    assert_eq!(end.kind(), ErrorKind::WouldBlock);
    file
}

/// The log of rank 1 is a pipe that is full: like a file on a file system that hangs.
#[test]
fn logs_that_hang_hold_up_no_rank() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf", "pages/scan_fr.pdf", "pages/digital_ar.pdf"]);
    let (run, configuration) = (bench.run_directory(), bench.instant_configuration(""));
    fs::create_dir_all(run.join("logs")).unwrap();
    let log = run.join("logs/rank-0001.log");
    assert!(Command::new("mkfifo").arg(&log).status().unwrap().success());
    let _unread = filled(&log);
    let arguments =
        ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()];
    let mut command = bench.mpirun(2, &arguments);
    let stdio = || Stdio::from(File::create(bench.path("output")).unwrap());
    let mut ranks = Killed(command.stdout(stdio()).stderr(stdio()).spawn().unwrap());
    let mut status = None;
    until("the run has ended", || {
        status = ranks.0.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0), "{}", fs::read_to_string(bench.path("output")).unwrap());
    bench.assert_verified();
}
