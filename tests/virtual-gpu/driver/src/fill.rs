//! Fills. A large fill with zeros gives the pages back instead of writing them, so that
//! `torch.zeros` of a gigabyte takes no memory of the test machine.

use crate::capture::NodeKind;
use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::store::GRANULE;

const PAGE: u64 = 4096;

/// A value of 1, 2 or 4 bytes, repeated.
#[derive(Clone, Copy)]
struct Pattern {
    value: u32,
    width: u64,
}

impl Driver {
    fn fill(&mut self, address: u64, pattern: Pattern, count: usize) -> Outcome {
        let bytes = (count as u64).checked_mul(pattern.width).ok_or(Code::INVALID_VALUE)?;
        if !address.is_multiple_of(pattern.width) {
            return Err(Code::INVALID_VALUE);
        }
        if bytes == 0 {
            return Ok(());
        }
        self.check_device_range(address, bytes)?;
        if pattern.value == 0 && bytes >= GRANULE && drop_pages(address, bytes) {
            return Ok(());
        }
        if bytes <= self.config.copy_max_bytes {
            write_all(address, pattern, count);
        }
        Ok(())
    }
}

/// Zeroes a range by giving its pages back. False where it is no mapping of a card's file.
fn drop_pages(address: u64, bytes: u64) -> bool {
    let start = address.next_multiple_of(PAGE);
    let end = (address + bytes) / PAGE * PAGE;
    // SAFETY: whole pages inside a range that is allocated and accessible.
    let result = unsafe {
        libc::madvise(start as *mut libc::c_void, (end - start) as usize, libc::MADV_REMOVE)
    };
    if result != 0 {
        return false;
    }
    let zero = Pattern { value: 0, width: 1 };
    write_all(address, zero, (start - address) as usize);
    write_all(end, zero, (address + bytes - end) as usize);
    true
}

fn write_all(address: u64, pattern: Pattern, count: usize) {
    match pattern.width {
        // SAFETY: the range was checked to be allocated, accessible and aligned.
        1 => unsafe { std::ptr::write_bytes(address as *mut u8, pattern.value as u8, count) },
        2 => {
            // SAFETY: as above.
            unsafe { std::slice::from_raw_parts_mut(address as *mut u16, count) }
                .fill(pattern.value as u16);
        }
        _ => {
            // SAFETY: as above.
            unsafe { std::slice::from_raw_parts_mut(address as *mut u32, count) }
                .fill(pattern.value);
        }
    }
}

fn linear(driver: &mut Driver, address: u64, pattern: Pattern, count: usize) -> Outcome {
    driver.current()?;
    driver.fill(address, pattern, count)
}

fn rows(
    driver: &mut Driver,
    address: u64,
    pitch: usize,
    pattern: Pattern,
    width: usize,
    height: usize,
) -> Outcome {
    driver.current()?;
    (0..height).try_for_each(|row| driver.fill(address + (row * pitch) as u64, pattern, width))
}

/// The functions of one width, plain and in a stream.
macro_rules! fills {
    ($($bytes:literal $type:ty: $one:ident $one_async:ident $two:ident $two_async:ident)*) => {$(
        fn $one(driver: &mut Driver, address: u64, value: $type, count: usize) -> Outcome {
            linear(driver, address, Pattern { value: value.into(), width: $bytes }, count)
        }

        fn $one_async(
            driver: &mut Driver,
            address: u64,
            value: $type,
            count: usize,
            stream: u64,
        ) -> Outcome {
            match driver.runs_now(stream, NodeKind::Fill)? {
                true => $one(driver, address, value, count),
                false => Ok(()),
            }
        }

        fn $two(
            driver: &mut Driver,
            address: u64,
            pitch: usize,
            value: $type,
            width: usize,
            height: usize,
        ) -> Outcome {
            let pattern = Pattern { value: value.into(), width: $bytes };
            rows(driver, address, pitch, pattern, width, height)
        }

        fn $two_async(
            driver: &mut Driver,
            address: u64,
            pitch: usize,
            value: $type,
            width: usize,
            height: usize,
            stream: u64,
        ) -> Outcome {
            match driver.runs_now(stream, NodeKind::Fill)? {
                true => $two(driver, address, pitch, value, width, height),
                false => Ok(()),
            }
        }
    )*};
}

fills! {
    1 u8: d8 d8_async d2d8 d2d8_async
    2 u16: d16 d16_async d2d16 d2d16_async
    4 u32: d32 d32_async d2d32 d2d32_async
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemsetD8(address: u64, value: u8, count: usize) => locked d8 {
        3020: cuMemsetD8_v2, 7000 twin: cuMemsetD8_v2_ptds,
    }
    cuMemsetD16(address: u64, value: u16, count: usize) => locked d16 {
        3020: cuMemsetD16_v2, 7000 twin: cuMemsetD16_v2_ptds,
    }
    cuMemsetD32(address: u64, value: u32, count: usize) => locked d32 {
        3020: cuMemsetD32_v2, 7000 twin: cuMemsetD32_v2_ptds,
    }
    cuMemsetD8Async(address: u64, value: u8, count: usize, stream: u64) => locked d8_async {
        3020: cuMemsetD8Async, 7000 twin: cuMemsetD8Async_ptsz,
    }
    cuMemsetD16Async(address: u64, value: u16, count: usize, stream: u64) => locked d16_async {
        3020: cuMemsetD16Async, 7000 twin: cuMemsetD16Async_ptsz,
    }
    cuMemsetD32Async(address: u64, value: u32, count: usize, stream: u64) => locked d32_async {
        3020: cuMemsetD32Async, 7000 twin: cuMemsetD32Async_ptsz,
    }
    cuMemsetD2D8(
        address: u64, pitch: usize, value: u8, width: usize, height: usize,
    ) => locked d2d8 {
        3020: cuMemsetD2D8_v2, 7000 twin: cuMemsetD2D8_v2_ptds,
    }
    cuMemsetD2D16(
        address: u64, pitch: usize, value: u16, width: usize, height: usize,
    ) => locked d2d16 {
        3020: cuMemsetD2D16_v2, 7000 twin: cuMemsetD2D16_v2_ptds,
    }
    cuMemsetD2D32(
        address: u64, pitch: usize, value: u32, width: usize, height: usize,
    ) => locked d2d32 {
        3020: cuMemsetD2D32_v2, 7000 twin: cuMemsetD2D32_v2_ptds,
    }
    cuMemsetD2D8Async(
        address: u64, pitch: usize, value: u8, width: usize, height: usize, stream: u64,
    ) => locked d2d8_async {
        3020: cuMemsetD2D8Async, 7000 twin: cuMemsetD2D8Async_ptsz,
    }
    cuMemsetD2D16Async(
        address: u64, pitch: usize, value: u16, width: usize, height: usize, stream: u64,
    ) => locked d2d16_async {
        3020: cuMemsetD2D16Async, 7000 twin: cuMemsetD2D16Async_ptsz,
    }
    cuMemsetD2D32Async(
        address: u64, pitch: usize, value: u32, width: usize, height: usize, stream: u64,
    ) => locked d2d32_async {
        3020: cuMemsetD2D32Async, 7000 twin: cuMemsetD2D32Async_ptsz,
    }
};
