//! Device memory in one piece: `cuMemAlloc`, its pitched and managed forms, `cuMemFree`.

use wire::record::Class;

use crate::{
    abi::Status,
    call::{Call, Guard},
    event::{Event, Op},
    pool,
};

type Alloc<W> = unsafe extern "C" fn(*mut W, W) -> Status;
type AllocPitch<W> = unsafe extern "C" fn(*mut W, *mut W, W, W, u32) -> Status;
type AllocManaged = unsafe extern "C" fn(*mut u64, u64, u32) -> Status;
type Free<W> = unsafe extern "C" fn(W) -> Status;

/// What a call for `size` bytes of `class` gave.
///
/// # Safety
/// `out` is the program's out-parameter of the call that returned `status`.
unsafe fn took<W: Copy + Into<u64>>(
    guard: &Guard<'_>,
    status: Status,
    class: Class,
    out: *const W,
    size: u64,
) {
    let Some(note) = guard.note(status) else { return };
    // SAFETY: the caller's promise.
    let address = unsafe { note.read(out) };
    let aux = note.driver().context().unwrap_or_default();
    let device = note.current_device();
    note.took(Event { class, address, size, aux, device, ..note.event(Op::Took) });
}

/// `cuMemAlloc`, of 32 bits or of 64.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn alloc<W: Copy + Into<u64>>(
    call: &Call<'_>,
    real: Alloc<W>,
    out: *mut W,
    size: W,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, size) };
    // SAFETY: the program's own out-parameter.
    unsafe { took(&guard, status, Class::Linear, out, size.into()) };
    status
}

/// `cuMemAllocPitch`: rows of `width` bytes, each as long as the driver likes.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn alloc_pitch<W: Copy + Into<u64>>(
    call: &Call<'_>,
    real: AllocPitch<W>,
    out: *mut W,
    pitch: *mut W,
    width: W,
    height: W,
    element: u32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, pitch, width, height, element) };
    let row = guard.note(status).map_or(0, |note| {
        // SAFETY: the program's own out-parameter.
        unsafe { note.read(pitch) }
    });
    let size = row.max(width.into()).saturating_mul(height.into());
    // SAFETY: the program's own out-parameter.
    unsafe { took(&guard, status, Class::Linear, out, size) };
    status
}

/// `cuMemAllocManaged`: address space that may exceed the card; what is resident is not known.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn alloc_managed(
    call: &Call<'_>,
    real: AllocManaged,
    out: *mut u64,
    size: u64,
    flags: u32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, size, flags) };
    // SAFETY: the program's own out-parameter.
    unsafe { took(&guard, status, Class::Managed, out, size) };
    status
}

