//! Blocks of PyTorch's caching allocator, as it reports them to its profiler.
//!
//! `libc10_cuda.so` calls these for every block, profiler or not, under the allocator's lock. They
//! run inside that lock, so they open no recorder and take no lock of the loader.

use wire::{header::Counter, record::Class};

use crate::{
    abi::{SUCCESS, ordinal},
    call::{Call, Note},
    event::{Event, Op},
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        table::Api,
        testing::{event, idle, on, ops, recording},
    };

    fn report(hooks: &crate::hooks::Hooks, size: i64, device: u16) {
        on(hooks, Api::reportMemoryUsageToProfiler, |call| {
            // SAFETY: there is no real function here.
            unsafe { report_usage(call, None, 0x7000, size, 1000, 2000, device) }
        });
    }

    #[test]
    fn a_block_comes_with_the_allocators_own_sums() {
        report(&recording(), 512, 0x0201);
        let block = event();
        assert_eq!((block.op, block.class, block.device), (Op::Took, Class::Block, 2));
        let got = (block.address, block.size, block.aux, block.extra);
        assert_eq!(got, (0x7000, 512, 1000, 2000));
    }

    #[test]
    fn a_negative_size_is_a_block_taken_back() {
        for (size, want) in [(-512, 512), (i64::MIN, 1 << 63)] {
            report(&recording(), size, 0x0201);
            let block = event();
            assert_eq!((block.op, block.class, block.size), (Op::BlockBack, Class::Block, want));
        }
    }

    #[test]
    fn the_cpu_is_none_of_ours_and_a_device_without_a_name_is_counted() {
        let hooks = recording();
        report(&hooks, 512, 0xff00);
        assert_eq!(ops(), []);
        for index in [0x3f, 0x40, 0xff] {
            report(&hooks, 512, index << 8 | 1);
            let lost = event();
            assert_eq!((lost.op, lost.size), (Op::Lost, Counter::ForeignDevice as u64));
        }
    }

    #[test]
    fn a_block_opens_no_recorder() {
        report(&idle(), 512, 0x0001);
        assert_eq!(ops(), []);
    }

    extern "C" fn free_bytes(free: *mut u64, total: *mut u64) -> i32 {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { *free = 77 };
        // SAFETY: as above.
        unsafe { *total = 100 };
        0
    }

    #[test]
    fn an_out_of_memory_tells_what_was_free_if_its_device_is_current() {
        let hooks = recording();
        hooks.driver.set("cuMemGetInfo_v2", free_bytes as *const () as usize);
        for (device, free) in [(0x0201, 77), (0x0001, 0)] {
            on(&hooks, Api::reportOutOfMemoryToProfiler, |call| {
                // SAFETY: there is no real function here.
                unsafe { report_out_of_memory(call, None, 512, 1000, 2000, device) }
            });
            let oom = event();
            let got = (oom.op, oom.size, oom.address, oom.aux, oom.extra);
            assert_eq!(got, (Op::OutOfMemory, 512, 1000, 2000, free));
        }
    }
}
