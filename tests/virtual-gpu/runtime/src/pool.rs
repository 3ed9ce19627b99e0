//! Stream-ordered memory and its pools.
use crate::export::forward;
use crate::types::{Address, Device, Handle, Location};
use std::ffi::{c_int, c_void};

forward! {
    with_context: cudaMallocAsync(address: *mut Address, size: usize, stream: Handle)
        = cuMemAllocAsync(address, size, stream);
    with_context: cudaMallocFromPoolAsync(
        address: *mut Address, size: usize, pool: Handle, stream: Handle
    ) = cuMemAllocFromPoolAsync(address, size, pool, stream);
    with_context: cudaFreeAsync(address: Address, stream: Handle) = cuMemFreeAsync(address, stream);

    with_driver: cudaDeviceGetDefaultMemPool(pool: *mut Handle, device: Device)
        = cuDeviceGetDefaultMemPool(pool, device);
    with_driver: cudaDeviceGetMemPool(pool: *mut Handle, device: Device)
        = cuDeviceGetMemPool(pool, device);
    with_driver: cudaDeviceSetMemPool(device: Device, pool: Handle)
        = cuDeviceSetMemPool(device, pool);
    with_driver: cudaDeviceGetGraphMemAttribute(
        device: Device, attribute: c_int, value: *mut c_void
    ) = cuDeviceGetGraphMemAttribute(device, attribute, value);
    with_driver: cudaDeviceSetGraphMemAttribute(
        device: Device, attribute: c_int, value: *mut c_void
    ) = cuDeviceSetGraphMemAttribute(device, attribute, value);
    with_driver: cudaDeviceGraphMemTrim(device: Device) = cuDeviceGraphMemTrim(device);

    with_context: cudaMemPoolCreate(pool: *mut Handle, properties: *const c_void)
        = cuMemPoolCreate(pool, properties);
    with_context: cudaMemPoolDestroy(pool: Handle) = cuMemPoolDestroy(pool);
    with_context: cudaMemPoolTrimTo(pool: Handle, keep: usize) = cuMemPoolTrimTo(pool, keep);
    with_context: cudaMemPoolSetAttribute(pool: Handle, attribute: c_int, value: *mut c_void)
        = cuMemPoolSetAttribute(pool, attribute, value);
    with_context: cudaMemPoolGetAttribute(pool: Handle, attribute: c_int, value: *mut c_void)
        = cuMemPoolGetAttribute(pool, attribute, value);
    with_context: cudaMemPoolSetAccess(pool: Handle, map: *const c_void, count: usize)
        = cuMemPoolSetAccess(pool, map, count);
    with_context: cudaMemPoolGetAccess(flags: *mut c_int, pool: Handle, location: *mut Location)
        = cuMemPoolGetAccess(flags, pool, location);
    with_context: cudaMemPoolExportToShareableHandle(
        handle: *mut c_void, pool: Handle, kind: c_int, flags: u64
    ) = cuMemPoolExportToShareableHandle(handle, pool, kind, flags);
    with_context: cudaMemPoolImportFromShareableHandle(
        pool: *mut Handle, handle: *mut c_void, kind: c_int, flags: u64
    ) = cuMemPoolImportFromShareableHandle(pool, handle, kind, flags);
    with_context: cudaMemPoolExportPointer(data: *mut c_void, address: Address)
        = cuMemPoolExportPointer(data, address);
    with_context: cudaMemPoolImportPointer(address: *mut Address, pool: Handle, data: *mut c_void)
        = cuMemPoolImportPointer(address, pool, data);
    with_context: cudaMemGetDefaultMemPool(pool: *mut Handle, location: *mut Location, kind: c_int)
        = cuMemGetDefaultMemPool(pool, location, kind);
    with_context: cudaMemGetMemPool(pool: *mut Handle, location: *mut Location, kind: c_int)
        = cuMemGetMemPool(pool, location, kind);
    with_context: cudaMemSetMemPool(location: *mut Location, kind: c_int, pool: Handle)
        = cuMemSetMemPool(location, kind, pool);
}
