//! Physical handles for other processes, as file descriptors.

use std::fs::File;
use std::os::fd::{FromRawFd, IntoRawFd};

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::Out;
use crate::physical::Props;
use crate::store;

const FILE_DESCRIPTOR: i32 = 1;

fn export_fd(driver: &mut Driver, handle: u64, kind: i32) -> Outcome<i32> {
    let physical = driver.physical(handle)?;
    // Without the wish at creation there is no export, and what came from elsewhere stays there.
    if kind != FILE_DESCRIPTOR
        || physical.props.handle_types & FILE_DESCRIPTOR == 0
        || physical.imported.is_some()
    {
        return Err(Code::INVALID_VALUE);
    }
    let (device, offset, size) = (physical.device, physical.offset, physical.size);
    let file = driver.devices[device].store.export(offset, size);
    file.map(File::into_raw_fd).map_err(|_| Code::OPERATING_SYSTEM)
}

fn export(driver: &mut Driver, out: Out<i32>, handle: u64, kind: i32, _flags: u64) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let exported = export_fd(driver, handle, kind);
    out.set(driver.note("cuMemExportToShareableHandle", &[hex("handle", handle)], exported)?)
}

fn import_fd(driver: &mut Driver, fd: i32, kind: i32) -> Outcome<(u64, u64)> {
    if kind != FILE_DESCRIPTOR {
        return Err(Code::NOT_SUPPORTED);
    }
    // SAFETY: fcntl checks the descriptor itself.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(Code::INVALID_VALUE);
    }
    // SAFETY: just made, and nobody else's.
    let file = unsafe { File::from_raw_fd(copy) };
    let (offset, exported) = store::exported(&file).map_err(|_| Code::INVALID_VALUE)?;
    let same_card = |device: &crate::device::Device| device.index as u64 == exported.device;
    let device = driver.devices.iter().position(same_card).ok_or(Code::INVALID_DEVICE)?;
    // Exported by this very process: one more user of what is there.
    if driver.devices[device].store.is_same(&file) {
        let known = driver.physical.living.iter_mut().find(|(_, physical)| {
            physical.imported.is_none() && (physical.device, physical.offset) == (device, offset)
        });
        let (&handle, physical) = known.ok_or(Code::INVALID_VALUE)?;
        physical.users += 1;
        return Ok((handle, exported.size));
    }
    let props = Props::of_device(device);
    let handle = driver.book_physical(device, (offset, exported.size), props, Some(file));
    Ok((handle, exported.size))
}

/// The descriptor comes in the pointer's place.
fn import(driver: &mut Driver, out: Out<u64>, fd: usize, kind: i32) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let imported = import_fd(driver, fd as i32, kind);
    let (handle, size) = imported.unwrap_or((0, 0));
    let fields = [hex("handle", handle), dec("size", size)];
    driver.note("cuMemImportFromShareableHandle", &fields, imported)?;
    out.set(handle)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemExportToShareableHandle(
        out: Out<i32>, handle: u64, kind: i32, flags: u64,
    ) => locked export {
        10020: cuMemExportToShareableHandle,
    }
    cuMemImportFromShareableHandle(out: Out<u64>, fd: usize, kind: i32) => locked import {
        10020: cuMemImportFromShareableHandle,
    }
};
