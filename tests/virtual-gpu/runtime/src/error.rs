//! Errors: the last one, and their names.
use crate::thread;
use crate::types::Status;
use std::ffi::{CStr, c_char};

/// Number, name and text of the errors that the virtual GPU can return.
const ERRORS: &[(Status, &CStr, &CStr)] = &[
    (0, c"cudaSuccess", c"no error"),
    (1, c"cudaErrorInvalidValue", c"invalid argument"),
    (2, c"cudaErrorMemoryAllocation", c"out of memory"),
    (3, c"cudaErrorInitializationError", c"initialization error"),
    (4, c"cudaErrorCudartUnloading", c"driver shutting down"),
    (13, c"cudaErrorInvalidSymbol", c"invalid device symbol"),
    (
        35,
        c"cudaErrorInsufficientDriver",
        c"CUDA driver version is insufficient for CUDA runtime version",
    ),
    (52, c"cudaErrorMissingConfiguration", c"__global__ function call is not configured"),
    (100, c"cudaErrorNoDevice", c"no CUDA-capable device is detected"),
    (101, c"cudaErrorInvalidDevice", c"invalid device ordinal"),
    (200, c"cudaErrorInvalidKernelImage", c"device kernel image is invalid"),
    (201, c"cudaErrorDeviceUninitialized", c"invalid device context"),
    (
        217,
        c"cudaErrorPeerAccessUnsupported",
        c"peer access is not supported between these two devices",
    ),
    (400, c"cudaErrorInvalidResourceHandle", c"invalid resource handle"),
    (401, c"cudaErrorIllegalState", c"the operation cannot be performed in the present state"),
    (500, c"cudaErrorSymbolNotFound", c"named symbol not found"),
    (600, c"cudaErrorNotReady", c"device not ready"),
    (700, c"cudaErrorIllegalAddress", c"an illegal memory access was encountered"),
    (704, c"cudaErrorPeerAccessAlreadyEnabled", c"peer access is already enabled"),
    (705, c"cudaErrorPeerAccessNotEnabled", c"peer access has not been enabled"),
    (709, c"cudaErrorContextIsDestroyed", c"context is destroyed"),
    (
        712,
        c"cudaErrorHostMemoryAlreadyRegistered",
        c"part or all of the requested memory range is already mapped",
    ),
    (
        713,
        c"cudaErrorHostMemoryNotRegistered",
        c"pointer does not correspond to a registered memory region",
    ),
    (800, c"cudaErrorNotPermitted", c"operation not permitted"),
    (801, c"cudaErrorNotSupported", c"operation not supported"),
    (
        900,
        c"cudaErrorStreamCaptureUnsupported",
        c"operation not permitted when stream is capturing",
    ),
    (
        901,
        c"cudaErrorStreamCaptureInvalidated",
        c"operation failed due to a previous error during capture",
    ),
    (904, c"cudaErrorStreamCaptureUnjoined", c"capturing stream has unjoined work"),
    (999, c"cudaErrorUnknown", c"unknown error"),
];

fn known(error: Status) -> Option<&'static (Status, &'static CStr, &'static CStr)> {
    ERRORS.iter().find(|row| row.0 == error)
}

#[unsafe(no_mangle)]
extern "C" fn cudaGetErrorName(error: Status) -> *const c_char {
    known(error).map_or(c"unrecognized error code", |row| row.1).as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn cudaGetErrorString(error: Status) -> *const c_char {
    known(error).map_or(c"unrecognized error code", |row| row.2).as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn cudaGetLastError() -> Status {
    thread::take_last_error()
}

#[unsafe(no_mangle)]
extern "C" fn cudaPeekAtLastError() -> Status {
    thread::last_error()
}
