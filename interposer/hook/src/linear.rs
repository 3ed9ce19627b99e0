//! Device memory in one piece: `cuMemAlloc`, its pitched and managed forms, `cuMemFree`.

use wire::record::Class;

use crate::{
    abi::Status,
    event::{Event, Op},
    hooks::{Call, Guard},
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

/// `cuMemFree`, which also takes stream-ordered memory.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn free<W: Copy + Into<u64>>(call: &Call<'_>, real: Free<W>, address: W) -> Status {
    let guard = call.enter();
    let classes = [Class::Linear, Class::Managed, Class::PoolBlock];
    let mut end = guard.giving_back(address.into(), 0, &classes);
    let pool = end
        .found()
        .filter(|found| found.class == Class::PoolBlock)
        .and_then(|_| guard.pool_of(address.into()));
    // SAFETY: the program's own call.
    let status = unsafe { real(address) };
    guard.gave_back(&mut end, status);
    if let Some(pool) = pool {
        pool::read(&guard, status, pool);
    }
    status
}
