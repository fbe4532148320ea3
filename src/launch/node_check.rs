//! The check of a node: whether it has what a rank needs. It runs on the node, before mpirun starts ranks there.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use super::{HostFault, programs::find_program};
use crate::{
    corpus::Inputs,
    engine::{EngineError, Profile},
    imaging::{LibraryNotFound, find_library},
    model::{
        Engine, EngineName,
        configuration::{Configuration, ServerSource},
    },
    sys::PROGRAM_VERSION,
};

/// What a rank needs of its node.
#[derive(Debug, Clone)]
pub struct NodeNeeds {
    /// Version and build of the launcher.
    pub program_version: String,
    /// Path of the run directory.
    pub run_directory: PathBuf,
    /// The inputs of the run.
    pub inputs: Inputs,
    /// The configuration of the run.
    pub configuration: Configuration,
}

/// What a node lacks.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum NodeLack {
    /// Another build.
    #[error("bocr is {PROGRAM_VERSION} here, and {0} on the first host: build it in a folder that all hosts share")]
    Build(String),
    /// The run directory.
    #[error("cannot write into the run directory {path}: use a folder that all hosts share")]
    RunDirectory { path: PathBuf, source: io::Error },
    /// An input.
    #[error("cannot read the input {path}: use a folder that all hosts share")]
    Input { path: PathBuf, source: io::Error },
    /// PDFium is missing.
    #[error(transparent)]
    Pdfium(#[from] LibraryNotFound),
    /// The profile of an engine, which names the program of its server.
    #[error(transparent)]
    Profile(#[from] EngineError),
    /// The program of a server.
    #[error("the server's program `{program}` of {engine} is neither a path nor on the PATH: install it on this host")]
    ServerProgram { engine: EngineName, program: String },
}

impl NodeLack {
    /// The fault of the host.
    pub fn fault(&self) -> HostFault {
        match self {
            NodeLack::Build(_) => HostFault::OtherBuild,
            NodeLack::RunDirectory { .. } => HostFault::RunDirectory,
            NodeLack::Input { .. } => HostFault::Input,
            NodeLack::Pdfium(_) => HostFault::Pdfium,
            NodeLack::Profile(_) => HostFault::Configuration,
            NodeLack::ServerProgram { .. } => HostFault::ServerProgram,
        }
    }
}

/// Checks whether this node has what a rank needs. It does not check what only the start of a server shows: modules and
/// environments (`activate`), the model and the GPU.
///
/// # Errors
/// The first need that the node lacks.
pub fn check_node(needs: &NodeNeeds) -> Result<(), NodeLack> {
    if needs.program_version != PROGRAM_VERSION {
        return Err(NodeLack::Build(needs.program_version.clone()));
    }
    let directory = &needs.run_directory;
    access(directory, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| NodeLack::RunDirectory { path: directory.clone(), source: error.into() })?;
    let lists = needs.inputs.lists.iter().filter(|list| list.as_os_str() != "-");
    for input in needs.inputs.paths.iter().chain(lists) {
        read(input).map_err(|source| NodeLack::Input { path: input.clone(), source })?;
    }
    find_library(needs.configuration.pdfium.as_deref())?;
    needs.configuration.engines.all().try_for_each(|engine| check_server_program(engine, &needs.configuration))
}

fn read(input: &Path) -> io::Result<()> {
    if fs::metadata(input)?.is_dir() { fs::read_dir(input).map(drop) } else { File::open(input).map(drop) }
}

/// A command after `activate` may be found only then.
fn check_server_program(engine: Engine, configuration: &Configuration) -> Result<(), NodeLack> {
    let source = &configuration.engines.of(engine).server;
    let ServerSource::Launch { command, prefix, activate: None, environment } = source else { return Ok(()) };
    if !configuration.engines.roles().serves(engine) || environment.contains_key("PATH") {
        return Ok(());
    }
    let profile = Profile::load(configuration.engines.profile(engine), None)?;
    let words = prefix.iter().chain(command.as_ref().unwrap_or(&profile.launch.command));
    let program = words.into_iter().next().cloned().unwrap_or_default();
    match find_program(Path::new(&program)) {
        Some(_) => Ok(()),
        None => Err(NodeLack::ServerProgram { engine: configuration.engines.name(engine).clone(), program }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn needs(folder: &Path) -> NodeNeeds {
        NodeNeeds {
            program_version: PROGRAM_VERSION.into(),
            run_directory: folder.to_owned(),
            inputs: Inputs { paths: vec![folder.to_owned()], lists: vec!["-".into()] },
            configuration: Configuration::default(),
        }
    }

    fn fault(needs: &NodeNeeds) -> Option<HostFault> {
        check_node(needs).err().map(|lack| lack.fault())
    }

    #[test]
    fn a_node_is_told_by_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let whole = needs(folder.path());
        assert_eq!(fault(&whole), None);
        let other = NodeNeeds { program_version: "0.1.0+other".into(), ..whole.clone() };
        assert_eq!(fault(&other), Some(HostFault::OtherBuild));
        let missing = folder.path().join("missing");
        let other = NodeNeeds { run_directory: missing.clone(), ..whole.clone() };
        assert_eq!(fault(&other), Some(HostFault::RunDirectory));
        let other = NodeNeeds { inputs: Inputs { paths: vec![missing.clone()], lists: vec![] }, ..whole.clone() };
        assert_eq!(fault(&other), Some(HostFault::Input));
        let mut other = whole.clone();
        other.configuration.pdfium = Some(missing);
        assert_eq!(fault(&other), Some(HostFault::Pdfium));
        let mut other = whole;
        let launch = |activate: Option<&str>| ServerSource::Launch {
            command: Some(vec!["no-such-vllm".into(), "serve".into()]),
            prefix: Vec::new(),
            activate: activate.map(str::to_owned),
            environment: BTreeMap::new(),
        };
        other.configuration.engines.of_mut(Engine::FIRST).server = launch(None);
        assert_eq!(fault(&other), Some(HostFault::ServerProgram));
        other.configuration.engines.of_mut(Engine::FIRST).server = launch(Some("module load vllm"));
        assert_eq!(fault(&other), None);
    }
}
