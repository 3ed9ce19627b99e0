//! The driver's functions, found once and by the real runtime's path.
use crate::types::{
    Address, Device, Handle, IpcHandle, Location, NOT_SUPPORTED, Outcome, SUCCESS, Status,
};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

type GetProcAddress =
    unsafe extern "C" fn(*const c_char, *mut *mut c_void, c_int, u64, *mut c_int) -> Status;

/// One row, one driver function: its name, the version of its signature, and that signature.
///
/// The version is the one that introduced the signature, never "the newest": a newer driver may
/// answer with a function of other parameters under the same name.
macro_rules! driver {
    ($($name:ident @ $version:literal ($($arg:ident: $type:ty),*);)*) => {
        /// The driver, as this process found it.
        pub struct Driver {
            get_proc_address: GetProcAddress,
            get_version: unsafe extern "C" fn(*mut c_int) -> Status,
            $($name: unsafe extern "C" fn($($type),*) -> Status,)*
        }

        impl Driver {
            fn resolve(
                get_proc_address: GetProcAddress,
                get_version: unsafe extern "C" fn(*mut c_int) -> Status,
            ) -> Self {
                $(let $name = {
                    let name = concat!(stringify!($name), "\0").as_ptr().cast();
                    let found = look_up(get_proc_address, name, $version);
                    // SAFETY: the driver promises this signature for this name and version; the
                    // stand-in for an absent one ignores its arguments, which the C calling
                    // convention allows.
                    unsafe {
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> Status>(found)
                    }
                };)*
                Self { get_proc_address, get_version, $($name),* }
            }

            $(
                /// # Safety
                /// That of the driver's function of this name.
                #[allow(clippy::too_many_arguments, reason = "the driver's signature")]
                pub unsafe fn $name(&self, $($arg: $type),*) -> Outcome {
                    // SAFETY: the caller's promise, and the signature asked for above.
                    check(unsafe { (self.$name)($($arg),*) })
                }
            )*
        }
    };
}

