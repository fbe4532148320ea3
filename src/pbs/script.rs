//! The script of a job, for OpenPBS and PBS Pro. It is meant to be readable.

use std::path::Path;

use super::{
    JobFile, JobFolder, Programs, ScriptError,
    quote::quote,
    values::{PbsWord, TOLERATE_NODE_FAILURES},
};

/// What PBS does with a job when a node other than its first is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostNodes {
    /// The script asks PBS to let the job go on.
    Tolerated,
    /// The script asks for nothing. PBS kills the job after some minutes (`docs/facts/pbs.md`, "Lost nodes").
    AsPbsDecides,
}

/// The script of this job.
///
/// # Errors
/// A path cannot be written into a `#PBS` line or a bash script.
pub fn script(job: &JobFile, programs: &Programs, lost_nodes: LostNodes) -> Result<String, ScriptError> {
    let folder = JobFolder::of(&job.run);
    // A login shell, because many sites define `module` in login shells only.
    let mut text = String::from("#!/bin/bash -l\n");
    for line in directives(job, &folder, lost_nodes)? {
        text += &format!("#PBS {line}\n");
    }
    let (made_of, run) = (quoted(&job.path)?, quoted(&job.run)?);
    text += &format!("# Reads into {run}.\n# Written by `bocr submit` from {made_of}: edit that file.\n\n");
    text += &format!("# Relative paths of the configuration begin here.\ncd {} || exit\n\n", quoted(&job.folder)?);
    if let Some(setup) = &job.setup {
        text += &format!("{BEFORE_SETUP}{setup}\n{AFTER_SETUP}\n");
    }
    Ok(text + &command(job, &folder, programs)?)
}

/// If the set-up lines end the job, their exit code must not be taken for that of the run. A signal keeps its code.
const BEFORE_SETUP: &str = "\
# An `exit` in `setup` ends the job with 2, and not as a run ends.
trap 'code=$?; [ $code -le 128 ] || exit $code; echo \"bocr: setup of the job file ended the job with exit code $code, \
before the run\" >&2; exit 2' EXIT
";

const AFTER_SETUP: &str = "trap - EXIT\n";

/// The `#PBS` lines, without `#PBS`.
fn directives(job: &JobFile, folder: &JobFolder, lost_nodes: LostNodes) -> Result<Vec<String>, ScriptError> {
    let mut lines = vec![format!("-N {}", job.name)];
    for (option, value) in [
        ("-q ", text_of(&job.queue)),
        ("-l select=", Some(job.select.to_string())),
        ("-l place=", text_of(&job.place)),
        ("-l walltime=", text_of(&job.walltime)),
        ("-A ", text_of(&job.account)),
        ("-M ", text_of(&job.mail)),
        ("-m ", text_of(&job.mail_on)),
        ("-r ", Some(if job.rerunnable { "y" } else { "n" }.into())),
    ] {
        lines.extend(value.map(|value| format!("{option}{value}")));
    }
    // Both outputs go into one file, which is written live into the folder of -o (`docs/facts/pbs.md`, "Output").
    lines.extend(["-j oe".to_owned(), "-k oed".to_owned(), format!("-o {}/", in_directive(job, &folder.outputs())?)]);
    if lost_nodes == LostNodes::Tolerated {
        lines.push(format!("-W {TOLERATE_NODE_FAILURES}=all"));
    }
    lines.extend(job.options.iter().map(ToString::to_string));
    Ok(lines)
}

fn text_of(value: &Option<impl ToString>) -> Option<String> {
    value.as_ref().map(ToString::to_string)
}

/// A path in the run directory for a `#PBS` line. PBS would read a path with a colon as a host and a path.
fn in_directive(job: &JobFile, path: &Path) -> Result<PbsWord, ScriptError> {
    let word = text(path)?.parse().ok().filter(|_| !path.as_os_str().as_encoded_bytes().contains(&b':'));
    word.ok_or_else(|| ScriptError::RunDirectory(job.run.clone()))
}

fn command(job: &JobFile, folder: &JobFolder, programs: &Programs) -> Result<String, ScriptError> {
    let mut command = Command(format!("exec {}", quoted(&programs.pbs_job)?));
    command.path("--bocr", &programs.bocr)?;
    for (option, value) in [("--mpirun", &job.mpirun), ("--mpirun-options", &job.mpirun_options)] {
        if let Some(value) = value {
            command.option(option, &quote(value)?);
        }
    }
    if let Some(walltime) = job.walltime {
        command.option("--walltime", &walltime.to_string());
    }
    if job.chain > 0 {
        command.option("--chain", &job.chain.to_string());
    }
    command.word("--");
    job.kind.words().iter().for_each(|word| command.word(word));
    for (option, paths) in [("--input", &job.input), ("--list", &job.list)] {
        for path in paths {
            command.path(option, path)?;
        }
    }
    command.path("--output", &job.run)?;
    command.path("--config", &folder.configuration())?;
    for argument in &job.arguments {
        command.word(&quote(argument)?);
    }
    Ok(command.0 + "\n")
}

