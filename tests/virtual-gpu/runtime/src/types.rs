//! The few types that all of CUDA's signatures are made of.
use std::ffi::c_int;

/// What every call returns. The driver's and the runtime's numbers mean the same thing.
pub type Status = c_int;
/// A context, stream, event, pool, graph, module or kernel: opaque to the runtime.
pub type Handle = *mut std::ffi::c_void;
/// An address, on the device or on the host. The driver's `CUdeviceptr` has the same size.
pub type Address = *mut std::ffi::c_void;
/// A device's ordinal.
pub type Device = c_int;
/// What a call did: `Err` carries the status to return.
pub type Outcome = Result<(), Status>;

/// `cudaSuccess`.
pub const SUCCESS: Status = 0;
/// `cudaErrorInvalidValue`.
pub const INVALID_VALUE: Status = 1;
/// `cudaErrorInsufficientDriver`.
pub const INSUFFICIENT_DRIVER: Status = 35;
/// `cudaErrorInvalidDevice`.
pub const INVALID_DEVICE: Status = 101;
/// `cudaErrorMissingConfiguration`.
pub const MISSING_CONFIGURATION: Status = 52;
/// `cudaErrorInvalidSymbol`.
pub const INVALID_SYMBOL: Status = 13;
/// `cudaErrorSymbolNotFound`.
pub const SYMBOL_NOT_FOUND: Status = 500;
/// `cudaErrorNotSupported`.
pub const NOT_SUPPORTED: Status = 801;

/// A place of the caller's for a result. Null, or valid for a write: that is the C interface's
/// contract.
#[repr(transparent)]
pub struct Out<T>(pub *mut T);

impl<T> Out<T> {
    /// Writes the result; a null place is the caller's mistake.
    pub fn set(self, value: T) -> Outcome {
        if self.0.is_null() {
            return Err(INVALID_VALUE);
        }
        // SAFETY: not null, and then the caller of the C function vouches for it.
        unsafe { self.0.write(value) };
        Ok(())
    }
}

/// A CUDA `dim3`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Dim3 {
    pub x: u32,
    pub y: u32,
    pub z: u32,
}

/// `cudaIpcMemHandle_t` and `cudaIpcEventHandle_t`: passed by value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IpcHandle(pub [u8; 64]);

/// `cudaMemLocation` and `CUmemLocation`: passed by value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Location {
    pub kind: c_int,
    pub id: c_int,
}
