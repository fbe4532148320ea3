//! The command line, environment and address of a server, from the configuration and the engine's profile.

use std::{
    collections::BTreeMap,
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    engine::{Dialect, Profile, ServerAddress, Since},
    model::{
        Role,
        configuration::{ServerSource, StandInMode},
    },
    node::NodePreparation,
    sys::random_hex,
};

use super::{
    folder::{FolderError, ServerFolder},
    launch_hash::LaunchHash,
    memory_share::MemoryShare,
};

/// Variable from which vLLM reads the key that requests below `/v1` must carry. Every user of the node can read a
/// command line, so the key is not an argument.
pub(super) const KEY_VARIABLE: &str = "VLLM_API_KEY";

/// The key of a server on a Unix socket, which only its user can reach. It is always the same, because vLLM before 0.30
/// hashes the key into the name of its compile cache (`docs/facts/vllm.md`, "Compile cache"): with a new key, each start
/// compiles anew.
const SOCKET_KEY: &str = "bulletin-ocr";

/// Variable with the GPUs that a process sees.
pub(super) const GPU_VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

/// Enables sleep mode in vLLM, together with [`DEV_MODE_VARIABLE`] (`docs/facts/vllm.md`, "Memory and sleep").
const SLEEP_FLAG: &str = "--enable-sleep-mode";

/// Opens the endpoints of sleep mode; also others that no other user should reach, so the server listens privately.
const DEV_MODE_VARIABLE: &str = "VLLM_SERVER_DEV_MODE";

