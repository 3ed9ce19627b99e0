//! Kernels. None ever runs: a launch is handed to the driver, so that a captured graph has its node
//! and a hook sees the call, and the driver does nothing with it.
use crate::export::with_context;
use crate::thread::{self, LaunchConfiguration};
use crate::types::{
    Dim3, Handle, INVALID_VALUE, MISSING_CONFIGURATION, Out, Outcome, SUCCESS, Status,
};
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

/// What a kernel of the virtual GPU claims to need and to allow.
const REGISTERS: c_int = 32;
const MAX_THREADS_PER_BLOCK: c_int = 1024;
const MAX_THREADS_PER_MULTIPROCESSOR: c_int = 2048;
const MAX_BLOCKS_PER_MULTIPROCESSOR: c_int = 32;
const MAX_DYNAMIC_SHARED: c_int = 48 << 10;
/// Compute capability 9.0, for which the code counts as compiled.
const CODE_VERSION: c_int = 90;

/// `cudaFuncAttributes`.
#[repr(C)]
struct FunctionAttributes {
    shared: usize,
    constant: usize,
    local: usize,
    max_threads_per_block: c_int,
    registers: c_int,
    ptx_version: c_int,
    binary_version: c_int,
    cache_mode: c_int,
    max_dynamic_shared: c_int,
    rest: [c_int; 24],
}
const _: () = assert!(size_of::<FunctionAttributes>() == 144);

/// `cudaLaunchConfig_t`.
#[repr(C)]
struct LaunchConfig {
    grid: Dim3,
    block: Dim3,
    shared: usize,
    stream: Handle,
    attributes: *const c_void,
    attribute_count: c_uint,
}
const _: () = assert!(size_of::<LaunchConfig>() == 56);

/// # Safety
/// `arguments` are the kernel's.
unsafe fn launch(
    function: Handle,
    how: LaunchConfiguration,
    arguments: *mut *mut c_void,
) -> Status {
    with_context(|driver| -> Outcome {
        let shared = c_uint::try_from(how.shared).map_err(|_| INVALID_VALUE)?;
        let LaunchConfiguration { grid, block, stream, .. } = how;
        // SAFETY: the caller's promise; the driver does not run the kernel.
        unsafe {
            driver.cuLaunchKernel(
                function,
                grid.x,
                grid.y,
                grid.z,
                block.x,
                block.y,
                block.z,
                shared,
                stream,
                arguments,
                null_mut(),
            )
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaLaunchKernel(
    function: Handle,
    grid: Dim3,
    block: Dim3,
    arguments: *mut *mut c_void,
    shared: usize,
    stream: Handle,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe { launch(function, LaunchConfiguration { grid, block, shared, stream }, arguments) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaLaunchCooperativeKernel(
    function: Handle,
    grid: Dim3,
    block: Dim3,
    arguments: *mut *mut c_void,
    shared: usize,
    stream: Handle,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe { launch(function, LaunchConfiguration { grid, block, shared, stream }, arguments) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaLaunchKernelExC(
    config: *const LaunchConfig,
    function: Handle,
    arguments: *mut *mut c_void,
) -> Status {
    // SAFETY: null, or the caller's configuration.
    let Some(config) = (unsafe { config.as_ref() }) else {
        return thread::note(INVALID_VALUE);
    };
    let &LaunchConfig { grid, block, shared, stream, .. } = config;
    // SAFETY: the caller's promise.
    unsafe { launch(function, LaunchConfiguration { grid, block, shared, stream }, arguments) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __cudaLaunchKernel(
    kernel: Handle,
    grid: Dim3,
    block: Dim3,
    arguments: *mut *mut c_void,
    shared: usize,
    stream: Handle,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe { launch(kernel, LaunchConfiguration { grid, block, shared, stream }, arguments) }
}

/// A kernel's handle is the address of its host stub, which names it as well as anything would.
#[unsafe(no_mangle)]
unsafe extern "C" fn __cudaGetKernel(kernel: Out<Handle>, stub: Handle) -> Status {
    thread::note(kernel.set(stub).err().unwrap_or(SUCCESS))
}

#[unsafe(no_mangle)]
extern "C" fn __cudaPushCallConfiguration(
    grid: Dim3,
    block: Dim3,
    shared: usize,
    stream: Handle,
) -> c_uint {
    thread::push_configuration(LaunchConfiguration { grid, block, shared, stream });
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __cudaPopCallConfiguration(
    grid: Out<Dim3>,
    block: Out<Dim3>,
    shared: Out<usize>,
    stream: Out<Handle>,
) -> Status {
    let pop = || -> Outcome {
        let pushed = thread::pop_configuration().ok_or(MISSING_CONFIGURATION)?;
        grid.set(pushed.grid)?;
        block.set(pushed.block)?;
        shared.set(pushed.shared)?;
        stream.set(pushed.stream)
    };
    thread::note(pop().err().unwrap_or(SUCCESS))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaFuncGetAttributes(
    attributes: Out<FunctionAttributes>,
    _function: Handle,
) -> Status {
    with_context(|_| {
        attributes.set(FunctionAttributes {
            shared: 0,
            constant: 0,
            local: 0,
            max_threads_per_block: MAX_THREADS_PER_BLOCK,
            registers: REGISTERS,
            ptx_version: CODE_VERSION,
            binary_version: CODE_VERSION,
            cache_mode: 0,
            max_dynamic_shared: MAX_DYNAMIC_SHARED,
            rest: [0; 24],
        })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaFuncSetAttribute(
    _function: Handle,
    _attribute: c_int,
    _value: c_int,
) -> Status {
    with_context(|_| Ok(()))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Out<c_int>,
    function: Handle,
    block_size: c_int,
    shared: usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
            blocks, function, block_size, shared, 0,
        )
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    blocks: Out<c_int>,
    _function: Handle,
    block_size: c_int,
    _shared: usize,
    _flags: c_uint,
) -> Status {
    with_context(|_| {
        if block_size <= 0 {
            return Err(INVALID_VALUE);
        }
        blocks.set((MAX_THREADS_PER_MULTIPROCESSOR / block_size).min(MAX_BLOCKS_PER_MULTIPROCESSOR))
    })
}