driver! {
    cuInit @ 2000 (flags: c_uint);
    cuDeviceGetCount @ 2000 (count: *mut c_int);
    cuDeviceGetName @ 2000 (name: *mut c_char, length: c_int, device: Device);
    cuDeviceGetUuid @ 11040 (uuid: *mut [u8; 16], device: Device);
    cuDeviceTotalMem @ 3020 (bytes: *mut usize, device: Device);
    cuDeviceGetAttribute @ 2000 (value: *mut c_int, attribute: c_int, device: Device);
    cuDeviceGetPCIBusId @ 4010 (id: *mut c_char, length: c_int, device: Device);
    cuDeviceGetByPCIBusId @ 4010 (device: *mut Device, id: *const c_char);
    cuDeviceCanAccessPeer @ 4000 (can: *mut c_int, device: Device, peer: Device);
    cuDeviceGetP2PAttribute @ 8000 (value: *mut c_int, attribute: c_int, from: Device, to: Device);
    cuDeviceGetDefaultMemPool @ 11020 (pool: *mut Handle, device: Device);
    cuDeviceGetMemPool @ 11020 (pool: *mut Handle, device: Device);
    cuDeviceSetMemPool @ 11020 (device: Device, pool: Handle);
    cuDeviceGetGraphMemAttribute @ 11040 (device: Device, attribute: c_int, value: *mut c_void);
    cuDeviceSetGraphMemAttribute @ 11040 (device: Device, attribute: c_int, value: *mut c_void);
    cuDeviceGraphMemTrim @ 11040 (device: Device);
    cuDevicePrimaryCtxRetain @ 7000 (context: *mut Handle, device: Device);
    cuDevicePrimaryCtxReset @ 11000 (device: Device);
    cuDevicePrimaryCtxSetFlags @ 11000 (device: Device, flags: c_uint);
    cuDevicePrimaryCtxGetState @ 7000 (device: Device, flags: *mut c_uint, active: *mut c_int);
    cuCtxGetCurrent @ 4000 (context: *mut Handle);
    cuCtxSetCurrent @ 4000 (context: Handle);
    cuCtxGetDevice @ 2000 (device: *mut Device);
    cuCtxSynchronize @ 2000 ();
    cuCtxGetStreamPriorityRange @ 5050 (least: *mut c_int, greatest: *mut c_int);
    cuCtxGetLimit @ 3010 (value: *mut usize, limit: c_int);
    cuCtxSetLimit @ 3010 (limit: c_int, value: usize);
    cuCtxEnablePeerAccess @ 4000 (peer: Handle, flags: c_uint);
    cuCtxDisablePeerAccess @ 4000 (peer: Handle);

    cuMemGetInfo @ 3020 (free: *mut usize, total: *mut usize);
    cuMemAlloc @ 3020 (address: *mut Address, size: usize);
    cuMemAllocPitch @ 3020 (
        address: *mut Address, pitch: *mut usize, width: usize, height: usize, element: c_uint
    );
    cuMemFree @ 3020 (address: Address);
    cuMemAllocManaged @ 6000 (address: *mut Address, size: usize, flags: c_uint);
    cuMemHostAlloc @ 2020 (address: *mut Address, size: usize, flags: c_uint);
    cuMemFreeHost @ 2000 (address: Address);
    cuMemHostGetDevicePointer @ 3020 (device: *mut Address, host: Address, flags: c_uint);
    cuMemHostGetFlags @ 2030 (flags: *mut c_uint, host: Address);
    cuMemHostRegister @ 6050 (host: Address, size: usize, flags: c_uint);
    cuMemHostUnregister @ 4000 (host: Address);
    cuMemAllocAsync @ 11020 (address: *mut Address, size: usize, stream: Handle);
    cuMemAllocFromPoolAsync @ 11020 (
        address: *mut Address, size: usize, pool: Handle, stream: Handle
    );
    cuMemFreeAsync @ 11020 (address: Address, stream: Handle);
    cuMemAdvise @ 12020 (address: Address, size: usize, advice: c_int, location: Location);
    cuMemPrefetchAsync @ 12020 (
        address: Address, size: usize, location: Location, flags: c_uint, stream: Handle
    );
    cuPointerGetAttributes @ 7000 (
        count: c_uint, attributes: *const c_int, data: *mut *mut c_void, address: Address
    );

    cuMemPoolCreate @ 11020 (pool: *mut Handle, properties: *const c_void);
    cuMemPoolDestroy @ 11020 (pool: Handle);
    cuMemPoolTrimTo @ 11020 (pool: Handle, keep: usize);
    cuMemPoolSetAttribute @ 11020 (pool: Handle, attribute: c_int, value: *mut c_void);
    cuMemPoolGetAttribute @ 11020 (pool: Handle, attribute: c_int, value: *mut c_void);
    cuMemPoolSetAccess @ 11020 (pool: Handle, map: *const c_void, count: usize);
    cuMemPoolGetAccess @ 11020 (flags: *mut c_int, pool: Handle, location: *mut Location);
    cuMemPoolExportToShareableHandle @ 11020 (
        handle: *mut c_void, pool: Handle, kind: c_int, flags: u64
    );
    cuMemPoolImportFromShareableHandle @ 11020 (
        pool: *mut Handle, handle: *mut c_void, kind: c_int, flags: u64
    );
    cuMemPoolExportPointer @ 11020 (data: *mut c_void, address: Address);
    cuMemPoolImportPointer @ 11020 (address: *mut Address, pool: Handle, data: *mut c_void);
    cuMemGetDefaultMemPool @ 13000 (pool: *mut Handle, location: *mut Location, kind: c_int);
    cuMemGetMemPool @ 13000 (pool: *mut Handle, location: *mut Location, kind: c_int);
    cuMemSetMemPool @ 13000 (location: *mut Location, kind: c_int, pool: Handle);

    cuIpcGetMemHandle @ 4010 (handle: *mut IpcHandle, address: Address);
    cuIpcOpenMemHandle @ 11000 (address: *mut Address, handle: IpcHandle, flags: c_uint);
    cuIpcCloseMemHandle @ 4010 (address: Address);
    cuIpcGetEventHandle @ 4010 (handle: *mut IpcHandle, event: Handle);
    cuIpcOpenEventHandle @ 4010 (event: *mut Handle, handle: IpcHandle);

    cuMemcpy @ 4000 (to: Address, from: Address, size: usize);
    cuMemcpyAsync @ 4000 (to: Address, from: Address, size: usize, stream: Handle);
    cuMemcpyHtoD @ 3020 (to: Address, from: Address, size: usize);
    cuMemcpyHtoDAsync @ 3020 (to: Address, from: Address, size: usize, stream: Handle);
    cuMemcpyDtoH @ 3020 (to: Address, from: Address, size: usize);
    cuMemcpyDtoHAsync @ 3020 (to: Address, from: Address, size: usize, stream: Handle);
    cuMemcpyDtoD @ 3020 (to: Address, from: Address, size: usize);
    cuMemcpyDtoDAsync @ 3020 (to: Address, from: Address, size: usize, stream: Handle);
    cuMemcpyPeer @ 4000 (
        to: Address, to_context: Handle, from: Address, from_context: Handle, size: usize
    );
    cuMemcpyPeerAsync @ 4000 (
        to: Address, to_context: Handle, from: Address, from_context: Handle, size: usize,
        stream: Handle
    );
    cuMemcpy2D @ 3020 (copy: *const c_void);
    cuMemcpy2DAsync @ 3020 (copy: *const c_void, stream: Handle);
    cuMemsetD8 @ 3020 (to: Address, value: u8, count: usize);
    cuMemsetD8Async @ 3020 (to: Address, value: u8, count: usize, stream: Handle);
    cuMemsetD2D8 @ 3020 (to: Address, pitch: usize, value: u8, width: usize, height: usize);
    cuMemsetD2D8Async @ 3020 (
        to: Address, pitch: usize, value: u8, width: usize, height: usize, stream: Handle
    );

    cuStreamCreate @ 2000 (stream: *mut Handle, flags: c_uint);
    cuStreamCreateWithPriority @ 5050 (stream: *mut Handle, flags: c_uint, priority: c_int);
    cuStreamDestroy @ 4000 (stream: Handle);
    cuStreamQuery @ 2000 (stream: Handle);
    cuStreamSynchronize @ 2000 (stream: Handle);
    cuStreamGetPriority @ 5050 (stream: Handle, priority: *mut c_int);
    cuStreamGetFlags @ 5050 (stream: Handle, flags: *mut c_uint);
    cuStreamGetId @ 12000 (stream: Handle, id: *mut u64);
    cuStreamGetDevice @ 12080 (stream: Handle, device: *mut Device);
    cuStreamWaitEvent @ 3020 (stream: Handle, event: Handle, flags: c_uint);
    cuStreamAddCallback @ 5000 (stream: Handle, callback: Handle, data: *mut c_void, flags: c_uint);
    cuLaunchHostFunc @ 10000 (stream: Handle, function: Handle, data: *mut c_void);
    cuStreamBeginCapture @ 10010 (stream: Handle, mode: c_int);
    cuStreamBeginCaptureToGraph @ 12030 (
        stream: Handle, graph: Handle, nodes: *const Handle, edges: *const c_void, count: usize,
        mode: c_int
    );
    cuStreamEndCapture @ 10000 (stream: Handle, graph: *mut Handle);
    cuStreamIsCapturing @ 10000 (stream: Handle, status: *mut c_int);
    cuStreamGetCaptureInfo @ 12030 (
        stream: Handle, status: *mut c_int, id: *mut u64, graph: *mut Handle,
        nodes: *mut *const Handle, edges: *mut *const c_void, count: *mut usize
    );
    cuStreamUpdateCaptureDependencies @ 12030 (
        stream: Handle, nodes: *mut Handle, edges: *const c_void, count: usize, flags: c_uint
    );
    cuThreadExchangeStreamCaptureMode @ 10010 (mode: *mut c_int);

    cuEventCreate @ 2000 (event: *mut Handle, flags: c_uint);
    cuEventDestroy @ 4000 (event: Handle);
    cuEventQuery @ 2000 (event: Handle);
    cuEventSynchronize @ 2000 (event: Handle);
    cuEventElapsedTime @ 12080 (milliseconds: *mut f32, start: Handle, end: Handle);
    cuEventRecord @ 2000 (event: Handle, stream: Handle);
    cuEventRecordWithFlags @ 11010 (event: Handle, stream: Handle, flags: c_uint);

    cuGraphCreate @ 10000 (graph: *mut Handle, flags: c_uint);
    cuGraphDestroy @ 10000 (graph: Handle);
    cuGraphInstantiateWithFlags @ 11040 (exec: *mut Handle, graph: Handle, flags: u64);
    cuGraphExecDestroy @ 10000 (exec: Handle);
    cuGraphExecUpdate @ 12000 (exec: Handle, graph: Handle, result: *mut c_void);
    cuGraphLaunch @ 10000 (exec: Handle, stream: Handle);
    cuGraphUpload @ 11010 (exec: Handle, stream: Handle);
    cuGraphGetNodes @ 10000 (graph: Handle, nodes: *mut Handle, count: *mut usize);
    cuGraphNodeGetType @ 10000 (node: Handle, kind: *mut c_int);
    cuGraphNodeGetDependencies @ 12030 (
        node: Handle, nodes: *mut Handle, edges: *mut c_void, count: *mut usize
    );
    cuGraphAddNode @ 12030 (
        node: *mut Handle, graph: Handle, nodes: *const Handle, edges: *const c_void,
        count: usize, parameters: *mut c_void
    );
    cuGraphAddEmptyNode @ 10000 (
        node: *mut Handle, graph: Handle, nodes: *const Handle, count: usize
    );
    cuGraphConditionalHandleCreate @ 12030 (
        handle: *mut u64, graph: Handle, context: Handle, default: c_uint, flags: c_uint
    );
    cuGraphDebugDotPrint @ 11030 (graph: Handle, path: *const c_char, flags: c_uint);
    cuUserObjectCreate @ 11030 (
        object: *mut Handle, data: *mut c_void, destroy: Handle, count: c_uint, flags: c_uint
    );
    cuUserObjectRetain @ 11030 (object: Handle, count: c_uint);
    cuUserObjectRelease @ 11030 (object: Handle, count: c_uint);
    cuGraphRetainUserObject @ 11030 (graph: Handle, object: Handle, count: c_uint, flags: c_uint);
    cuGraphReleaseUserObject @ 11030 (graph: Handle, object: Handle, count: c_uint);

    cuLaunchKernel @ 4000 (
        function: Handle, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint,
        block_y: c_uint, block_z: c_uint, shared: c_uint, stream: Handle,
        arguments: *mut *mut c_void, extra: *mut *mut c_void
    );
    cuLibraryLoadData @ 12000 (
        library: *mut Handle, code: *const c_void, jit_options: *mut c_int,
        jit_values: *mut *mut c_void, jit_count: c_uint, options: *mut c_int,
        values: *mut *mut c_void, count: c_uint
    );
    cuLibraryLoadFromFile @ 12000 (
        library: *mut Handle, path: *const c_char, jit_options: *mut c_int,
        jit_values: *mut *mut c_void, jit_count: c_uint, options: *mut c_int,
        values: *mut *mut c_void, count: c_uint
    );
    cuLibraryUnload @ 12000 (library: Handle);
    cuLibraryGetKernel @ 12000 (kernel: *mut Handle, library: Handle, name: *const c_char);
    cuLibraryGetKernelCount @ 12040 (count: *mut c_uint, library: Handle);
    cuLibraryGetGlobal @ 12000 (
        address: *mut Address, size: *mut usize, library: Handle, name: *const c_char
    );
    cuLibraryGetManaged @ 12000 (
        address: *mut Address, size: *mut usize, library: Handle, name: *const c_char
    );
    cuLibraryGetUnifiedFunction @ 12000 (
        function: *mut Handle, library: Handle, name: *const c_char
    );
    cuKernelSetAttribute @ 12000 (attribute: c_int, value: c_int, kernel: Handle, device: Device);
    cuProfilerStart @ 4000 ();
    cuProfilerStop @ 4000 ();
}

