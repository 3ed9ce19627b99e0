//! Pinned host memory.

use wire::record::Class;

use crate::{
    abi::Status,
    call::{Call, Guard},
    event::{Event, Op},
};

type Alloc<W> = unsafe extern "C" fn(*mut u64, W) -> Status;
type AllocFlags = unsafe extern "C" fn(*mut u64, u64, u32) -> Status;
type Register = unsafe extern "C" fn(u64, u64, u32) -> Status;
type Free = unsafe extern "C" fn(u64) -> Status;

/// # Safety
/// `out` is the program's out-parameter of the call that returned `status`.
unsafe fn took(guard: &Guard<'_>, status: Status, out: *const u64, size: u64, flags: u32) {
    let Some(note) = guard.note(status) else { return };
    // SAFETY: the caller's promise.
    let address = unsafe { note.read(out) };
    let (device, aux) = (note.current_device(), flags.into());
    let (class, extra) = (Class::Host, note.driver().context().unwrap_or_default());
    note.took(Event { class, address, size, aux, extra, device, ..note.event(Op::Took) });
}

/// `cuMemAllocHost`, whose size has 32 bits or 64.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn alloc<W: Copy + Into<u64>>(
    call: &Call<'_>,
    real: Alloc<W>,
    out: *mut u64,
    size: W,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, size) };
    // SAFETY: the program's own out-parameter.
    unsafe { took(&guard, status, out, size.into(), 0) };
    status
}

/// `cuMemHostAlloc`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn alloc_flags(
    call: &Call<'_>,
    real: AllocFlags,
    out: *mut u64,
    size: u64,
    flags: u32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, size, flags) };
    // SAFETY: the program's own out-parameter.
    unsafe { took(&guard, status, out, size, flags) };
    status
}

/// `cuMemFreeHost`, and `cuMemHostUnregister`, after which it is pinned no more.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn free(call: &Call<'_>, real: Free, address: u64) -> Status {
    let guard = call.enter();
    let mut end = guard.giving_back(address, 0, &[Class::Host]);
    // SAFETY: the program's own call.
    let status = unsafe { real(address) };
    guard.gave_back(&mut end, status);
    status
}

/// `cuMemHostRegister`: memory that the program has already is pinned.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn register(
    call: &Call<'_>,
    real: Register,
    address: u64,
    size: u64,
    flags: u32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(address, size, flags) };
    // SAFETY: our own local in place of an out-parameter.
    unsafe { took(&guard, status, &raw const address, size, flags) };
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::SUCCESS,
        table::Api,
        testing::{event, events, hold, on, recording},
    };

    extern "C" fn alloc_ok(out: *mut u64, _: u64, _: u32) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0x8000 };
        SUCCESS
    }

    extern "C" fn free_ok(_: u64) -> Status {
        SUCCESS
    }

    #[test]
    fn pinned_memory_keeps_its_flags_and_is_given_back_as_pinned_memory_only() {
        let hooks = recording();
        let mut out = 0;
        // SAFETY: valid arguments.
        on(&hooks, Api::cuMemHostAlloc, |call| unsafe {
            alloc_flags(call, alloc_ok, &raw mut out, 100, 3)
        });
        let took = event();
        let got = (took.class, took.address, took.size, took.aux, took.extra);
        assert_eq!(got, (Class::Host, 0x8000, 100, 3, 0xc0), "flags and context");
        hold(0x8000, 100, Class::Linear);
        // SAFETY: the real one takes any number.
        on(&hooks, Api::cuMemFreeHost, |call| unsafe { free(call, free_ok, 0x8000) });
        assert_eq!(events()[0].classes, 1 << Class::Host as u32);
    }

    extern "C" fn register_ok(_: u64, _: u64, _: u32) -> Status {
        SUCCESS
    }

    #[test]
    fn memory_that_was_registered_is_pinned_where_it_lies() {
        // SAFETY: the real one takes any numbers.
        on(&recording(), Api::cuMemHostRegister_v2, |call| unsafe {
            register(call, register_ok, 0x9000, 4096, 2)
        });
        let took = event();
        let got = (took.op, took.class, took.address, took.size, took.aux);
        assert_eq!(got, (Op::Took, Class::Host, 0x9000, 4096, 2));
    }
}
