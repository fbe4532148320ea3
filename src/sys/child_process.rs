//! Child processes: their environment, and commands whose output is read with a time limit.
//!
//! A child of an MPI rank that inherits the launcher's variables takes itself for a rank: MPI-aware programs fail in
//! their initialisation, and machine-learning frameworks take a world size from the variables.

use super::seconds_text;
use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{self, ErrorKind, Read, Seek},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Variables with these prefixes belong to an MPI launcher. The variables of PBS are not among them.
const LAUNCHER_PREFIXES: [&str; 13] = [
    "OMPI_", "PMIX_", "PMI_", "PRTE_", "ORTE_", "OPAL_", "HYD", "MPI_", "MPIR_", "MPIEXEC_", "PALS_", "SLURM_",
    "MASTER_",
];

/// Variables that give a framework its rank and the number of ranks.
const RANK_VARIABLES: [&str; 3] = ["RANK", "LOCAL_RANK", "WORLD_SIZE"];

/// PBS sets this variable to the number of cores of the job (`docs/facts/pbs.md`, "Environment of a job"); a child has
/// only a share of them.
const THREADS_VARIABLE: &str = "OMP_NUM_THREADS";

/// Whether a process with this variable takes itself for an MPI rank.
pub fn is_launcher_variable(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    LAUNCHER_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
        || RANK_VARIABLES.iter().any(|variable| name == variable.as_bytes())
}

/// Removes the launcher's variables and the job's number of threads from the environment that `command` inherits.
/// Variables that are set on `command` itself stay.
pub fn scrub_environment(command: &mut Command) {
    for (name, _) in env::vars_os().filter(|(name, _)| is_launcher_variable(name)) {
        command.env_remove(name);
    }
    command.env_remove(THREADS_VARIABLE);
}

/// Runs a short command and returns its output. Kills it if it has not ended within `limit`.
///
/// # Errors
/// The command cannot be run, or does not end in time.
pub fn answer(command: &mut Command, limit: Duration) -> io::Result<Output> {
    // Files and not pipes: a command with a long output would block on a full pipe that is not read.
    let [mut stdout, mut stderr] = [tempfile::tempfile()?, tempfile::tempfile()?];
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = command.spawn()?;
    let last = Instant::now() + limit;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() < last => std::thread::sleep(POLL_INTERVAL),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    format!("it did not answer within {}", seconds_text(limit)),
                ));
            }
        }
    };
    Ok(Output { status, stdout: content(&mut stdout)?, stderr: content(&mut stderr)? })
}

/// Pause between two checks whether a command has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

fn content(file: &mut File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_read_and_a_late_one_is_not_awaited() {
        let mut long = Command::new("sh");
        long.args(["-c", "head -c 300000 /dev/zero; echo why >&2; exit 3"]);
        let output = answer(&mut long, Duration::from_secs(60)).unwrap();
        assert_eq!((output.stdout.len(), &output.stderr[..], output.status.code()), (300_000, &b"why\n"[..], Some(3)));
        let error = answer(Command::new("sleep").arg("600"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn variables_of_launchers_go_and_those_of_the_user_stay() {
        let gone = "OMPI_COMM_WORLD_RANK PMIX_RANK PMI_FD PRTE_LAUNCHED HYDI_CONTROL_FD MPI_LOCALRANKID \
                    MPIR_CVAR_CH3_INTERFACE_HOSTNAME PALS_LOCAL_RANKID SLURM_LOCALID RANK LOCAL_RANK WORLD_SIZE MASTER_ADDR";
        for name in gone.split_whitespace() {
            assert!(is_launcher_variable(OsStr::new(name)), "{name}");
        }
        for name in ["PBS_JOBID", "PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "RANKING", "HF_HOME", "TMPDIR"] {
            assert!(!is_launcher_variable(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_command_keeps_its_own_variables() {
        let mut command = Command::new("true");
        command.env("BOCR_TEST_OWN", "1");
        scrub_environment(&mut command);
        assert!(command.get_envs().any(|(name, value)| name == "BOCR_TEST_OWN" && value.is_some()));
        assert!(command.get_envs().any(|(name, value)| name == "OMP_NUM_THREADS" && value.is_none()));
    }

    #[test]
    fn a_program_that_gives_no_answer_is_not_waited_for() {
        let output = answer(Command::new("echo").arg("two"), Duration::from_secs(60)).unwrap();
        assert_eq!(output.stdout, b"two\n");
        let error = answer(Command::new("sleep").arg("1000"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
