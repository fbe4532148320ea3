//! Functions of the operating system that several modules use: child processes, file locks, file names, `/proc`, the
//! host name, limits of processes, shared memory, exit codes, random bytes, text for terminals, the version of this
//! program, and the attributes of a PBS job.
//!
//! This module depends on no other module.

mod child_process;
mod exit_code;
mod file_lock;
mod file_name;
mod host;
mod process_limits;
mod program_file;
mod program_version;
mod qstat;
mod random;
mod replace;
mod running_process;
mod seconds;
mod shared_memory;
mod sockets;
mod terminal;

pub use child_process::{answer, is_launcher_variable, scrub_environment};
pub use exit_code::ExitCode;
pub use file_lock::{LockAttempt, lock_within, try_lock};
pub use file_name::{LONGEST_FILE_NAME, shortened};
pub use host::{boot_id, host_name};
pub use process_limits::ProcessLimits;
pub use program_file::is_program;
pub use program_version::PROGRAM_VERSION;
pub use qstat::{JobAttributes, parse_walltime};
pub use random::random_hex;
pub(crate) use replace::{replace, replace_with_mode};
pub use running_process::{RunningProcess, peak_address_space};
pub use seconds::seconds_text;
pub use shared_memory::remove_dead_segments;
pub use sockets::listening_addresses;
pub use terminal::{on_one_line, printable, write_stderr, write_stdout};
