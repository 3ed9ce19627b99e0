//! What NVML sees of the GPUs: totals without a cause, to set the ledgers against.

use std::ffi::OsStr;

use nvml_wrapper::{Device, Nvml, enums::device::UsedGpuMemory, error::NvmlError};
use serde::{Deserialize, Serialize};

/// All GPUs at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reading {
    /// `CLOCK_REALTIME`, ns.
    pub time: u64,
    /// By NVML index.
    pub gpus: Vec<Gpu>,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// UUID as two words, in the byte order of [`crate::ledger::Gauges::uuid`].
    pub uuid: [u64; 2],
    /// Product name.
    pub name: String,
    /// Memory, bytes.
    pub total: u64,
    /// Memory in use by anybody, bytes.
    pub used: u64,
    /// Processes on it, by pid; bytes are `None` where the driver does not tell.
    pub processes: Vec<(u32, Option<u64>)>,
}

/// The NVML library, loaded.
#[derive(Debug)]
pub struct Gpus {
    nvml: Nvml,
}

impl Gpus {
    /// Loads NVML.
    ///
    /// # Errors
    /// One sentence: the library is not there, or there is no driver behind it.
    pub fn open() -> Result<Self, String> {
        let nvml = Nvml::builder().lib_path(OsStr::new("libnvidia-ml.so.1")).init();
        nvml.map(|nvml| Self { nvml }).map_err(|error| match error {
            NvmlError::LibloadingError(_) => {
                "NVML (libnvidia-ml.so.1) is not there: no totals of whole GPUs".to_owned()
            }
            error => format!("NVML does not start ({error}): no totals of whole GPUs"),
        })
    }

    /// The version of the driver, as NVIDIA counts them.
    #[must_use]
    pub fn driver_version(&self) -> Option<String> {
        self.nvml.sys_driver_version().ok()
    }

    /// All GPUs as they are now. What NVML does not tell of a GPU is left out.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let count = self.nvml.device_count().unwrap_or(0);
        let gpu = |index| gpu(&self.nvml.device_by_index(index).ok()?);
        Reading { time: crate::sys::realtime(), gpus: (0..count).filter_map(gpu).collect() }
    }
}

fn gpu(device: &Device<'_>) -> Option<Gpu> {
    let memory = device.memory_info().ok()?;
    let mut processes: Vec<(u32, Option<u64>)> = device
        .running_compute_processes()
        .unwrap_or_default()
        .into_iter()
        .map(|process| {
            let bytes = match process.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => Some(bytes),
                UsedGpuMemory::Unavailable => None,
            };
            (process.pid, bytes)
        })
        .collect();
    processes.sort_unstable();
    Some(Gpu {
        uuid: uuid_words(&device.uuid().ok()?)?,
        name: device.name().unwrap_or_default(),
        total: memory.total,
        used: memory.used,
        processes,
    })
}

/// `GPU-aabbccdd-eeff-…` as the driver gives it: 16 bytes in two words.
fn uuid_words(text: &str) -> Option<[u64; 2]> {
    let digits: String = text.strip_prefix("GPU-")?.split('-').collect();
    let half = |range| u64::from_str_radix(digits.get(range)?, 16).ok().map(u64::swap_bytes);
    (digits.len() == 32).then_some([half(0..16)?, half(16..32)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_reads_as_the_driver_gives_it() {
        let words = uuid_words("GPU-00010203-0405-0607-0809-0a0b0c0d0e0f").unwrap();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(bytes, (0..16).collect::<Vec<u8>>());
        assert_eq!(uuid_words("MIG-00010203-0405-0607-0809-0a0b0c0d0e0f"), None);
        assert_eq!(uuid_words("GPU-00"), None);
    }
}
