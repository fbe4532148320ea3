//! Answers without a reading: invented text at the rate of a modelled GPU.

pub(super) mod answers;
pub(super) mod gpu_driver;
