//! Pools for other processes: the pool by a file descriptor, and then its blocks one by one.

use std::os::fd::IntoRawFd;

use machine::{dec, hex};

use crate::descriptor::{self, FILE_DESCRIPTOR};
use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::exchange::Handle;
use crate::export::{Export, exports};
use crate::ffi::{In, Out};
use crate::memory::Kind;
use crate::pool::{Origin, Pool};

const POOL: u64 = 0x7667_7075_706f_6f6c;
const POINTER: u64 = 0x7667_7075_7074_7231;

fn export_pool(driver: &mut Driver, handle: u64, kind: i32) -> Outcome<i32> {
    let pool = driver.pool(handle)?;
    // Without the wish at creation there is no export, and what came from elsewhere stays there.
    let wished = pool.handle_types & FILE_DESCRIPTOR != 0 && pool.origin.is_none();
    if kind != FILE_DESCRIPTOR || !wished {
        return Err(Code::INVALID_VALUE);
    }
    let device = pool.device;
    let index = driver.devices[device].index as u64;
    let file = descriptor::carrying(&[POOL, std::process::id().into(), index, handle])?;
    Ok(file.into_raw_fd())
}

fn export(driver: &mut Driver, out: Out<i32>, handle: u64, kind: i32, _flags: u64) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let exported = export_pool(driver, handle, kind);
    out.set(driver.note("cuMemPoolExportToShareableHandle", &[hex("pool", handle)], exported)?)
}

fn import_pool(driver: &mut Driver, fd: i32, kind: i32) -> Outcome<(u64, usize, u32)> {
    if kind != FILE_DESCRIPTOR {
        return Err(Code::NOT_SUPPORTED);
    }
    let file = descriptor::copied(fd)?;
    let carried = descriptor::carried(&file, POOL).map_err(|_| Code::INVALID_VALUE)?;
    let [_, owner, index, theirs] = carried;
    let same_card = |device: &crate::device::Device| device.index as u64 == index;
    let device = driver.devices.iter().position(same_card).ok_or(Code::INVALID_DEVICE)?;
    let owner = owner as u32;
    let mut pool = Pool::new(device);
    pool.origin = Some(Origin { owner, pool: theirs });
    Ok((driver.new_pool(pool), device, owner))
}

/// The descriptor comes in the pointer's place.
fn import(driver: &mut Driver, out: Out<u64>, fd: usize, kind: i32, _flags: u64) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let imported = import_pool(driver, fd as i32, kind);
    let (handle, device, owner) = imported.unwrap_or((0, 0, 0));
    let fields = [hex("pool", handle), dec("dev", device as u64), dec("owner", owner.into())];
    driver.note("cuMemPoolImportFromShareableHandle", &fields, imported)?;
    out.set(handle)
}

fn pointer_handle(driver: &mut Driver, address: u64) -> Outcome<Handle> {
    let (start, found) = driver.memory.around(address).ok_or(Code::INVALID_VALUE)?;
    let Kind::Pool(pool) = found.kind else { return Err(Code::INVALID_VALUE) };
    if driver.pool(pool)?.handle_types & FILE_DESCRIPTOR == 0 {
        return Err(Code::INVALID_VALUE);
    }
    Ok(driver.handle_of(POINTER, start, found))
}

fn export_pointer(driver: &mut Driver, out: Out<Handle>, address: u64) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let made = pointer_handle(driver, address);
    let size = made.map_or(0, |handle| handle.size);
    let fields = [hex("dptr", address), dec("size", size)];
    out.set(driver.note("cuMemPoolExportPointer", &fields, made)?)
}

fn open_pointer(driver: &mut Driver, pool: u64, handle: Handle) -> Outcome<u64> {
    let origin = driver.pool(pool)?.origin.ok_or(Code::INVALID_VALUE)?;
    if handle.magic != POINTER || origin != (Origin { owner: handle.pid, pool: handle.pool }) {
        return Err(Code::INVALID_VALUE);
    }
    driver.open_shared(handle, Kind::ImportedFromPool(pool))
}

fn import_pointer(driver: &mut Driver, out: Out<u64>, pool: u64, handle: In<Handle>) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let handle = handle.get()?;
    let opened = open_pointer(driver, pool, handle);
    let fields = [
        hex("dptr", opened.unwrap_or(0)),
        dec("size", handle.size),
        dec("dev", driver.device_of(handle).map_or(u64::MAX, |device| device as u64)),
        hex("pool", pool),
        dec("owner", handle.pid.into()),
    ];
    out.set(driver.note("cuMemPoolImportPointer", &fields, opened)?)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemPoolExportToShareableHandle(
        out: Out<i32>, handle: u64, kind: i32, flags: u64,
    ) => locked export {
        11020: cuMemPoolExportToShareableHandle,
    }
    cuMemPoolImportFromShareableHandle(
        out: Out<u64>, fd: usize, kind: i32, flags: u64,
    ) => locked import {
        11020: cuMemPoolImportFromShareableHandle,
    }
    cuMemPoolExportPointer(out: Out<Handle>, address: u64) => locked export_pointer {
        11020: cuMemPoolExportPointer,
    }
    cuMemPoolImportPointer(
        out: Out<u64>, pool: u64, handle: In<Handle>,
    ) => locked import_pointer {
        11020: cuMemPoolImportPointer,
    }
};
