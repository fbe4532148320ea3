//! The environment of child processes, for every room that starts one.
//!
//! A child of an MPI rank that inherits the launcher's variables believes that it is a rank itself: MPI-aware
//! programs die in their initialisation, and machine-learning frameworks guess a world size from them.

use std::{
    env,
    ffi::OsStr,
    io,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Variables with these prefixes belong to an MPI launcher. Those of PBS are kept.
const LAUNCHER_PREFIXES: [&str; 13] = [
    "OMPI_", "PMIX_", "PMI_", "PRTE_", "ORTE_", "OPAL_", "HYD", "MPI_", "MPIR_", "MPIEXEC_", "PALS_", "SLURM_",
    "MASTER_",
];

/// Variables with these names tell a framework its place among ranks.
const RANK_VARIABLES: [&str; 3] = ["RANK", "LOCAL_RANK", "WORLD_SIZE"];

/// PBS sets it to the cores of the job (facts on OpenPBS, measured behaviour), of which each child has a share only.
const THREADS_VARIABLE: &str = "OMP_NUM_THREADS";

/// Whether a variable tells a process that it is an MPI rank.
pub fn is_launcher_variable(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    LAUNCHER_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
        || RANK_VARIABLES.iter().any(|variable| name == variable.as_bytes())
}

/// Removes the launcher's variables from the environment that `command` will inherit, and the job's number of threads.
pub fn scrub_environment(command: &mut Command) {
    for (name, _) in env::vars_os().filter(|(name, _)| is_launcher_variable(name)) {
        command.env_remove(name);
    }
    command.env_remove(THREADS_VARIABLE);
}

/// What a program answers that says little and ends soon; one that does not is killed.
///
/// # Errors
/// It cannot be started, or has not ended after `limit`.
pub fn answer(command: &mut Command, limit: Duration) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let last = Instant::now() + limit;
    // An answer of some kilobytes fits into the pipe.
    while child.try_wait()?.is_none() {
        if Instant::now() >= last {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {limit:?}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output()
}

#[cfg(test)]
mod tests {
    use super::*;

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
