//! What to run for a server, from the configuration and the engine's profile.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::TcpListener,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    engine::{Dialect, Profile, ServerAddress},
    model::{Engine, configuration::ServerSource, configuration::StandInMode},
};

/// A server that cannot be launched as configured.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Neither placeholder is in the command.
    #[error("the launch command of {0} names neither {{socket}} nor {{port}}: its server could not be found")]
    NoAddress(Engine),
    /// No private folder for the socket.
    #[error("cannot make a private folder for the server's socket in {folder}")]
    Folder {
        /// Where it was tried.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No free port.
    #[error("cannot find a free port on 127.0.0.1")]
    Port(#[source] std::io::Error),
}

/// A command to run, and where its server will answer.
#[derive(Debug)]
pub struct Launch {
    /// The `bocr` program, which guards the server.
    pub guard: PathBuf,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Added to the environment.
    pub environment: BTreeMap<String, String>,
    /// Where the server will answer.
    pub address: ServerAddress,
    /// Private folder of its socket, removed with this value.
    pub folder: TempDir,
    /// Index or id of the GPU, put into `CUDA_VISIBLE_DEVICES`.
    pub gpu: Option<String>,
}

/// What this rank gives to a server.
#[derive(Debug, Clone)]
pub struct Share {
    /// The `bocr` program, which is also the stand-in and the guard.
    pub program: PathBuf,
    /// Processor cores that a stand-in may use.
    pub cores: usize,
    /// Index or id of the GPU, put into `CUDA_VISIBLE_DEVICES`.
    pub gpu: Option<String>,
}

impl Launch {
    /// The launch of a server for `profile`; `None` when it is already running elsewhere.
    ///
    /// The server answers on a Unix socket in a folder that only this user can enter, so that neither ports nor
    /// users of a shared node collide; a configured command may ask for `{port}` instead.
    ///
    /// # Errors
    /// No place for the socket, no free port, or a command that names neither.
    pub fn new(source: &ServerSource, profile: &Profile, share: &Share) -> Result<Option<Launch>, LaunchError> {
        let (command, environment) = match source {
            ServerSource::Url { .. } => return Ok(None),
            ServerSource::StandIn { mode, faults, arguments } => {
                let mut words = stand_in(profile, *mode, faults.as_deref(), share);
                words.extend_from_slice(arguments);
                (words, BTreeMap::new())
            }
            ServerSource::Launch { command, prefix, environment } => {
                let mut words = prefix.clone();
                words.extend_from_slice(command.as_deref().unwrap_or(&profile.launch.command));
                let mut variables = profile.launch.environment.clone();
                variables.extend(environment.iter().map(|(name, value)| (name.clone(), value.0.clone())));
                (words, variables)
            }
        };
        let folder = private_folder()?;
        let socket = folder.path().join("server.sock");
        let address = if command.iter().any(|word| word.contains("{socket}")) {
            ServerAddress::Unix(socket.clone())
        } else if command.iter().any(|word| word.contains("{port}")) {
            ServerAddress::Tcp(format!("http://127.0.0.1:{}", free_port()?))
        } else {
            return Err(LaunchError::NoAddress(profile.engine));
        };
        let port = match &address {
            ServerAddress::Tcp(url) => url.rsplit(':').next().unwrap_or_default().to_owned(),
            ServerAddress::Unix(_) => String::new(),
        };
        let fill = |word: &String| {
            word.replace("{socket}", &socket.to_string_lossy())
                .replace("{port}", &port)
                .replace("{model}", &profile.model)
                .replace("{served_name}", &profile.served_name)
        };
        let command = command.iter().map(fill).collect();
        let guard = share.program.clone();
        Ok(Some(Launch { guard, command, environment, address, folder, gpu: share.gpu.clone() }))
    }
}

/// The stand-in speaks the profile's dialect under the profile's name.
fn stand_in(profile: &Profile, mode: StandInMode, faults: Option<&Path>, share: &Share) -> Vec<String> {
    let mode = match mode {
        StandInMode::Tesseract => "tesseract",
        StandInMode::Synthetic => "synthetic",
    };
    let mut words: Vec<String> = vec![
        share.program.to_string_lossy().into_owned(),
        "stand-in".into(),
        "--speak".into(),
        profile.engine.name().into(),
        "--mode".into(),
        mode.into(),
        "--uds".into(),
        "{socket}".into(),
        "--served-name".into(),
        "{served_name}".into(),
        "--max-model-len".into(),
        profile.context_length.to_string(),
    ];
    if let Dialect::Divs { box_scale } = profile.dialect {
        words.extend(["--box-scale".into(), box_scale.to_string()]);
    }
    if mode == "tesseract" {
        words.extend(["--max-num-seqs".into(), share.cores.to_string()]);
    }
    if let Some(faults) = faults {
        words.extend(["--faults".into(), faults.to_string_lossy().into_owned()]);
    }
    words
}

/// A folder of mode 0700 with a path short enough for a Unix socket (108 bytes).
fn private_folder() -> Result<TempDir, LaunchError> {
    const LONGEST: usize = 60;
    let configured = std::env::temp_dir();
    let parent = if configured.as_os_str().len() <= LONGEST { configured } else { PathBuf::from("/tmp") };
    let made = tempfile::Builder::new().prefix("bocr-").tempdir_in(&parent);
    made.map_err(|source| LaunchError::Folder { folder: parent, source })
}

fn free_port() -> Result<u16, LaunchError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(LaunchError::Port)?;
    listener.local_addr().map(|address| address.port()).map_err(LaunchError::Port)
}

