//! What can go wrong before a page is asked for: profiles and servers.

use std::path::PathBuf;

use thiserror::Error;

use super::Version;

/// An engine that cannot be used as configured.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Neither a built-in name nor a readable file.
    #[error(
        "there is no engine profile `{name}`: use one of {known}, or the path of a profile file that ends in .toml"
    )]
    UnknownProfile {
        /// What was asked for.
        name: String,
        /// The built-in names.
        known: String,
    },
    /// A profile or prompt file that cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// A profile file with a syntax error or an unknown key.
    #[error("profile {name} is not valid: {reason}")]
    Syntax {
        /// Built-in name, or the file.
        name: String,
        /// Line and reason.
        reason: Box<toml::de::Error>,
    },
    /// A chain of profile files that does not end.
    #[error("profile {name} extends itself through other files: remove one `extends`")]
    Endless {
        /// The file where it was noticed.
        name: String,
    },
    /// A profile that contradicts itself.
    #[error("profile {name} is not valid: {reason}")]
    Invalid {
        /// Built-in name, or the file.
        name: String,
        /// What to change.
        reason: String,
    },
    /// The HTTP client could not be built for this address.
    #[error("cannot use the server address {address}: {reason}; give http://host:port or the path of a Unix socket")]
    Address {
        /// The address.
        address: String,
        /// Why.
        reason: String,
    },
    /// Nobody answers there.
    #[error("no answer from the server at {address}{path}: {reason}")]
    Unreachable {
        /// The address.
        address: String,
        /// The path that was asked for.
        path: &'static str,
        /// Why.
        reason: String,
    },
    /// A server that does not fall asleep, or does not wake up.
    #[error("the server at {address} did not do {path}: {reason}")]
    SleepMode {
        /// The address.
        address: String,
        /// What it was told.
        path: &'static str,
        /// What it did instead.
        reason: String,
    },
    /// Something answers, but not as a vLLM server does.
    #[error("the server at {address} does not speak vLLM's API: {path} gave {reason}")]
    NotVllm {
        /// The address.
        address: String,
        /// The path that was asked for.
        path: &'static str,
        /// What came instead.
        reason: String,
    },
    /// The server wants a key, or another one.
    #[error("the server at {address} refuses the API key (HTTP {status}): use the key it was started with")]
    Unauthorized {
        /// The address.
        address: String,
        /// 401 or 403.
        status: u16,
    },
    /// The server serves another model: its answers would be parsed by the wrong rules.
    #[error(
        "the server at {address} serves {served}, but profile {profile} needs `{wanted}`: start it with \
         --served-model-name {wanted} and the model {model}, or choose the profile of the model that it serves"
    )]
    WrongModel {
        /// The address.
        address: String,
        /// What it serves.
        served: String,
        /// The profile.
        profile: String,
        /// The served name that the profile asks for.
        wanted: String,
        /// The model behind it.
        model: String,
    },
    /// The server's version cannot serve the profile's model.
    #[error(
        "the server at {address} is vLLM {version}, but {model} (profile {profile}) needs {needed} or later: \
         pip install 'vllm>={needed}' in the environment that starts it, or choose a profile that this version can serve"
    )]
    TooOld {
        /// The address.
        address: String,
        /// What it reports.
        version: String,
        /// The profile.
        profile: String,
        /// Its model.
        model: String,
        /// The first version that serves it.
        needed: Version,
    },
}
