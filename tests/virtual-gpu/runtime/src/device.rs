//! Devices.
use crate::context;
use crate::driver::Driver;
use crate::export::{forward, with_context, with_driver};
use crate::thread;
use crate::types::{Device, INVALID_DEVICE, Out, Outcome, Status};
use std::ffi::{c_char, c_int, c_uint};

forward! {
    with_driver: cudaGetDeviceCount(count: *mut c_int) = cuDeviceGetCount(count);
    // The runtime's attributes have the driver's numbers.
    with_driver: cudaDeviceGetAttribute(value: *mut c_int, attribute: c_int, device: Device)
        = cuDeviceGetAttribute(value, attribute, device);
    with_driver: cudaDeviceGetPCIBusId(id: *mut c_char, length: c_int, device: Device)
        = cuDeviceGetPCIBusId(id, length, device);
    with_driver: cudaDeviceGetByPCIBusId(device: *mut Device, id: *const c_char)
        = cuDeviceGetByPCIBusId(device, id);
    with_driver: cudaDeviceCanAccessPeer(can: *mut c_int, device: Device, peer: Device)
        = cuDeviceCanAccessPeer(can, device, peer);
    with_driver: cudaDeviceGetP2PAttribute(
        value: *mut c_int, attribute: c_int, from: Device, to: Device
    ) = cuDeviceGetP2PAttribute(value, attribute, from, to);
    with_context: cudaDeviceSynchronize() = cuCtxSynchronize();
    with_context: cudaDeviceGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int)
        = cuCtxGetStreamPriorityRange(least, greatest);
    with_context: cudaDeviceGetLimit(value: *mut usize, limit: c_int) = cuCtxGetLimit(value, limit);
    with_context: cudaDeviceSetLimit(limit: c_int, value: usize) = cuCtxSetLimit(limit, value);
}

/// Refuses an ordinal that is no device.
fn check_device(driver: &Driver, device: Device) -> Outcome {
    let mut count = 0;
    // SAFETY: a local for the result.
    unsafe { driver.cuDeviceGetCount(&mut count) }?;
    if (0..count).contains(&device) { Ok(()) } else { Err(INVALID_DEVICE) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaGetDevice(device: Out<Device>) -> Status {
    with_driver(|driver| device.set(context::device(driver)?))
}

/// Since CUDA 12 this also brings up the device's primary context.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaSetDevice(device: Device) -> Status {
    with_driver(|driver| {
        check_device(driver, device)?;
        thread::set_device(device);
        context::activate(driver, device)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaInitDevice(
    device: Device,
    _device_flags: c_uint,
    _flags: c_uint,
) -> Status {
    with_driver(|driver| {
        check_device(driver, device)?;
        context::primary(driver, device).map(drop)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaSetDeviceFlags(flags: c_uint) -> Status {
    with_driver(|driver| {
        let device = context::device(driver)?;
        // SAFETY: no pointers.
        unsafe { driver.cuDevicePrimaryCtxSetFlags(device, flags) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaGetDeviceFlags(flags: Out<c_uint>) -> Status {
    with_driver(|driver| {
        let device = context::device(driver)?;
        let (mut found, mut active) = (0, 0);
        // SAFETY: locals for the results.
        unsafe { driver.cuDevicePrimaryCtxGetState(device, &mut found, &mut active) }?;
        flags.set(found)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaDeviceReset() -> Status {
    with_driver(|driver| {
        let device = context::device(driver)?;
        context::forget(device);
        // SAFETY: no pointers.
        unsafe { driver.cuDevicePrimaryCtxReset(device) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaDeviceEnablePeerAccess(peer: Device, flags: c_uint) -> Status {
    with_context(|driver| {
        let peer = context::primary(driver, peer)?;
        // SAFETY: a primary context.
        unsafe { driver.cuCtxEnablePeerAccess(peer, flags) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaDeviceDisablePeerAccess(peer: Device) -> Status {
    with_context(|driver| {
        let peer = context::primary(driver, peer)?;
        // SAFETY: a primary context.
        unsafe { driver.cuCtxDisablePeerAccess(peer) }
    })
}
