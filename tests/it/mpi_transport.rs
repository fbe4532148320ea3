//! The MPI transport under mpirun: this test program starts itself as its ranks.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    env, fs,
    process::{Command, Stdio},
};

use bulletin_ocr::{
    comm::{MpiTransport, Transport, launched_by_mpi},
    model::RankId,
};
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::run_support::{Killed, until};

const STOPPED_PEER: &str = "mpi_transport::a_peer_that_stops_in_the_middle_of_a_frame_holds_up_no_other";

/// Larger than what MPI sends without asking the receiver.
const LARGE: usize = 4 << 20;

/// Frames that another rank sends meanwhile.
const MEANWHILE: u32 = 1000;

fn next(transport: &mut MpiTransport) -> (RankId, Vec<u8>) {
    loop {
        transport.progress();
        if let Some(arrived) = transport.receive() {
            return arrived;
        }
        std::thread::yield_now();
    }
}

/// Rank 1 stops as soon as it has begun to send a large frame. Rank 2 sends frames that rank 0 must still receive.
fn rank() {
    let mut transport = MpiTransport::start().unwrap();
    match transport.rank().0 {
        0 => coordinate(&mut transport),
        1 => {
            let process = getpid().as_raw_nonzero().get();
            transport.send(RankId(0), process.to_le_bytes().into());
            assert_eq!(next(&mut transport).1, [1], "the connection is there");
            transport.send(RankId(0), vec![7; LARGE]);
            transport.send(RankId(0), vec![8]);
            kill_process(getpid(), Signal::STOP).unwrap();
        }
        _ => {
            while next(&mut transport).1 == [1] {
                transport.send(RankId(0), vec![9]);
            }
        }
    }
    while !transport.progress() {}
}

fn coordinate(transport: &mut MpiTransport) {
    let (from, process) = next(transport);
    assert_eq!(from, RankId(1));
    let process = i32::from_le_bytes(process.try_into().unwrap());
    transport.send(RankId(1), vec![1]);
    let stopped = || fs::read_to_string(format!("/proc/{process}/stat")).unwrap().contains(") T ");
    until("rank 1 has stopped", || {
        transport.progress();
        stopped()
    });
    for _ in 0..MEANWHILE {
        transport.send(RankId(2), vec![1]);
        assert_eq!(next(transport), (RankId(2), vec![9]));
    }
    transport.send(RankId(2), vec![0]);
    kill_process(Pid::from_raw(process).unwrap(), Signal::CONT).unwrap();
    let (from, frame) = next(transport);
    assert!(from == RankId(1) && frame == vec![7; LARGE], "{} bytes of {from}", frame.len());
    assert_eq!(next(transport), (RankId(1), vec![8]), "frames of a sender stay in order");
}

#[test]
fn a_peer_that_stops_in_the_middle_of_a_frame_holds_up_no_other() {
    if launched_by_mpi() {
        return rank();
    }
    let mut command = Command::new("mpirun");
    // Through shared memory, the receiver would copy the frame without the help of the sender.
    command.args(["-n", "3", "--bind-to", "none", "--oversubscribe", "--mca", "btl", "tcp,self"]);
    command.arg(env::current_exe().unwrap()).args(["--exact", STOPPED_PEER]);
    command.envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")]);
    let mut ranks = Killed(command.stdin(Stdio::null()).spawn().unwrap());
    let mut ended = None;
    until("the ranks have ended", || {
        ended = ranks.0.try_wait().unwrap();
        ended.is_some()
    });
    assert!(ended.unwrap().success());
}