impl Driver {
    /// The driver of this process, found and initialized at the first call.
    pub fn get() -> Result<&'static Self, Status> {
        static DRIVER: OnceLock<Result<Driver, Status>> = OnceLock::new();
        DRIVER.get_or_init(Self::load).as_ref().map_err(|&status| status)
    }

    fn load() -> Result<Self, Status> {
        // SAFETY: a file name; the library's initializers are the driver's.
        let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return Err(crate::types::INSUFFICIENT_DRIVER);
        }
        let get_version = symbol(library, c"cuDriverGetVersion")?;
        let get_proc_address = symbol(library, c"cuGetProcAddress_v2")?;
        // SAFETY: the driver's published signature of this name.
        let get_version = unsafe {
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_int) -> Status>(
                get_version,
            )
        };
        // SAFETY: the same.
        let get_proc_address =
            unsafe { std::mem::transmute::<*mut c_void, GetProcAddress>(get_proc_address) };
        // The real runtime's first two questions: none, and the function it is asking. A hook must
        // survive the one and wrap the answer to the other, by which everything else is found.
        look_up(get_proc_address, c"".as_ptr(), 0);
        let again = look_up(get_proc_address, c"cuGetProcAddress".as_ptr(), 12_000);
        // SAFETY: the driver promises this signature as of version 12000.
        let get_proc_address = unsafe { std::mem::transmute::<*mut c_void, GetProcAddress>(again) };
        let driver = Self::resolve(get_proc_address, get_version);
        // SAFETY: no pointers.
        unsafe { driver.cuInit(0) }?;
        Ok(driver)
    }

    /// The newest CUDA version the driver serves, as 1000 * major + 10 * minor.
    pub fn version(&self) -> Result<c_int, Status> {
        let mut version = 0;
        // SAFETY: a local for the result.
        check(unsafe { (self.get_version)(&mut version) })?;
        Ok(version)
    }

    /// `cuGetProcAddress` for a caller of the runtime: the status and the driver's own finding.
    pub fn find(&self, name: &CStr, version: c_int, flags: u64) -> (Status, *mut c_void, c_int) {
        let mut found = std::ptr::null_mut();
        let mut finding = 0;
        // SAFETY: a C string, and locals for the results.
        let status = unsafe {
            (self.get_proc_address)(name.as_ptr(), &mut found, version, flags, &mut finding)
        };
        (status, found, finding)
    }
}

/// Turns the driver's status into an outcome.
fn check(status: Status) -> Outcome {
    if status == SUCCESS { Ok(()) } else { Err(status) }
}

fn symbol(library: Handle, name: &CStr) -> Result<*mut c_void, Status> {
    // SAFETY: a library that was opened and is never closed.
    let found = unsafe { libc::dlsym(library, name.as_ptr()) };
    if found.is_null() { Err(crate::types::INSUFFICIENT_DRIVER) } else { Ok(found) }
}

/// The driver's address for `name` as of `version`, or a stand-in that answers "not supported".
fn look_up(get_proc_address: GetProcAddress, name: *const c_char, version: c_int) -> *mut c_void {
    let mut found = std::ptr::null_mut();
    let mut finding = 0;
    // SAFETY: a C string, and locals for the results.
    let status = unsafe { get_proc_address(name, &mut found, version, 0, &mut finding) };
    if status == SUCCESS && !found.is_null() { found } else { absent as *mut c_void }
}

extern "C" fn absent() -> Status {
    NOT_SUPPORTED
}
