//! The NVIDIA GPUs of this node, as `nvidia-smi` reports them.

use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use crate::sys::answer;

/// `nvidia-smi` loads the driver, which takes seconds on a node where no process uses a GPU.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Most memory that the driver itself holds on an idle GPU, MiB: with error correction some hundreds.
const IDLE_MEMORY: u64 = 1024;

/// A GPU of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// Index in the order of the PCI bus.
    pub(crate) index: u32,
    /// `GPU-…`; `None` without `nvidia-smi`.
    pub(crate) uuid: Option<String>,
    /// Whether a process uses the GPU.
    pub(crate) used: bool,
}

/// The GPUs, in the order of the PCI bus. Without `nvidia-smi` their device files are counted, and none counts as used.
pub(crate) fn devices() -> Vec<Device> {
    match query_nvidia_smi("--query-gpu=index,uuid,memory.used") {
        Ok(lines) => lines.lines().filter_map(device).collect(),
        Err(reason) => {
            let devices = device_files(Path::new("/dev"));
            if !devices.is_empty() {
                tracing::warn!("nvidia-smi does not list this node's GPUs ({reason}): all of them are taken as free");
            }
            devices
        }
    }
}

/// Marks GPUs on which a process computes as used: a process that has only just started has little memory yet.
pub(crate) fn mark_computing(devices: &mut [Device]) {
    let lines = query_nvidia_smi("--query-compute-apps=gpu_uuid").unwrap_or_default();
    for device in devices {
        device.used |= lines.lines().any(|line| Some(line.trim()) == device.uuid.as_deref());
    }
}

/// The names of the node's kinds of GPU, each once; empty without `nvidia-smi`.
pub(crate) fn gpu_kinds() -> String {
    let lines = query_nvidia_smi("--query-gpu=name").unwrap_or_default();
    let kinds: BTreeSet<&str> = lines.lines().map(str::trim).collect();
    kinds.into_iter().collect::<Vec<_>>().join(", ")
}

fn query_nvidia_smi(query: &str) -> Result<String, String> {
    let mut command = Command::new("nvidia-smi");
    command.args([query, "--format=csv,noheader,nounits"]);
    let output = answer(&mut command, ANSWER_LIMIT).map_err(|error| error.to_string())?;
    if !output.status.success() {
        // nvidia-smi writes its errors to standard output.
        return Err(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads a line such as `0, GPU-5e…, 4`. The memory may be `[N/A]`, for example on a GPU divided by MIG.
fn device(line: &str) -> Option<Device> {
    let mut columns = line.split(',').map(str::trim);
    let (index, uuid) = (columns.next()?.parse().ok()?, columns.next()?.to_owned());
    let used = columns.next()?.parse().is_ok_and(|memory: u64| memory > IDLE_MEMORY);
    Some(Device { index, uuid: Some(uuid), used })
}

/// Counts `nvidia0`, `nvidia1`, …; other files, such as `nvidiactl`, are in the same folder.
fn device_files(folder: &Path) -> Vec<Device> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut indices: Vec<u32> = names.filter_map(|name| name.to_str()?.strip_prefix("nvidia")?.parse().ok()).collect();
    indices.sort_unstable();
    indices.into_iter().map(|index| Device { index, uuid: None, used: false }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_nvidia_smi_tells_of_a_gpu() {
        let of = |line| device(line).map(|device| (device.index, device.uuid.unwrap(), device.used));
        assert_eq!(of("0, GPU-5e, 4"), Some((0, "GPU-5e".into(), false)));
        assert_eq!(of("11, GPU-6f, 71234"), Some((11, "GPU-6f".into(), true)));
        assert_eq!(of("1, GPU-70, [N/A]"), Some((1, "GPU-70".into(), false)));
        assert_eq!(of("No devices were found"), None);
    }

    #[test]
    fn without_it_the_device_files_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["nvidiactl", "nvidia10", "nvidia2", "nvidia-uvm", "null"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let indices: Vec<u32> = device_files(folder.path()).iter().map(|device| device.index).collect();
        assert_eq!(indices, [2, 10]);
    }
}
