//! What identifies a launch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::sys::PROGRAM_VERSION;

/// Tells whether a running server equals the one that would be launched. It covers the command before its address is
/// filled in, the environment, the GPU, and the version of this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchHash(pub String);

impl LaunchHash {
    pub(super) fn of(template: &[String], environment: &BTreeMap<String, String>, gpu: Option<&str>) -> LaunchHash {
        let all = format!("{:?}", (template, environment, gpu, PROGRAM_VERSION));
        LaunchHash(hex::encode(Sha256::digest(all)))
    }
}
