//! The PBS job that runs `bocr run` on a cluster: its job file, its script, its submission and its state.
//!
//! Users edit the job file only; all files made from it are in `RUNDIR/job`. What the job does on its nodes is in
//! `scripts/pbs-job`, which its script calls.

mod commands;
mod configured;
mod error;
mod file;
mod folder;
mod follow;
mod id;
mod jobs;
mod programs;
mod quote;
mod script;
mod select;
mod state;
mod submit;
mod values;
mod version;

pub use error::{FollowError, JobFileError, JobListError, PbsError, ScriptError, SubmitError};
pub use file::{JobFile, JobKind};
pub use follow::follow;
pub use id::JobId;
pub use quote::ControlCharacter;
pub use select::Select;
pub use submit::{After, ReadSettings, RunSettings, SubmitRequest, Submitted, preview, submit};
pub use values::{JobName, MailEvents, Memory, Overrides, PbsOption, PbsWord, Place, SetupLines, ValueError, Walltime};
pub use version::PbsVersion;

use folder::JobFolder;
use programs::Programs;
