//! The knobs: environment variables, read once per process.

use std::path::PathBuf;

use crate::MAX_DEVICES;

const MIB: u64 = 1 << 20;

/// What the environment asks for. Where a machine is already in use by a living process, its
/// number of cards and their size win over this process's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `VGPU_NAME`: file name under `/dev/shm`; same name, same machine. Default `vgpu-UID`.
    pub name: String,
    /// `VGPU_DEVICES`: number of cards, 1 to 8. Default 1.
    pub devices: usize,
    /// `VGPU_TOTAL_MB`: memory of each card, in bytes here. Default 81920 MiB.
    pub total_bytes: u64,
    /// `VGPU_CC`: compute capability times ten. Default 90.
    pub compute_capability: u32,
    /// `VGPU_CONTEXT_MB`: what a context costs on its card, in bytes here. Default 500 MiB.
    pub context_bytes: u64,
    /// `VGPU_MODULE_MB`: what the code of a loaded module costs on its card, in bytes here. Default 0.
    pub module_bytes: u64,
    /// `VGPU_DRIVER_VERSION`: 1000 × major + 10 × minor. Default 13000.
    pub driver_version: u32,
    /// `VGPU_COPY_MAX_MB`: a copy or non-zero fill longer than this is skipped, in bytes here, so
    /// that a large model does not fill the test machine's memory. Default 256 MiB.
    pub copy_max_bytes: u64,
    /// `VGPU_LOG`: folder for the log of calls; none without it.
    pub log_dir: Option<PathBuf>,
}

impl Config {
    /// Reads the process's environment.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// The same from any source of variables. A value that is no number counts as absent.
    pub fn from_lookup(get: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str, default: u64| {
            get(name).and_then(|text| text.trim().parse().ok()).unwrap_or(default)
        };
        // SAFETY: getuid cannot fail and takes nothing.
        let uid = unsafe { libc::getuid() };
        Self {
            name: get("VGPU_NAME")
                .filter(|name| !name.is_empty() && !name.contains('/'))
                .unwrap_or_else(|| format!("vgpu-{uid}")),
            devices: number("VGPU_DEVICES", 1).clamp(1, MAX_DEVICES as u64) as usize,
            total_bytes: number("VGPU_TOTAL_MB", 81920).clamp(1, 1 << 21) * MIB,
            compute_capability: number("VGPU_CC", 90) as u32,
            context_bytes: number("VGPU_CONTEXT_MB", 500) * MIB,
            module_bytes: number("VGPU_MODULE_MB", 0) * MIB,
            driver_version: number("VGPU_DRIVER_VERSION", 13000) as u32,
            copy_max_bytes: number("VGPU_COPY_MAX_MB", 256) * MIB,
            log_dir: get("VGPU_LOG").filter(|dir| !dir.is_empty()).map(PathBuf::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_one_card_of_80_gib() {
        let config = Config::from_lookup(|_| None);
        assert_eq!(config.devices, 1);
        assert_eq!(config.total_bytes, 80 << 30);
        assert_eq!(config.driver_version, 13000);
        assert_eq!(config.log_dir, None);
    }

    #[test]
    fn values_out_of_range_are_clamped_and_nonsense_is_ignored() {
        let config = Config::from_lookup(|name| {
            match name {
                "VGPU_DEVICES" => Some("99"),
                "VGPU_TOTAL_MB" => Some("much"),
                "VGPU_NAME" => Some("../escape"),
                _ => None,
            }
            .map(str::to_owned)
        });
        assert_eq!(config.devices, MAX_DEVICES);
        assert_eq!(config.total_bytes, 80 << 30);
        assert!(config.name.starts_with("vgpu-"));
    }
}
