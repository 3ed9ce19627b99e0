//! Kernels loaded at run time.
use crate::export::forward;
use crate::types::{Address, Device, Handle};
use std::ffi::{c_char, c_int, c_uint, c_void};

forward! {
    with_context: cudaLibraryLoadData(
        library: *mut Handle, code: *const c_void, jit_options: *mut c_int,
        jit_values: *mut *mut c_void, jit_count: c_uint, options: *mut c_int,
        values: *mut *mut c_void, count: c_uint
    ) = cuLibraryLoadData(
        library, code, jit_options, jit_values, jit_count, options, values, count
    );
    with_context: cudaLibraryLoadFromFile(
        library: *mut Handle, path: *const c_char, jit_options: *mut c_int,
        jit_values: *mut *mut c_void, jit_count: c_uint, options: *mut c_int,
        values: *mut *mut c_void, count: c_uint
    ) = cuLibraryLoadFromFile(
        library, path, jit_options, jit_values, jit_count, options, values, count
    );
    with_context: cudaLibraryUnload(library: Handle) = cuLibraryUnload(library);
    with_context: cudaLibraryGetKernel(kernel: *mut Handle, library: Handle, name: *const c_char)
        = cuLibraryGetKernel(kernel, library, name);
    with_context: cudaLibraryGetKernelCount(count: *mut c_uint, library: Handle)
        = cuLibraryGetKernelCount(count, library);
    with_context: cudaLibraryGetGlobal(
        address: *mut Address, size: *mut usize, library: Handle, name: *const c_char
    ) = cuLibraryGetGlobal(address, size, library, name);
    with_context: cudaLibraryGetManaged(
        address: *mut Address, size: *mut usize, library: Handle, name: *const c_char
    ) = cuLibraryGetManaged(address, size, library, name);
    with_context: cudaLibraryGetUnifiedFunction(
        function: *mut Handle, library: Handle, name: *const c_char
    ) = cuLibraryGetUnifiedFunction(function, library, name);
    with_context: cudaKernelSetAttributeForDevice(
        kernel: Handle, attribute: c_int, value: c_int, device: Device
    ) = cuKernelSetAttribute(attribute, value, kernel, device);
}
