//! Copies and fills.
use crate::context;
use crate::driver::Driver;
use crate::export::{forward, with_context};
use crate::types::{Address, Device, Handle, INVALID_VALUE, Outcome, Status};
use std::ffi::{c_int, c_uint};
use std::ptr::{from_ref, null_mut};

const HOST_TO_HOST: c_int = 0;
const HOST_TO_DEVICE: c_int = 1;
const DEVICE_TO_HOST: c_int = 2;
const DEVICE_TO_DEVICE: c_int = 3;
/// The driver finds out from the addresses.
const DEFAULT: c_int = 4;

/// `CUmemorytype`.
const HOST: c_uint = 1;
const DEVICE: c_uint = 2;
const UNIFIED: c_uint = 4;

/// `CUDA_MEMCPY2D`.
#[repr(C)]
struct Copy2D {
    from: Side2D,
    to: Side2D,
    width: usize,
    height: usize,
}

/// One side of a `CUDA_MEMCPY2D`. Host and device address are two fields; `memory` says which one
/// counts.
#[repr(C)]
struct Side2D {
    x: usize,
    y: usize,
    memory: c_uint,
    host: Address,
    device: Address,
    array: Handle,
    pitch: usize,
}

impl Side2D {
    fn new(memory: c_uint, address: Address, pitch: usize) -> Self {
        Self { x: 0, y: 0, memory, host: address, device: address, array: null_mut(), pitch }
    }
}

fn copy_2d(
    to: (Address, usize),
    from: (Address, usize),
    extent: (usize, usize),
    kind: c_int,
) -> Result<Copy2D, Status> {
    let (from_memory, to_memory) = match kind {
        HOST_TO_HOST => (HOST, HOST),
        HOST_TO_DEVICE => (HOST, DEVICE),
        DEVICE_TO_HOST => (DEVICE, HOST),
        DEVICE_TO_DEVICE => (DEVICE, DEVICE),
        DEFAULT => (UNIFIED, UNIFIED),
        _ => return Err(INVALID_VALUE),
    };
    Ok(Copy2D {
        from: Side2D::new(from_memory, from.0, from.1),
        to: Side2D::new(to_memory, to.0, to.1),
        width: extent.0,
        height: extent.1,
    })
}

/// # Safety
/// `to` and `from` are valid for `size` bytes on the sides that `kind` names.
unsafe fn copy(driver: &Driver, to: Address, from: Address, size: usize, kind: c_int) -> Outcome {
    match kind {
        // SAFETY: the caller's promise, for each of the four.
        HOST_TO_DEVICE => unsafe { driver.cuMemcpyHtoD(to, from, size) },
        // SAFETY: as above.
        DEVICE_TO_HOST => unsafe { driver.cuMemcpyDtoH(to, from, size) },
        // SAFETY: as above.
        DEVICE_TO_DEVICE => unsafe { driver.cuMemcpyDtoD(to, from, size) },
        // SAFETY: as above.
        HOST_TO_HOST | DEFAULT => unsafe { driver.cuMemcpy(to, from, size) },
        _ => Err(INVALID_VALUE),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemcpy(to: Address, from: Address, size: usize, kind: c_int) -> Status {
    with_context(|driver| {
        // SAFETY: the caller's promise.
        unsafe { copy(driver, to, from, size, kind) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemcpyAsync(
    to: Address,
    from: Address,
    size: usize,
    kind: c_int,
    stream: Handle,
) -> Status {
    with_context(|driver| match kind {
        // SAFETY: the caller's promise, for each of the four.
        HOST_TO_DEVICE => unsafe { driver.cuMemcpyHtoDAsync(to, from, size, stream) },
        // SAFETY: as above.
        DEVICE_TO_HOST => unsafe { driver.cuMemcpyDtoHAsync(to, from, size, stream) },
        // SAFETY: as above.
        DEVICE_TO_DEVICE => unsafe { driver.cuMemcpyDtoDAsync(to, from, size, stream) },
        // SAFETY: as above.
        HOST_TO_HOST | DEFAULT => unsafe { driver.cuMemcpyAsync(to, from, size, stream) },
        _ => Err(INVALID_VALUE),
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemcpy2D(
    to: Address,
    to_pitch: usize,
    from: Address,
    from_pitch: usize,
    width: usize,
    height: usize,
    kind: c_int,
) -> Status {
    with_context(|driver| {
        let copy = copy_2d((to, to_pitch), (from, from_pitch), (width, height), kind)?;
        // SAFETY: a local of the driver's layout; its addresses are the caller's promise.
        unsafe { driver.cuMemcpy2D(from_ref(&copy).cast()) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemcpy2DAsync(
    to: Address,
    to_pitch: usize,
    from: Address,
    from_pitch: usize,
    width: usize,
    height: usize,
    kind: c_int,
    stream: Handle,
) -> Status {
    with_context(|driver| {
        let copy = copy_2d((to, to_pitch), (from, from_pitch), (width, height), kind)?;
        // SAFETY: a local of the driver's layout; its addresses are the caller's promise.
        unsafe { driver.cuMemcpy2DAsync(from_ref(&copy).cast(), stream) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemcpyPeer(
    to: Address,
    to_device: Device,
    from: Address,
    from_device: Device,
    size: usize,
) -> Status {
    with_context(|driver| {
        let to_context = context::primary(driver, to_device)?;
        let from_context = context::primary(driver, from_device)?;
        // SAFETY: the caller's promise; the contexts are the devices' own.
        unsafe { driver.cuMemcpyPeer(to, to_context, from, from_context, size) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemcpyPeerAsync(
    to: Address,
    to_device: Device,
    from: Address,
    from_device: Device,
    size: usize,
    stream: Handle,
) -> Status {
    with_context(|driver| {
        let to_context = context::primary(driver, to_device)?;
        let from_context = context::primary(driver, from_device)?;
        // SAFETY: the caller's promise; the contexts are the devices' own.
        unsafe { driver.cuMemcpyPeerAsync(to, to_context, from, from_context, size, stream) }
    })
}

// The runtime takes a fill value as an int and uses its low byte.
forward! {
    with_context: cudaMemset(to: Address, value: c_int, count: usize)
        = cuMemsetD8(to, value as u8, count);
    with_context: cudaMemsetAsync(to: Address, value: c_int, count: usize, stream: Handle)
        = cuMemsetD8Async(to, value as u8, count, stream);
    with_context: cudaMemset2D(to: Address, pitch: usize, value: c_int, width: usize, height: usize)
        = cuMemsetD2D8(to, pitch, value as u8, width, height);
    with_context: cudaMemset2DAsync(
        to: Address, pitch: usize, value: c_int, width: usize, height: usize, stream: Handle
    ) = cuMemsetD2D8Async(to, pitch, value as u8, width, height, stream);
}
