//! The machine that this process runs on.

use std::fs;

/// The host name, from the kernel.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The boot id, which is new after each start of the machine. Empty where the kernel does not give one.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
