//! The family of an mpirun, and how it reaches other hosts.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{LaunchError, programs::find_program, remote_shell::RemoteShell};
use crate::sys::{self, is_program};

/// Time limit for a program to print its version. On a cluster the program may come over a slow network.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Family of an mpirun: it determines the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Open MPI of this major version.
    OpenMpi(u32),
    /// MPICH, whose mpirun is called Hydra.
    Hydra,
}

/// An mpirun, with everything that its command lines depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mpirun {
    pub(super) program: PathBuf,
    pub(super) family: Family,
    /// Command that starts a command on a host: `AGENT HOST COMMAND…`. `None` if mpirun has its own way.
    pub(super) agent: Option<String>,
    /// Whether PBS starts the processes, through mpirun's support for PBS.
    pub(super) is_started_by_pbs: bool,
    /// Number of physical cores of this host, which Open MPI counts as slots; 0 if unknown.
    pub(super) cores: usize,
}

impl Mpirun {
    /// Runs `program --version`, and determines how commands reach hosts: `None` if there is no way.
    ///
    /// # Errors
    /// Its family is unknown.
    pub(super) fn inspect(
        program: PathBuf,
        agent: Option<String>,
    ) -> Result<(Mpirun, Option<RemoteShell>), LaunchError> {
        let version = output_of(Command::new(&program).arg("--version"));
        let Some(family) = family_of(&version) else {
            let said = version.lines().next().unwrap_or_default().to_owned();
            return Err(LaunchError::UnknownMpirun { program, said });
        };
        let is_in_job = |variable: &str| env::var_os(variable).is_some_and(|job| !job.is_empty());
        let is_open_mpi = matches!(family, Family::OpenMpi(_));
        let is_started_by_pbs = agent.is_none() && is_open_mpi && is_in_job("PBS_JOBID") && knows_pbs(&program);
        let way = match &agent {
            Some(agent) => Some(RemoteShell::by_agent(agent)),
            None if is_started_by_pbs => find_tmrsh().map(RemoteShell::by_pbs),
            None if is_in_job("SLURM_JOB_ID") => None,
            None => Some(RemoteShell::by_ssh()),
        };
        Ok((Mpirun { program, family, agent, is_started_by_pbs, cores: count_cores() }, way))
    }
}

/// Output of a command, or the reason why there is none.
fn output_of(command: &mut Command) -> String {
    match sys::answer(command, ANSWER_LIMIT) {
        Ok(output) => [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat(),
        Err(error) => error.to_string(),
    }
}

fn family_of(version: &str) -> Option<Family> {
    if let Some((_, rest)) = version.split_once("(Open MPI) ") {
        let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        if let Ok(major) = rest[..end].parse() {
            return Some(Family::OpenMpi(major));
        }
    }
    version.contains("HYDRA").then_some(Family::Hydra)
}

/// Whether this mpirun of Open MPI can start processes through PBS.
fn knows_pbs(mpirun: &Path) -> bool {
    // prte_info belongs to Open MPI 5.
    ["ompi_info", "prte_info"].into_iter().any(|name| {
        let info = mpirun.with_file_name(name);
        is_program(&info) && output_of(Command::new(info).arg("--parsable")).contains("plm:tm:")
    })
}

/// The remote shell of PBS. Processes that PBS starts on other hosts do not have PBS's own folder in their `PATH`.
fn find_tmrsh() -> Option<PathBuf> {
    const NAME: &str = "pbs_tmrsh";
    if let Some(path) = find_program(Path::new(NAME)) {
        return Some(path);
    }
    let configuration = env::var_os("PBS_CONF_FILE").unwrap_or_else(|| "/etc/pbs.conf".into());
    let folder = pbs_folder(&fs::read_to_string(configuration).ok()?)?;
    Some(folder.join("bin").join(NAME)).filter(|path| is_program(path))
}

fn pbs_folder(configuration: &str) -> Option<PathBuf> {
    let values = configuration.lines().filter_map(|line| line.split_once('='));
    let mut folders = values.filter(|(name, _)| name.trim() == "PBS_EXEC");
    folders.next_back().map(|(_, value)| PathBuf::from(value.trim().trim_matches('"')))
}

fn count_cores() -> usize {
    let listed = sys::answer(Command::new("lscpu").arg("--parse=CORE,SOCKET"), ANSWER_LIMIT);
    listed.map_or(0, |output| distinct_cores(&String::from_utf8_lossy(&output.stdout)))
}

/// The list has one line per thread: core and socket.
fn distinct_cores(list: &str) -> usize {
    list.lines().filter(|line| !line.starts_with('#')).collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_recognised_by_their_versions() {
        let open_mpi = "mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n";
        assert_eq!(family_of(open_mpi), Some(Family::OpenMpi(4)));
        assert_eq!(family_of("mpirun (Open MPI) 5.0.7rc1\n"), Some(Family::OpenMpi(5)));
        assert_eq!(family_of("HYDRA build details:\n    Version: 4.0.2\n"), Some(Family::Hydra));
        assert_eq!(family_of("Intel(R) MPI Library for Linux* OS"), None);
    }

    #[test]
    fn the_folder_of_pbs_is_read_from_its_configuration() {
        let folder = |text: &str| pbs_folder(text);
        assert_eq!(folder("PBS_SERVER=a\nPBS_EXEC = \"/opt/pbs\"\n"), Some("/opt/pbs".into()));
        assert_eq!(folder("#PBS_EXEC=/no\nPBS_EXEC=/opt/pbs/\n"), Some("/opt/pbs/".into()));
        assert_eq!(folder("PBS_HOME=/var\n"), None);
    }

    #[test]
    fn threads_of_one_core_count_once() {
        assert_eq!(distinct_cores("# CORE,SOCKET\n0,0\n0,0\n1,0\n0,1\n"), 3);
    }
}
