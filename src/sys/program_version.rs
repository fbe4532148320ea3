//! The version of this program.

/// Version and build of this program, e.g. `0.1.0+5f3a9c0d1e2b4876`: two builds from different sources, dependencies,
/// compilers or settings differ in what follows the `+` (`build.rs`).
pub const PROGRAM_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+", env!("BOCR_BUILD"));
