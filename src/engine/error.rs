//! Errors of profiles and servers, before any page is requested.

use std::path::PathBuf;

use thiserror::Error;

use super::Version;

/// An engine that cannot be used as configured.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, Error)]
pub enum EngineError {
    /// The profile is neither a built-in name nor a readable file.
    #[error(
        "there is no engine profile `{name}`: use one of {known}, or the path of a profile file that ends in .toml"
    )]
    UnknownProfile { name: String, known: String },
    /// A profile or prompt file that cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable { path: PathBuf, reason: std::io::Error },
    /// A profile file with a syntax error.
    #[error("profile {name} is not valid: {reason}")]
    Syntax { name: String, reason: Box<toml::de::Error> },
    /// A profile with an unknown or missing key, or a value of the wrong type.
    #[error(
        "profile {name} is not valid: {reason}; correct the key, or remove it (`bocr profiles chandra-2` prints every key)"
    )]
    Field { name: String, reason: String },
    /// A chain of profile files that extend each other and does not end.
    #[error("profile {name} extends itself through other files: remove one `extends`")]
    Endless { name: String },
    /// A profile that contradicts itself.
    #[error("profile {name} is not valid: {reason}")]
    Invalid { name: String, reason: String },
    /// The HTTP client could not be built for this address.
    #[error("cannot use the server address {address}: {reason}; give http://host:port or the path of a Unix socket")]
    Address { address: String, reason: String },
    /// No server answers at the address.
    #[error("no answer from the server at {address}{path}: {reason}")]
    Unreachable { address: String, path: &'static str, reason: String },
    /// A server that does not fall asleep, or does not wake up.
    #[error("the server at {address} did not carry out {path}: {reason}")]
    SleepMode { address: String, path: &'static str, reason: String },
    /// A process answers, but not as a vLLM server does.
    #[error("the server at {address} does not speak vLLM's API: {path} gave {reason}")]
    NotVllm { address: String, path: &'static str, reason: String },
    /// The server demands a key, or a different one.
    #[error("the server at {address} refuses the API key (HTTP {status}): use the key it was started with")]
    Unauthorized { address: String, status: u16 },
    /// The server serves another model: its answers would be parsed by the wrong rules.
    #[error(
        "the server at {address} serves {served}, but profile {profile} needs `{wanted}`: start it with \
         --served-model-name {wanted} and the model {model}, or choose the profile of the model that it serves"
    )]
    WrongModel { address: String, served: String, profile: String, wanted: String, model: String },
    /// The server answers a small request with an image in another way than the pages need.
    #[error("the server at {address} cannot read pages: {reason}")]
    WrongAnswers { address: String, reason: String },
    /// A page and its text do not fit the server's context.
    #[error(
        "the server at {address} has a context of {context} tokens, far below the {wanted} of profile {profile}: pages \
         and their text would not fit; start it with --max-model-len {wanted}"
    )]
    ShortContext { address: String, context: u32, profile: String, wanted: u32 },
    /// The server's version is too old for the profile's model.
    #[error(
        "the server at {address} is vLLM {version}, but {model} (profile {profile}) needs {needed} or later: \
         pip install 'vllm>={needed}' in the environment that starts it, or choose a profile that this version can serve"
    )]
    TooOld { address: String, version: String, profile: String, model: String, needed: Version },
}
