//! The server process of a GPU: launched, waited for, watched, restarted, stopped. Knows nothing of pages.
//!
//! A server is started through `bocr guard`, a small process that holds the other end of a pipe and takes the whole
//! process group of the server down when that pipe closes. So no server outlives its rank, whatever kills the rank:
//! a killed API server would else leave its engine process holding the GPU (measured on vLLM 0.11.2).

pub mod guard;
mod launch;
mod process;
mod service;

pub use launch::{Launch, LaunchError, Share, gpu_of};
pub use process::{Server, ServerError};
pub use service::{Ready, Service, ServiceEvent, ServicePlan};
