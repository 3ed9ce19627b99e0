//! Versions, and the driver's functions for callers who do not link against it.
use crate::export::{forward, with_driver};
use crate::thread;
use crate::types::{INVALID_VALUE, Out, Outcome, SUCCESS, SYMBOL_NOT_FOUND, Status};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// The CUDA version this runtime speaks: that of the wheels' `nvidia-cuda-runtime`.
const VERSION: c_int = 13_020;

forward! {
    with_context: cudaProfilerStart() = cuProfilerStart();
    with_context: cudaProfilerStop() = cuProfilerStop();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaRuntimeGetVersion(version: Out<c_int>) -> Status {
    thread::note(version.set(VERSION).err().unwrap_or(SUCCESS))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaDriverGetVersion(version: Out<c_int>) -> Status {
    with_driver(|driver| version.set(driver.version()?))
}

/// # Safety
/// `name` is a C string, or null.
unsafe fn entry_point(
    name: *const c_char,
    function: Out<*mut c_void>,
    version: c_uint,
    flags: u64,
    finding: Out<c_int>,
) -> Status {
    with_driver(|driver| -> Outcome {
        if name.is_null() {
            return Err(INVALID_VALUE);
        }
        // SAFETY: not null, so the caller's C string.
        let name = unsafe { CStr::from_ptr(name) };
        let version = c_int::try_from(version).map_err(|_| INVALID_VALUE)?;
        let (status, found, found_how) = driver.find(name, version, flags);
        function.set(found)?;
        if !finding.0.is_null() {
            return finding.set(found_how);
        }
        if status == SUCCESS && !found.is_null() { Ok(()) } else { Err(SYMBOL_NOT_FOUND) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaGetDriverEntryPoint(
    name: *const c_char,
    function: Out<*mut c_void>,
    flags: u64,
    finding: Out<c_int>,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe { entry_point(name, function, VERSION.unsigned_abs(), flags, finding) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaGetDriverEntryPointByVersion(
    name: *const c_char,
    function: Out<*mut c_void>,
    version: c_uint,
    flags: u64,
    finding: Out<c_int>,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe { entry_point(name, function, version, flags, finding) }
}
