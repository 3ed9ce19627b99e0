//! Device, managed and pinned host memory.
use crate::export::{forward, with_context};
use crate::types::{Address, Handle, Location, Out, Status};
use std::ffi::{c_int, c_uint};
use std::ptr::null_mut;

/// `CU_MEMHOSTALLOC_PORTABLE`: the runtime pins for all contexts.
const PORTABLE: c_uint = 1;

forward! {
    with_context: cudaMemGetInfo(free: *mut usize, total: *mut usize) = cuMemGetInfo(free, total);
    with_context: cudaMallocManaged(address: *mut Address, size: usize, flags: c_uint)
        = cuMemAllocManaged(address, size, flags);
    with_context: cudaMallocPitch(
        address: *mut Address, pitch: *mut usize, width: usize, height: usize
    ) = cuMemAllocPitch(address, pitch, width, height, 4);
    with_context: cudaMallocHost(address: *mut Address, size: usize)
        = cuMemHostAlloc(address, size, PORTABLE);
    with_context: cudaHostAlloc(address: *mut Address, size: usize, flags: c_uint)
        = cuMemHostAlloc(address, size, flags | PORTABLE);
    with_context: cudaHostGetDevicePointer(device: *mut Address, host: Address, flags: c_uint)
        = cuMemHostGetDevicePointer(device, host, flags);
    with_context: cudaHostGetFlags(flags: *mut c_uint, host: Address)
        = cuMemHostGetFlags(flags, host);
    with_context: cudaHostRegister(host: Address, size: usize, flags: c_uint)
        = cuMemHostRegister(host, size, flags | PORTABLE);
    with_context: cudaHostUnregister(host: Address) = cuMemHostUnregister(host);
    with_context: cudaMemAdvise(address: Address, size: usize, advice: c_int, location: Location)
        = cuMemAdvise(address, size, advice, location);
    with_context: cudaMemPrefetchAsync(
        address: Address, size: usize, location: Location, flags: c_uint, stream: Handle
    ) = cuMemPrefetchAsync(address, size, location, flags, stream);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMalloc(address: Out<Address>, size: usize) -> Status {
    with_context(|driver| {
        let mut allocated = null_mut();
        if size > 0 {
            // SAFETY: a local for the result.
            unsafe { driver.cuMemAlloc(&mut allocated, size) }?;
        }
        address.set(allocated)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaFree(address: Address) -> Status {
    with_context(|driver| {
        if address.is_null() {
            return Ok(());
        }
        // SAFETY: the driver checks the address.
        unsafe { driver.cuMemFree(address) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaFreeHost(address: Address) -> Status {
    with_context(|driver| {
        if address.is_null() {
            return Ok(());
        }
        // SAFETY: the driver checks the address.
        unsafe { driver.cuMemFreeHost(address) }
    })
}
