//! Which context a call runs in.
//!
//! The runtime works on primary contexts: the first call that needs one in a thread takes the
//! current context if somebody set one through the driver, else the primary context of the thread's
//! device.
use crate::driver::Driver;
use crate::thread;
use crate::types::{Device, Handle, Outcome, Status};
use std::ptr::null_mut;
use std::sync::Mutex;

/// A retained primary context.
#[derive(Clone, Copy)]
struct Primary(Handle);

// SAFETY: a context belongs to the process; any thread may make it current.
unsafe impl Send for Primary {}

/// Primary contexts by device, retained once for the life of the process, as the real runtime does.
static PRIMARIES: Mutex<Vec<Option<Primary>>> = Mutex::new(Vec::new());

/// The current context of this thread, or null.
pub fn current(driver: &Driver) -> Result<Handle, Status> {
    let mut context = null_mut();
    // SAFETY: a local for the result.
    unsafe { driver.cuCtxGetCurrent(&mut context) }?;
    Ok(context)
}

/// Makes sure that a context is current.
pub fn ensure(driver: &Driver) -> Outcome {
    if current(driver)?.is_null() { activate(driver, thread::device()) } else { Ok(()) }
}

/// Makes the primary context of `device` current.
pub fn activate(driver: &Driver, device: Device) -> Outcome {
    let context = primary(driver, device)?;
    // SAFETY: a context that the driver gave us and that is never released.
    unsafe { driver.cuCtxSetCurrent(context) }
}

/// The primary context of `device`.
pub fn primary(driver: &Driver, device: Device) -> Result<Handle, Status> {
    let slot = usize::try_from(device).map_err(|_| crate::types::INVALID_DEVICE)?;
    let mut primaries = PRIMARIES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(Some(primary)) = primaries.get(slot) {
        return Ok(primary.0);
    }
    let mut context = null_mut();
    // SAFETY: a local for the result.
    unsafe { driver.cuDevicePrimaryCtxRetain(&mut context, device) }?;
    if primaries.len() <= slot {
        primaries.resize(slot + 1, None);
    }
    primaries[slot] = Some(Primary(context));
    Ok(context)
}

/// Forgets the primary context of `device`, which is about to be reset.
pub fn forget(device: Device) {
    let mut primaries = PRIMARIES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(slot) = usize::try_from(device).ok().and_then(|slot| primaries.get_mut(slot)) {
        *slot = None;
    }
}

/// The device that this thread's calls go to.
pub fn device(driver: &Driver) -> Result<Device, Status> {
    if current(driver)?.is_null() {
        return Ok(thread::device());
    }
    let mut device = 0;
    // SAFETY: a local for the result.
    unsafe { driver.cuCtxGetDevice(&mut device) }?;
    Ok(device)
}