/// Why a server cannot be launched as configured.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The command has neither placeholder.
    #[error(
        "the launch command of the profile {0} has neither {{socket}} nor {{port}}: add one, so that the server can be reached"
    )]
    NoAddress(String),
    /// No free port.
    #[error("cannot find a free port on 127.0.0.1")]
    Port(#[source] io::Error),
    /// There is no usable folder for the server's sockets.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The system gave no random numbers for a key or a name.
    #[error("cannot make a key and a name for the server: the system gave no random numbers")]
    Random(#[source] io::Error),
}

/// A command to run, and the address at which its server will answer.
#[derive(Debug)]
pub struct Launch {
    /// Path of the `bocr` program, which is run as the server's guard.
    pub guard: PathBuf,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables that are added to the environment of this process.
    pub environment: BTreeMap<String, String>,
    /// Where the server will answer.
    pub address: ServerAddress,
    /// Key that the server demands of its clients; also in `environment`.
    pub key: Option<String>,
    /// The server's folder; its guard makes it.
    pub folder: ServerFolder,
    /// Identifies the launch: equal for a server that an earlier attempt of the run started alike.
    pub hash: LaunchHash,
    /// Index or id of the GPU, put into `CUDA_VISIBLE_DEVICES`.
    pub gpu: Option<String>,
    /// Whether the server has sleep mode.
    pub sleeps: bool,
    /// The command with `{model}` not yet filled in.
    template: Vec<String>,
}

/// What this rank gives a server.
#[derive(Debug, Clone)]
pub struct Share {
    /// Path of the `bocr` program, which is also the stand-in and the guard.
    pub program: PathBuf,
    /// Processor cores that a stand-in may use.
    pub cores: usize,
    /// Index or id of the GPU, put into `CUDA_VISIBLE_DEVICES`.
    pub gpu: Option<String>,
    /// Preparation of the node before a model server is launched; `None` for a stand-in.
    pub preparation: Option<Arc<NodePreparation>>,
}

impl Launch {
    /// The launch of a server for `profile`; `folder` finds its folder. `None` where the configuration gives the URL of
    /// a server that already runs.
    ///
    /// The server answers on a Unix socket in a folder that only this user can enter, so neither ports nor users of a
    /// shared node collide. A configured command may ask for `{port}` instead.
    ///
    /// # Errors
    /// There is no folder, no free port or no key, or the command has neither `{socket}` nor `{port}`.
    pub fn new(
        source: &ServerSource,
        profile: &Profile,
        share: &Share,
        memory_share: MemoryShare,
        folder: impl FnOnce() -> Result<ServerFolder, FolderError>,
    ) -> Result<Option<Launch>, LaunchError> {
        let (mut template, mut environment, ours) = match source {
            ServerSource::Url { .. } => return Ok(None),
            ServerSource::StandIn { mode, faults, arguments } => {
                let mut words = stand_in(profile, *mode, faults.as_deref(), share);
                words.extend_from_slice(arguments);
                (words, BTreeMap::new(), true)
            }
            ServerSource::Launch { command, prefix, activate, environment } => {
                let mut words = activate.as_deref().map(activated_variables).unwrap_or_default();
                words.extend_from_slice(prefix);
                if command.is_none() {
                    words.extend(versioned_arguments(&profile.launch.since));
                }
                words.extend_from_slice(command.as_deref().unwrap_or(&profile.launch.command));
                let mut variables = profile.launch.environment.clone();
                variables.extend(environment.iter().map(|(name, value)| (name.clone(), value.0.clone())));
                (words, variables, command.is_none())
            }
        };
        if matches!(memory_share.role, Role::OneAtATime(_)) {
            enable_sleep(&mut template, &mut environment, ours);
        }
        let memory = memory_share.memory.to_string();
        let name = |word: &String| word.replace("{served_name}", &profile.served_name).replace("{memory}", &memory);
        let template: Vec<String> = template.iter().map(name).collect();
        let sleeps = has_sleep_flag(&template) && environment.get(DEV_MODE_VARIABLE).is_some_and(|value| value == "1");
        let model = share.preparation.as_ref().map_or(profile.model.as_str(), |preparation| preparation.model());
        let hash = LaunchHash::of(&with_model(&template, model), &environment, share.gpu.as_deref());
        let folder = folder()?;
        let socket = folder.socket(&random_hex(4).map_err(LaunchError::Random)?);
        let (mut address, mut port) = (ServerAddress::Unix(socket.clone()), String::new());
        if !template.iter().any(|word| word.contains("{socket}")) {
            if !template.iter().any(|word| word.contains("{port}")) {
                return Err(LaunchError::NoAddress(profile.name.clone()));
            }
            port = free_port()?.to_string();
            address = ServerAddress::Tcp(format!("http://127.0.0.1:{port}"));
        }
        // A server on a socket gets a key too: if the job's environment held one, vLLM would demand it and no client
        // would send it.
        let key = match (environment.get(KEY_VARIABLE), &address) {
            (Some(configured), _) => configured.clone(),
            (None, ServerAddress::Unix(_)) => SOCKET_KEY.to_owned(),
            (None, ServerAddress::Tcp(_)) => random_hex(24).map_err(LaunchError::Random)?,
        };
        environment.insert(KEY_VARIABLE.to_owned(), key.clone());
        let fill = |word: &String| word.replace("{socket}", &socket.to_string_lossy()).replace("{port}", &port);
        let template: Vec<String> = template.iter().map(fill).collect();
        let command = with_model(&template, model);
        let (guard, gpu) = (share.program.clone(), share.gpu.clone());
        Ok(Some(Launch { guard, command, environment, address, key: Some(key), folder, hash, gpu, sleeps, template }))
    }

    /// Lets the server read its model from a copy in `folder`. The launch hash stays the same.
    pub(super) fn serve_from(&mut self, folder: &Path) {
        self.command = with_model(&self.template, &folder.to_string_lossy());
    }
}

/// Gives a server of a rank with role switches sleep mode. `ours` is a command of a profile or of the stand-in, which
/// all accept the flag. A command of the configuration must have the flag itself. A configured value "0" of
/// [`DEV_MODE_VARIABLE`] turns sleep mode off: the server is then ended at each switch away from its engine, and
/// started at the next.
fn enable_sleep(command: &mut Vec<String>, environment: &mut BTreeMap<String, String>, ours: bool) {
    if environment.get(DEV_MODE_VARIABLE).is_some_and(|value| value == "0") {
        return;
    }
    if ours && !has_sleep_flag(command) {
        command.push(SLEEP_FLAG.to_owned());
    }
    if has_sleep_flag(command) {
        environment.insert(DEV_MODE_VARIABLE.to_owned(), "1".to_owned());
    }
}

/// Searches within words too: a whole shell script is one word.
fn has_sleep_flag(command: &[String]) -> bool {
    command.iter().any(|word| word.contains(SLEEP_FLAG))
}

fn with_model(template: &[String], model: &str) -> Vec<String> {
    template.iter().map(|word| word.replace("{model}", model)).collect()
}

/// The command of a stand-in that speaks the profile's dialect and serves under the profile's name.
fn stand_in(profile: &Profile, mode: StandInMode, faults: Option<&Path>, share: &Share) -> Vec<String> {
    let mode = match mode {
        StandInMode::Tesseract => "tesseract",
        StandInMode::Synthetic => "synthetic",
    };
    let mut words: Vec<String> = vec![
        share.program.to_string_lossy().into_owned(),
        "stand-in".into(),
        "--speak".into(),
        profile.dialect.name().into(),
        "--mode".into(),
        mode.into(),
        "--uds".into(),
        "{socket}".into(),
        "--served-name".into(),
        "{served_name}".into(),
        "--max-model-len".into(),
        profile.context_length.to_string(),
    ];
    if let Some(scale) = profile.dialect.box_scale() {
        words.extend(["--box-scale".into(), scale.to_string()]);
    }
    if let Dialect::Markdown { front_matter: true, .. } = profile.dialect {
        words.push("--front-matter".into());
    }
    if mode == "tesseract" {
        words.extend(["--max-num-seqs".into(), share.cores.to_string()]);
    }
    if let Some(faults) = faults {
        words.extend(["--faults".into(), faults.to_string_lossy().into_owned()]);
    }
    words
}

/// The words before a command that let bash activate an environment first. Modules and Conda are functions of an
/// interactive or login shell. Not all of them work under `set -e`, so a failed line does not end the script: the error
/// shows when the command is not found.
///
/// The profile of a login shell may set `PATH` anew (Debian) while `LOADEDMODULES` stays, and `module load` then does
/// nothing for a module that the job has loaded. So the earlier `PATH` is put before that of the profile.
fn activated_variables(lines: &str) -> Vec<String> {
    const KEEP_PATH: &str = "BOCR_PATH=$PATH exec \"$@\"";
    let script = format!("PATH=$BOCR_PATH:$PATH\nunset BOCR_PATH\n{lines}\nexec \"$@\"");
    ["/bin/sh", "-c", KEEP_PATH, "sh", "/bin/bash", "-l", "-c", &script, "activate"].map(str::to_owned).into()
}

/// The words before a command of vLLM that let a shell add the arguments which its version knows. The version is that of
/// the package, by the Python interpreter beside the program: the program itself takes seconds to say it.
fn versioned_arguments(since: &[Since]) -> Vec<String> {
    if since.is_empty() {
        return Vec::new();
    }
    const VERSION: &str = "found=$(\"$(dirname \"$(command -v \"$1\")\")/python\" -c \
        'from importlib.metadata import version as v; print(v(\"vllm\"))') || found=0\n";
    let mut script = VERSION.to_owned();
    for Since { version, arguments } in since {
        let words: Vec<_> = arguments.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
        let (version, words) = (version.to_string(), words.join(" "));
        script += &format!(
            "if [ \"$(printf '%s\\n' {version} \"$found\" | sort -V | head -n 1)\" = {version} ]; then set -- \"$@\" {words}; fi\n"
        );
    }
    script += "exec \"$@\"";
    ["/bin/sh", "-c", &script, "sh"].map(str::to_owned).into()
}

fn free_port() -> Result<u16, LaunchError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(LaunchError::Port)?;
    listener.local_addr().map(|address| address.port()).map_err(LaunchError::Port)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, process::Command};

    use super::*;
    use crate::model::configuration::Secret;
    use crate::model::{Engine, EngineSet};

    #[test]
    fn a_module_of_the_job_is_found_though_the_profile_sets_the_path_anew() {
        let folder = tempfile::tempdir().unwrap();
        let server = folder.path().join("bin/some-server");
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::write(&server, "#!/bin/sh\necho \"$1 $ADDED ${BOCR_PATH-none}\"\n").unwrap();
        fs::set_permissions(&server, PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(folder.path().join(".bash_profile"), "PATH=/usr/bin:/bin\n").unwrap();
        let words = activated_variables("export ADDED=yes");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["some-server", "serve"]).env("HOME", folder.path());
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().join("bin").display()));
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "serve yes none\n", "{output:?}");
    }

    #[test]
    fn a_version_that_knows_an_argument_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        };
        program("vllm", "#!/bin/sh\necho \"$@\"\n");
        let arguments = ["--backend", "it's"].map(str::to_owned).into();
        let words = versioned_arguments(&[Since { version: "0.18.0".parse().unwrap(), arguments }]);
        for (found, expected) in [
            ("echo 0.17.1", "serve"),
            ("echo 0.18.0", "serve --backend it's"),
            ("echo 0.26.0+cu129", "serve --backend it's"),
            ("exit 1", "serve"),
        ] {
            program("python", &format!("#!/bin/sh\n{found}\n"));
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).args(["vllm", "serve"]);
            command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
            let output = command.output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{found}: {output:?}");
        }
    }

    fn share() -> Share {
        Share { program: "bocr".into(), cores: 2, gpu: Some("GPU-1".into()), preparation: None }
    }

    fn launch(source: &ServerSource, share: &Share) -> Result<Launch, LaunchError> {
        launch_as(source, share, MemoryShare { role: Role::One(Engine::FIRST), memory: 0.85 })
    }

    fn launch_as(source: &ServerSource, share: &Share, memory_share: MemoryShare) -> Result<Launch, LaunchError> {
        let folder = ServerFolder::at(Path::new("/tmp/bocr-0-run/chandra-0"));
        Launch::new(source, &profile(), share, memory_share, || Ok(folder)).map(|launch| launch.expect("a launch"))
    }

    /// The built-in profile's command.
    fn built_in(environment: &[(&str, &str)]) -> ServerSource {
        let secret = |(name, value): &(&str, &str)| ((*name).to_owned(), Secret((*value).to_owned()));
        let environment = environment.iter().map(secret).collect();
        ServerSource::Launch { command: None, prefix: Vec::new(), activate: None, environment }
    }

    fn command(words: &[&str]) -> ServerSource {
        let command = Some(words.iter().map(|word| (*word).to_owned()).collect());
        ServerSource::Launch { command, prefix: Vec::new(), activate: None, environment: BTreeMap::new() }
    }

    fn profile() -> Profile {
        Profile::load("chandra-2", None).unwrap()
    }

    #[test]
    fn the_stand_in_and_the_model_are_launched_alike() {
        let stand_in = launch(&ServerSource::default(), &share()).unwrap();
        assert!(stand_in.command.contains(&"stand-in".to_owned()));
        let source = ServerSource::Launch {
            command: None,
            prefix: vec!["env".into()],
            activate: None,
            environment: BTreeMap::new(),
        };
        let model = launch(&source, &share()).unwrap();
        assert_eq!(model.command[..2], ["env", "/bin/sh"]);
        assert!(model.command.windows(2).any(|words| words == ["vllm", "serve"]));
        assert!(model.command.contains(&"datalab-to/chandra-ocr-2".to_owned()));
        let uds = model.command.iter().position(|word| word == "--uds").unwrap();
        assert!(model.command[uds + 1].ends_with(".sock"));
        for launch in [stand_in, model] {
            let ServerAddress::Unix(socket) = &launch.address else { panic!("a socket") };
            assert!(launch.command.iter().any(|word| *word == socket.to_string_lossy()));
            assert!(!launch.command.iter().any(|word| word.contains('{') && !word.starts_with('{')), "{launch:?}");
            assert!(launch.key.is_some());
            assert!(!launch.folder.path().exists(), "a launch that comes to nothing leaves no folder");
        }
    }

    #[test]
    fn a_command_without_an_address_is_refused() {
        let error = launch(&command(&["vllm", "serve"]), &share()).unwrap_err().to_string();
        assert!(error.contains("{socket}"), "{error}");
    }

    #[test]
    fn a_server_on_a_port_has_a_key_that_only_its_environment_knows() {
        let source = command(&["vllm", "serve", "--port", "{port}"]);
        let (first, second) = (launch(&source, &share()).unwrap(), launch(&source, &share()).unwrap());
        let key = first.key.clone().unwrap();
        assert_eq!(first.environment.get(KEY_VARIABLE), Some(&key));
        assert!(key.len() >= 32 && !first.command.iter().any(|word| word.contains(&key)));
        assert_ne!(first.key, second.key);
        assert_eq!(first.hash, second.hash, "neither port nor key makes it another launch");
    }

    /// vLLM hashes its environment into the name of its compile cache.
    #[test]
    fn two_starts_on_a_socket_have_the_same_environment() {
        let [first, second] = [(), ()].map(|()| launch(&built_in(&[]), &share()).unwrap());
        assert_eq!(first.environment, second.environment);
        assert_ne!(first.address, second.address);
    }

    #[test]
    fn what_changes_the_server_makes_it_another_launch() {
        let first = launch(&command(&["vllm", "{socket}"]), &share()).unwrap().hash;
        let other_gpu = Share { gpu: None, ..share() };
        assert_eq!(launch(&command(&["vllm", "{socket}"]), &share()).unwrap().hash, first);
        assert_ne!(launch(&command(&["vllm", "-v", "{socket}"]), &share()).unwrap().hash, first);
        assert_ne!(launch(&command(&["vllm", "{socket}"]), &other_gpu).unwrap().hash, first);
    }

    #[test]
    fn the_share_of_the_memory_is_put_where_the_command_asks_for_it() {
        let share_of = |memory| MemoryShare { role: Role::Together(EngineSet::ANY), memory };
        let launch = launch_as(&built_in(&[]), &share(), share_of(0.6)).unwrap();
        let flag = launch.command.iter().position(|word| word == "--gpu-memory-utilization").unwrap();
        assert_eq!(launch.command[flag + 1], "0.6");
        assert_ne!(launch.hash, launch_as(&built_in(&[]), &share(), share_of(0.7)).unwrap().hash);
        let own = command(&["vllm", "{socket}", "--gpu-memory-utilization", "0.3"]);
        assert_eq!(launch_as(&own, &share(), share_of(0.6)).unwrap().command[3], "0.3");
    }

    #[test]
    fn servers_that_take_turns_sleep_where_their_command_can() {
        let sleeps = |source: &ServerSource, role| {
            let launch = launch_as(source, &share(), MemoryShare { role, memory: 0.85 }).unwrap();
            let flag = launch.command.iter().any(|word| word.contains(SLEEP_FLAG));
            let variable = launch.environment.get(DEV_MODE_VARIABLE).map(String::as_str) == Some("1");
            assert_eq!(launch.sleeps, flag && variable);
            launch.sleeps
        };
        let flagged = command(&["sh", "-c", "exec vllm serve --uds {socket} --enable-sleep-mode"]);
        for (source, expected) in [
            (ServerSource::default(), true),
            (built_in(&[]), true),
            (built_in(&[(DEV_MODE_VARIABLE, "0")]), false),
            (flagged, true),
            (command(&["vllm", "{socket}"]), false),
        ] {
            assert_eq!(sleeps(&source, Role::OneAtATime(EngineSet::ANY)), expected, "{source:?}");
            for role in [Role::One(Engine::FIRST), Role::Together(EngineSet::ANY)] {
                assert!(!sleeps(&source, role), "{source:?}");
            }
        }
    }

    #[test]
    fn a_copy_of_the_model_is_served_under_the_same_launch() {
        let source = command(&["vllm", "serve", "{model}", "--uds", "{socket}"]);
        let mut launched = launch(&source, &share()).unwrap();
        assert_eq!(launched.command[2], "datalab-to/chandra-ocr-2");
        launched.serve_from(Path::new("/disk/chandra-ocr-2-5e1f"));
        assert_eq!(launched.command[2], "/disk/chandra-ocr-2-5e1f");
        assert!(launched.command[4].ends_with(".sock"));
        assert_eq!(launched.hash, launch(&source, &share()).unwrap().hash);
    }
}
