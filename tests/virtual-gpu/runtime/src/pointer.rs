//! What an address points to.
use crate::export::with_context;
use crate::types::{Address, Device, Out, Status};
use std::ffi::{c_int, c_void};
use std::ptr::{from_mut, null_mut};

/// `CUpointer_attribute`, in the order asked.
const ATTRIBUTES: [c_int; 5] =
    [MEMORY_TYPE, DEVICE_POINTER, HOST_POINTER, IS_MANAGED, DEVICE_ORDINAL];
const MEMORY_TYPE: c_int = 2;
const DEVICE_POINTER: c_int = 3;
const HOST_POINTER: c_int = 4;
const IS_MANAGED: c_int = 8;
const DEVICE_ORDINAL: c_int = 9;

/// `cudaMemoryTypeManaged`; unregistered, host and device (0 to 2) are the driver's own numbers.
const MANAGED: c_int = 3;

/// `cudaPointerAttributes`.
#[repr(C)]
struct PointerAttributes {
    kind: c_int,
    device: Device,
    device_pointer: Address,
    host_pointer: Address,
    reserved: [i64; 8],
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaPointerGetAttributes(
    attributes: Out<PointerAttributes>,
    address: Address,
) -> Status {
    with_context(|driver| {
        let mut kind: c_int = 0;
        let mut device: Device = 0;
        let mut managed: c_int = 0;
        let mut device_pointer: Address = null_mut();
        let mut host_pointer: Address = null_mut();
        let mut places: [*mut c_void; 5] = [
            from_mut(&mut kind).cast(),
            from_mut(&mut device_pointer).cast(),
            from_mut(&mut host_pointer).cast(),
            from_mut(&mut managed).cast(),
            from_mut(&mut device).cast(),
        ];
        // SAFETY: as many attributes as places, each of its attribute's type. A bool is written
        // into the low byte of `managed`, which was zero.
        unsafe {
            driver.cuPointerGetAttributes(
                ATTRIBUTES.len() as u32,
                ATTRIBUTES.as_ptr(),
                places.as_mut_ptr(),
                address,
            )
        }?;
        if kind == 0 {
            // Not CUDA's: the runtime hands the address back as a host address.
            device = -1;
            host_pointer = address;
        }
        attributes.set(PointerAttributes {
            kind: if managed != 0 { MANAGED } else { kind },
            device,
            device_pointer,
            host_pointer,
            reserved: [0; 8],
        })
    })
}