/// A command with one option on each line.
struct Command(String);

impl Command {
    fn word(&mut self, word: &str) {
        self.0 += " \\\n    ";
        self.0 += word;
    }

    fn option(&mut self, name: &str, quoted: &str) {
        self.word(&format!("{name} {quoted}"));
    }

    fn path(&mut self, name: &str, path: &Path) -> Result<(), ScriptError> {
        self.option(name, &quoted(path)?);
        Ok(())
    }
}

fn text(path: &Path) -> Result<&str, ScriptError> {
    path.to_str().ok_or_else(|| ScriptError::NoText(path.to_owned()))
}

fn quoted(path: &Path) -> Result<String, ScriptError> {
    Ok(quote(text(path)?)?)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    fn programs() -> Programs {
        Programs { bocr: PathBuf::from("/bo/bocr"), pbs_job: PathBuf::from("/bo/scripts/pbs-job") }
    }

    fn job(table: &str) -> JobFile {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.toml");
        fs::write(&path, format!("[job]\ngpus = 1\ncores = 20\n{table}")).unwrap();
        let job = JobFile::read(&path).unwrap();
        JobFile { path: "/home/me/job.toml".into(), folder: "/home/me".into(), ..job }
    }

    #[test]
    fn a_job_may_be_an_experiment() {
        let table =
            "kind = \"scaling\"\nrun = \"/runs/curve\"\ninput = [\"/bo\"]\narguments = [\"--pages\", \"600\"]\n";
        let script = script(&job(table), &programs(), LostNodes::AsPbsDecides).unwrap();
        let words = script.split_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ");
        assert!(words.contains(" -- experiment scaling --input /bo --output /runs/curve --config "), "{words}");
        assert!(words.ends_with(" --pages 600"), "{words}");
    }

    #[test]
    fn a_script_says_what_was_asked_for_and_runs_one_command() {
        let job = job(
            "run = \"/runs/all\"\ninput = [\"/bo/1912 fr\"]\nnodes = 4\nmemory = \"180gb\"\nqueue = \"gpu_1d\"\n\
             walltime = \"23:30:00\"\naccount = \"bo\"\nmail = \"me@example.org\"\nmail_on = \"ae\"\nchain = 2\n\
             options = [\"-W umask=022\"]\nsetup = \"\"\"module load openmpi\"\"\"\narguments = [\"--retry\", \"failed\"]\n",
        );
        let expected = "\
#!/bin/bash -l
#PBS -N bocr-all
#PBS -q gpu_1d
#PBS -l select=4:ncpus=20:mem=180gb:ngpus=1:mpiprocs=1
#PBS -l place=scatter
#PBS -l walltime=23:30:00
#PBS -A bo
#PBS -M me@example.org
#PBS -m ae
#PBS -r y
#PBS -j oe
#PBS -k oed
#PBS -o /runs/all/job/output/
#PBS -W tolerate_node_failures=all
#PBS -W umask=022
# Reads into /runs/all.
# Written by `bocr submit` from /home/me/job.toml: edit that file.

# Relative paths of the configuration begin here.
cd /home/me || exit

# An `exit` in `setup` ends the job with 2, and not as a run ends.
trap 'code=$?; [ $code -le 128 ] || exit $code; echo \"bocr: setup of the job file ended the job with exit code $code, before the run\" >&2; exit 2' EXIT
module load openmpi
trap - EXIT

exec /bo/scripts/pbs-job \\
    --bocr /bo/bocr \\
    --walltime 23:30:00 \\
    --chain 2 \\
    -- \\
    --input '/bo/1912 fr' \\
    --output /runs/all \\
    --config /runs/all/job/job.toml \\
    --retry \\
    failed
";
        assert_eq!(script(&job, &programs(), LostNodes::Tolerated).unwrap(), expected);
    }

    #[test]
    fn a_run_directory_that_no_pbs_line_carries_is_refused_with_the_remedy() {
        for run in ["/runs/of 1912", "/runs/العربية", "/runs/a:b", "/runs/$(x)"] {
            let job = job(&format!("run = \"{run}\"\ninput = [\"x\"]\n"));
            let error = script(&job, &programs(), LostNodes::AsPbsDecides).unwrap_err().to_string();
            assert!(error.contains(run) && error.contains("symbolic link"), "{error}");
        }
        let job = job("run = \"/runs/all\"\ninput = [\"a\\nb\"]\n");
        assert!(script(&job, &programs(), LostNodes::AsPbsDecides).unwrap_err().to_string().contains("rename it"));
    }
}
