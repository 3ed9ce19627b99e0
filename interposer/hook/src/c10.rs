//! Blocks of PyTorch's caching allocator, as it reports them to its profiler.
//!
//! `libc10_cuda.so` calls these for every block, profiler or not, under the allocator's lock. They
//! run inside that lock, so they open no recorder and take no lock of the loader.

use wire::{header::Counter, record::Class};

use crate::{
    abi::{SUCCESS, ordinal},
    event::{Event, Op},
    hooks::{Call, Note},
};

type ReportUsage = unsafe extern "C" fn(u64, i64, u64, u64, u16);
type ReportOutOfMemory = unsafe extern "C" fn(i64, u64, u64, u16);

/// `c10::DeviceType::CUDA`.
const CUDA: u8 = 1;

/// The CUDA ordinal in a `c10::Device`, two bytes in one register: type and index. Reports about
/// other kinds of device are none of ours; a CUDA device we cannot name is counted.
fn cuda_device(note: &Note<'_>, device: u16) -> Option<u8> {
    let [kind, index] = device.to_le_bytes();
    if kind != CUDA {
        return None;
    }
    let index = ordinal(i8::from_le_bytes([index]).into());
    if index.is_none() {
        note.lost(Counter::ForeignDevice);
    }
    index
}

/// `c10::reportMemoryUsageToProfiler`: a block was handed out, or with a negative size taken back.
///
/// # Safety
/// `real`, if it was found, is the real function; the arguments are the program's.
pub unsafe fn report_usage(
    call: &Call<'_>,
    real: Option<ReportUsage>,
    address: u64,
    size: i64,
    allocated: u64,
    reserved: u64,
    device: u16,
) {
    let guard = call.enter();
    if let Some(real) = real {
        // SAFETY: the program's own call.
        unsafe { real(address, size, allocated, reserved, device) };
    }
    let Some(note) = guard.note_if_started(SUCCESS) else { return };
    let Some(device) = cuda_device(&note, device) else { return };
    let event = note.event(if size < 0 { Op::BlockBack } else { Op::Took });
    let (class, size) = (Class::Block, size.unsigned_abs());
    note.publish(Event { class, address, size, aux: allocated, extra: reserved, device, ..event });
}

/// `c10::reportOutOfMemoryToProfiler`: no block could be had.
///
/// # Safety
/// `real`, if it was found, is the real function; the arguments are the program's.
pub unsafe fn report_out_of_memory(
    call: &Call<'_>,
    real: Option<ReportOutOfMemory>,
    size: i64,
    allocated: u64,
    reserved: u64,
    device: u16,
) {
    let guard = call.enter();
    if let Some(real) = real {
        // SAFETY: the program's own call.
        unsafe { real(size, allocated, reserved, device) };
    }
    let Some(note) = guard.note_if_started(SUCCESS) else { return };
    let Some(device) = cuda_device(&note, device) else { return };
    let free = if note.current_device() == device { note.driver().free() } else { None };
    note.publish(Event {
        class: Class::Block,
        address: allocated,
        size: size.unsigned_abs(),
        aux: reserved,
        extra: free.unwrap_or_default(),
        device,
        ..note.event(Op::OutOfMemory)
    });
}
