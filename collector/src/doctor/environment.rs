//! Variables that change what the library does, or that take what it needs.

use std::{env, ffi::OsStr, path::Path};

use super::Check;

const NAME: &str = "environment";

/// What stands in the way; nothing where nothing does.
pub fn checks(library: &Path) -> Vec<Check> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let mut checks = Vec::new();
    if variable("MEMTRACE_DISABLE").is_some_and(|value| value == "1") {
        checks.push(Check::fails(NAME, "MEMTRACE_DISABLE=1 switches tracing off", "unset it"));
    }
    if variable("NVTX_INJECTION64_PATH").is_some_and(|other| other != library.as_os_str()) {
        checks.push(Check::warning(
            NAME,
            "NVTX_INJECTION64_PATH names another tool: NVTX ranges make no phases here",
            "unset it if they shall, or mark phases in another way (docs/phases.md)",
        ));
    }
    if let Some(tool) = variable("CUDA_INJECTION64_PATH") {
        checks.push(Check::warning(
            NAME,
            format!("CUDA_INJECTION64_PATH loads {} into every process", shown(&tool)),
            "a profiler's own memory shows in the report; unset it unless it is wanted",
        ));
    }
    checks
}

fn shown(value: &OsStr) -> String {
    value.to_string_lossy().into_owned()
}
