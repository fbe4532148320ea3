//! The stand-in server: vLLM's API without a GPU or a model.
//!
//! It answers as vLLM 0.32.0 or 0.11.2 does (bodies, status codes, event forms, limits), in any dialect. It either reads pages with Tesseract or writes synthetic answers at the speed of a modelled GPU. A
//! fault script makes it fail as real servers do. A run uses it only over HTTP; none of it is in a run's own code path.
//!
//! **How a client recognises it.** `/version` is `0.32.0+stand-in-tesseract` or `0.32.0+stand-in-synthetic`: the part
//! after the `+` is the name of a [`ServerKind`](crate::model::ServerKind). `/v1/models` has
//! `"owned_by": "bocr-stand-in-…"`, and every answer `"system_fingerprint": "stand-in-…"`.
//!
//! **Request log.** Every chat request that passes the check of the key writes one line to standard error when it ends,
//! such as `request BO_7500_Fr.p3.l17.a1 finished stop` (see `request_log.rs`).

mod answer;
mod dialect;
mod faults;
mod http;
mod picture;
mod stand_in;
mod synthetic;
mod tesseract;
mod tokens;

pub use dialect::{Dialect, Grammar};
pub use faults::FaultScriptError;
pub use http::{release::Release, server::run, sleep::SleepMode, socket::ListenAddress};
pub use stand_in::{Mode, Options, StandInError};
pub use synthetic::{answers::AnswerLengths, gpu_driver::TimeScale};
