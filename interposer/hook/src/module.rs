//! Code: modules, libraries of kernels, functions. It takes memory that no call tells, so what is
//! recorded is only that it was loaded.

use wire::record::Step;

use crate::{
    abi::Status,
    call::{Call, Guard, Note},
};

type Load = unsafe extern "C" fn(*mut u64, usize) -> Status;
type LoadWith = unsafe extern "C" fn(*mut u64, usize, u32, usize, usize) -> Status;
type LoadLibrary =
    unsafe extern "C" fn(*mut u64, usize, usize, usize, u32, usize, usize, u32) -> Status;
type ByName = unsafe extern "C" fn(u64) -> Status;

/// # Safety
/// `out` is the program's out-parameter of the call that returned `status`.
unsafe fn loaded(guard: &Guard<'_>, status: Status, out: *const u64) {
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        // SAFETY: the caller's promise.
        let module = unsafe { note.read(out) };
        note.called(Step::ModuleLoaded, module, 0);
    }
}

/// `cuModuleLoad`, `cuModuleLoadData`, `cuModuleLoadFatBinary`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn load(call: &Call<'_>, real: Load, out: *mut u64, image: usize) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, image) };
    // SAFETY: the program's own out-parameter.
    unsafe { loaded(&guard, status, out) };
    status
}

/// `cuModuleLoadDataEx`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn load_with(
    call: &Call<'_>,
    real: LoadWith,
    out: *mut u64,
    image: usize,
    count: u32,
    options: usize,
    values: usize,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, image, count, options, values) };
    // SAFETY: the program's own out-parameter.
    unsafe { loaded(&guard, status, out) };
    status
}

/// `cuLibraryLoadData`, `cuLibraryLoadFromFile`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
#[allow(clippy::too_many_arguments, reason = "the real function's")]
pub unsafe fn load_library(
    call: &Call<'_>,
    real: LoadLibrary,
    out: *mut u64,
    code: usize,
    jit: usize,
    jit_values: usize,
    jit_count: u32,
    options: usize,
    values: usize,
    count: u32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, code, jit, jit_values, jit_count, options, values, count) };
    // SAFETY: the program's own out-parameter.
    unsafe { loaded(&guard, status, out) };
    status
}

/// `cuModuleUnload`, `cuLibraryUnload`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn unload(call: &Call<'_>, real: ByName, module: u64) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(module) };
    guard.called(status, Step::ModuleUnloaded, module, 0);
    status
}

/// `cuFuncLoad`: what is loaded when it is needed is loaded now.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn load_function(call: &Call<'_>, real: ByName, function: u64) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(function) };
    guard.called(status, Step::FunctionLoaded, function, 0);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::SUCCESS,
        event::Op,
        table::Api,
        testing::{event, on, ops, recording},
    };

    extern "C" fn load_ok(out: *mut u64, _: usize) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0x3d };
        SUCCESS
    }

    extern "C" fn load_fails(_: *mut u64, _: usize) -> Status {
        209
    }

    extern "C" fn unload_ok(_: u64) -> Status {
        SUCCESS
    }

    #[test]
    fn code_that_was_loaded_is_a_step_and_code_that_was_not_is_none() {
        let hooks = recording();
        let mut out = 0;
        // SAFETY: valid arguments.
        on(&hooks, Api::cuModuleLoadData, |call| unsafe { load(call, load_ok, &raw mut out, 1) });
        let step = event();
        let got = (step.op, step.address, step.aux, step.device);
        assert_eq!(got, (Op::Called, 0x3d, Step::ModuleLoaded as u64, 2));
        // SAFETY: valid arguments.
        on(&hooks, Api::cuModuleLoadData, |call| unsafe {
            load(call, load_fails, &raw mut out, 1)
        });
        assert_eq!(ops(), []);
        // SAFETY: the real one takes any number.
        on(&hooks, Api::cuModuleUnload, |call| unsafe { unload(call, unload_ok, 0x3d) });
        assert_eq!(event().aux, Step::ModuleUnloaded as u64);
    }
}
