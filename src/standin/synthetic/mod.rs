//! Synthetic answers: generated text at the speed of a modelled GPU.

pub(super) mod answers;
pub(super) mod gpu_driver;
