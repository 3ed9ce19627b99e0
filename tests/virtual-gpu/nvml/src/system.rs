//! Start and end, versions, errors.

use std::ffi::{CStr, c_char};

use machine::Config;

use crate::ffi::{Code, Out, Outcome, exports, put, put_text};
use crate::state;

const DRIVER: &str = "580.00.00";
const LIBRARY: &str = "13.580.00.00";

/// `nvmlConfComputeSystemState_t`: all 0 where confidential computing is off.
#[repr(C)]
pub struct Confidential {
    environment: u32,
    feature: u32,
    tools: u32,
}

/// `nvmlSystemConfComputeSettings_t`.
#[repr(C)]
pub struct ConfidentialSettings {
    version: u32,
    state: Confidential,
    cards: u32,
}

const SETTINGS_VERSION_1: u32 = 1 << 24 | size_of::<ConfidentialSettings>() as u32;

const OFF: Confidential = Confidential { environment: 0, feature: 0, tools: 0 };

fn confidential(out: Out<'_, Confidential>) -> Outcome {
    state::machine()?;
    put(out, OFF)
}

fn confidential_settings(out: Out<'_, ConfidentialSettings>) -> Outcome {
    state::machine()?;
    let out = out.ok_or(Code::INVALID_ARGUMENT)?;
    if out.version != SETTINGS_VERSION_1 {
        return Err(Code::ARGUMENT_VERSION_MISMATCH);
    }
    *out = ConfidentialSettings { version: SETTINGS_VERSION_1, state: OFF, cards: 0 };
    Ok(())
}

fn process_name(pid: u32, buffer: *mut c_char, length: u32) -> Outcome {
    state::machine()?;
    let name = std::fs::read(format!("/proc/{pid}/cmdline")).map_err(|_| Code::NOT_FOUND)?;
    let first = name.split(|&byte| byte == 0).next().unwrap_or_default();
    put_text(buffer, length, &String::from_utf8_lossy(first))
}

fn text_of(code: i32) -> &'static CStr {
    match code {
        0 => c"Success",
        1 => c"Uninitialized",
        2 => c"Invalid Argument",
        3 => c"Not Supported",
        4 => c"Insufficient Permissions",
        6 => c"Not Found",
        7 => c"Insufficient Size",
        9 => c"Driver Not Loaded",
        13 => c"Function Not Found",
        25 => c"Argument Version Mismatch",
        _ => c"Unknown Error",
    }
}

/// `nvmlErrorString` of the real library.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(code: i32) -> *const c_char {
    text_of(code).as_ptr()
}

exports! {
    nvmlInit() => state::init();
    nvmlInit_v2() => state::init();
    nvmlInitWithFlags(_flags: u32) => state::init();
    nvmlShutdown() => state::shutdown();
    nvmlSystemGetDriverVersion(buffer: *mut c_char, length: u32) => {
        state::machine().and_then(|_| put_text(buffer, length, DRIVER))
    };
    nvmlSystemGetNVMLVersion(buffer: *mut c_char, length: u32) => {
        state::machine().and_then(|_| put_text(buffer, length, LIBRARY))
    };
    nvmlSystemGetCudaDriverVersion(
        out: Out<'_, i32>,
    ) => put(out, Config::from_env().driver_version as i32);
    nvmlSystemGetCudaDriverVersion_v2(
        out: Out<'_, i32>,
    ) => put(out, Config::from_env().driver_version as i32);
    nvmlSystemGetConfComputeState(out: Out<'_, Confidential>) => confidential(out);
    nvmlSystemGetConfComputeSettings(
        out: Out<'_, ConfidentialSettings>,
    ) => confidential_settings(out);
    nvmlSystemGetProcessName(
        pid: u32, buffer: *mut c_char, length: u32,
    ) => process_name(pid, buffer, length);
}
