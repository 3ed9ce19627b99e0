//! The first generation of memory functions, from before CUDA 3.2, when device addresses had 32
//! bits. They are exported because the real driver exports them, and refuse, because an address
//! here has more.

use crate::error::{Code, Outcome};
use crate::export::{Export, exports};

fn refuse() -> Outcome {
    Err(Code::NOT_SUPPORTED)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuArray3DCreate() => free refuse { 2000: cuArray3DCreate }
    cuArrayCreate() => free refuse { 2000: cuArrayCreate }
    cuDeviceTotalMem() => free refuse { 2000: cuDeviceTotalMem }
    cuMemAlloc() => free refuse { 2000: cuMemAlloc }
    cuMemAllocHost() => free refuse { 2000: cuMemAllocHost }
    cuMemAllocPitch() => free refuse { 2000: cuMemAllocPitch }
    cuMemFree() => free refuse { 2000: cuMemFree }
    cuMemGetAddressRange() => free refuse { 2000: cuMemGetAddressRange }
    cuMemGetInfo() => free refuse { 2000: cuMemGetInfo }
    cuMemHostGetDevicePointer() => free refuse { 2020: cuMemHostGetDevicePointer }
    cuMemcpyDtoD() => free refuse { 2000: cuMemcpyDtoD }
    cuMemcpyDtoH() => free refuse { 2000: cuMemcpyDtoH }
    cuMemcpyHtoD() => free refuse { 2000: cuMemcpyHtoD }
    cuMemsetD16() => free refuse { 2000: cuMemsetD16 }
    cuMemsetD32() => free refuse { 2000: cuMemsetD32 }
    cuMemsetD8() => free refuse { 2000: cuMemsetD8 }
    cuModuleGetGlobal() => free refuse { 2000: cuModuleGetGlobal }
};