/// The GPU of the `local_rank`-th rank of a node: the matching entry of `CUDA_VISIBLE_DEVICES` where it is set (ids are
/// opaque: indices or UUIDs), else the index itself where the node has NVIDIA devices.
pub fn gpu_of(local_rank: u32, visible_devices: Option<OsString>) -> Option<String> {
    match visible_devices {
        Some(list) => {
            let list = list.to_string_lossy();
            let ids: Vec<&str> = list.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
            ids.get(local_rank as usize % ids.len().max(1)).map(|id| (*id).to_owned())
        }
        None => Path::new("/dev/nvidia0").exists().then(|| local_rank.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share() -> Share {
        Share { program: "bocr".into(), cores: 2, gpu: Some("GPU-1".into()) }
    }

    fn profile() -> Profile {
        Profile::load("chandra-2", None).unwrap()
    }

    #[test]
    fn the_stand_in_and_the_model_are_launched_alike() {
        let stand_in = Launch::new(&ServerSource::default(), &profile(), &share()).unwrap().unwrap();
        assert!(stand_in.command.contains(&"stand-in".to_owned()));
        let source = ServerSource::Launch { command: None, prefix: vec!["env".into()], environment: BTreeMap::new() };
        let model = Launch::new(&source, &profile(), &share()).unwrap().unwrap();
        assert_eq!(model.command[..3], ["env", "vllm", "serve"]);
        assert!(model.command.contains(&"datalab-to/chandra-ocr-2".to_owned()));
        let uds = model.command.iter().position(|word| word == "--uds").unwrap();
        assert!(model.command[uds + 1].ends_with("server.sock"));
        for launch in [stand_in, model] {
            let ServerAddress::Unix(socket) = &launch.address else { panic!("a socket") };
            assert!(launch.command.iter().any(|word| *word == socket.to_string_lossy()));
            assert!(!launch.command.iter().any(|word| word.contains('{') && !word.starts_with('{')), "{launch:?}");
            let folder = launch.folder.path().to_owned();
            drop(launch);
            assert!(!folder.exists(), "a launch that comes to nothing leaves no folder");
        }
    }

    #[test]
    fn a_command_without_an_address_is_refused() {
        let command = Some(vec!["vllm".into(), "serve".into()]);
        let source = ServerSource::Launch { command, prefix: Vec::new(), environment: BTreeMap::new() };
        let error = Launch::new(&source, &profile(), &share()).unwrap_err().to_string();
        assert!(error.contains("{socket}"), "{error}");
    }

    #[test]
    fn gpu_ids_are_opaque_and_respected() {
        assert_eq!(gpu_of(1, Some("GPU-aa,GPU-bb".into())), Some("GPU-bb".into()));
        assert_eq!(gpu_of(3, Some("4, 5".into())), Some("5".into()));
        assert_eq!(gpu_of(0, Some("".into())), None);
    }
}