/// `cuMemFree`, which also takes stream-ordered memory and what shows other interfaces' memory.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn free<W: Copy + Into<u64>>(call: &Call<'_>, real: Free<W>, address: W) -> Status {
    let guard = call.enter();
    let classes =
        [Class::Linear, Class::Managed, Class::PoolBlock, Class::View, Class::ImportedBlock];
    let mut end = guard.giving_back(address.into(), 0, &classes);
    let pool = end
        .found()
        .filter(|found| found.class == Class::PoolBlock)
        .and_then(|_| guard.pool_of(address.into()));
    // SAFETY: the program's own call.
    let status = unsafe { real(address) };
    guard.gave_back(&mut end, status);
    if let Some(pool) = pool {
        pool::read_after_free(&guard, status, pool);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::{POOL_RESERVED, SUCCESS},
        table::Api,
        testing::{event, events, hold, idle, on, ops, recording},
    };

    extern "C" fn alloc_ok(out: *mut u64, _: u64) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0x5000 };
        SUCCESS
    }

    extern "C" fn alloc_fails(out: *mut u64, _: u64) -> Status {
        // SAFETY: as above; a driver may leave anything there.
        unsafe { *out = 0xbad };
        2
    }

    extern "C" fn alloc_narrow(out: *mut u32, _: u32) -> Status {
        // SAFETY: as above.
        unsafe { *out = 0x6000 };
        SUCCESS
    }

    extern "C" fn pitch_ok(out: *mut u64, pitch: *mut u64, _: u64, _: u64, _: u32) -> Status {
        // SAFETY: as above.
        unsafe { *out = 0x5000 };
        // SAFETY: as above.
        unsafe { *pitch = 512 };
        SUCCESS
    }

    extern "C" fn free_ok(_: u64) -> Status {
        SUCCESS
    }

    extern "C" fn free_fails(_: u64) -> Status {
        700
    }

    #[test]
    fn an_allocation_says_where_how_much_and_in_which_context() {
        let mut out = 0;
        // SAFETY: valid arguments.
        let status = on(&recording(), Api::cuMemAlloc_v2, |call| unsafe {
            alloc(call, alloc_ok, &raw mut out, 100)
        });
        assert_eq!((status, out), (SUCCESS, 0x5000));
        let took = event();
        let got = (took.op, took.class, took.api, took.device, took.result);
        assert_eq!(got, (Op::Took, Class::Linear, Api::cuMemAlloc_v2 as u8, 2, 0));
        assert_eq!((took.address, took.size, took.aux), (0x5000, 100, 0xc0));
        assert!(!took.private);
    }

    #[test]
    fn a_failure_says_what_was_asked_for_and_reads_nothing() {
        let mut out = 0;
        // SAFETY: valid arguments.
        let status = on(&recording(), Api::cuMemAlloc_v2, |call| unsafe {
            alloc(call, alloc_fails, &raw mut out, 100)
        });
        assert_eq!(status, 2);
        let failed = event();
        assert_eq!((failed.op, failed.result), (Op::Took, 2));
        assert_eq!((failed.address, failed.size), (0, 100));
    }

    #[test]
    fn the_old_form_writes_and_is_read_32_bits_wide() {
        let mut out = [0, 0x5555_5555];
        // SAFETY: valid arguments.
        on(&recording(), Api::cuMemAlloc, |call| unsafe {
            alloc(call, alloc_narrow, out.as_mut_ptr(), 100_u32)
        });
        assert_eq!(event().address, 0x6000);
    }

    #[test]
    fn rows_count_with_the_length_that_the_driver_gave_them() {
        let (mut out, mut pitch) = (0, 0);
        // SAFETY: valid arguments.
        on(&recording(), Api::cuMemAllocPitch_v2, |call| unsafe {
            alloc_pitch(call, pitch_ok, &raw mut out, &raw mut pitch, 100_u64, 10, 4)
        });
        assert_eq!(event().size, 5120);
    }

    fn free_of(address: u64, real: Free<u64>) -> Status {
        // SAFETY: the real ones take any number.
        on(&recording(), Api::cuMemFree_v2, |call| unsafe { free(call, real, address) })
    }

    #[test]
    fn a_free_is_told_before_and_after_with_what_the_recorder_found() {
        hold(0x5000, 100, Class::Linear);
        for (real, result) in [(free_ok as Free<u64>, 0), (free_fails, 700)] {
            assert_eq!(free_of(0x5000, real), result);
            let [before, after] = events()[..] else { panic!("two halves") };
            assert_eq!((before.op, before.address), (Op::GivingBack, 0x5000));
            assert_eq!((after.op, after.result, after.entry), (Op::GaveBack, result, 1));
        }
        assert_eq!(free_of(0, free_ok), SUCCESS);
        assert_eq!(ops(), []);
    }

    extern "C" fn attribute(_: u64, attribute: u32, out: *mut u64) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { *out = if attribute == POOL_RESERVED { 4096 } else { 64 } };
        SUCCESS
    }

    extern "C" fn pool_of(out: *mut u64, _: u32, _: u64) -> Status {
        // SAFETY: as above.
        unsafe { *out = 0x900 };
        SUCCESS
    }

    #[test]
    fn freeing_stream_ordered_memory_reads_its_pool() {
        hold(0x9000, 100, Class::PoolBlock);
        let hooks = recording();
        hooks.driver.set("cuMemPoolGetAttribute", attribute as *const () as usize);
        hooks.driver.set("cuPointerGetAttribute", pool_of as *const () as usize);
        // SAFETY: the real one takes any number.
        on(&hooks, Api::cuMemFree_v2, |call| unsafe { free(call, free_ok, 0x9000_u64) });
        let [_, _, reading] = events()[..] else { panic!("two halves and a reading") };
        let got = (reading.op, reading.address, reading.size, reading.aux);
        assert_eq!(got, (Op::PoolReading, 0x900, 4096, 64));
    }

    #[test]
    fn a_call_inside_another_is_passed_on_and_not_recorded() {
        let mut out = 0;
        let freed = on(&recording(), Api::cuMemAlloc_v2, |call| {
            let _outer = call.enter();
            // SAFETY: valid arguments.
            unsafe { alloc(call, alloc_ok, &raw mut out, 100_u64) };
            // SAFETY: the real one takes any number.
            unsafe { free(call, free_fails, 0x5000_u64) }
        });
        assert_eq!((out, freed), (0x5000, 700));
        assert_eq!(ops(), []);
    }

    #[test]
    fn the_first_success_opens_the_recorder_and_a_failure_does_not() {
        let hooks = idle();
        let mut out = 0;
        for (real, want) in [
            (alloc_fails as Alloc<u64>, &[][..]),
            (alloc_ok, &[Op::Driver, Op::Lost, Op::Took]),
            (alloc_fails, &[Op::Took]),
        ] {
            // SAFETY: valid arguments.
            on(&hooks, Api::cuMemAlloc_v2, |call| unsafe { alloc(call, real, &raw mut out, 100) });
            // These hooks know no device: counted once per success.
            assert_eq!(ops(), want);
        }
    }
}
