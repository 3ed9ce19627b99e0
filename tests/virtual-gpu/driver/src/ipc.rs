//! Allocations and events for other processes, by the old 64-byte handles.
//!
//! A handle opened several times has one address, and is closed as often.

use std::collections::BTreeMap;

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::exchange::Handle;
use crate::export::{Export, exports};
use crate::ffi::Out;
use crate::memory::Kind;

const MAGIC: u64 = 0x7667_7075_6970_6331;

struct Opened {
    address: u64,
    users: u64,
}

/// What this process has open by such handles.
#[derive(Default)]
pub struct IpcHandles {
    open: BTreeMap<Handle, Opened>,
}

impl IpcHandles {
    /// Its memory is gone, however many users it had.
    pub fn forget(&mut self, address: u64) {
        self.open.retain(|_, open| open.address != address);
    }
}

fn get_handle(driver: &mut Driver, out: Out<Handle>, address: u64) -> Outcome {
    driver.current()?;
    let (start, found) = driver.memory.around(address).ok_or(Code::INVALID_VALUE)?;
    if found.kind != Kind::Linear {
        return Err(Code::INVALID_VALUE);
    }
    let handle = driver.handle_of(MAGIC, start, found);
    let fields = [hex("dptr", start), dec("size", found.size)];
    driver.note("cuIpcGetMemHandle", &fields, Ok(()))?;
    out.set(handle)
}

fn open(driver: &mut Driver, handle: Handle) -> Outcome<u64> {
    driver.current()?;
    if handle.magic != MAGIC {
        return Err(Code::INVALID_VALUE);
    }
    // The real driver does not let a process open what it exported itself.
    if handle.pid == std::process::id() {
        return Err(Code::INVALID_CONTEXT);
    }
    if let Some(open) = driver.ipc_handles.open.get_mut(&handle) {
        open.users += 1;
        return Ok(open.address);
    }
    let address = driver.open_shared(handle, Kind::Imported)?;
    driver.ipc_handles.open.insert(handle, Opened { address, users: 1 });
    Ok(address)
}

fn open_handle(driver: &mut Driver, out: Out<u64>, handle: Handle, _flags: u32) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let opened = open(driver, handle);
    let fields = [
        hex("dptr", opened.unwrap_or(0)),
        dec("size", handle.size),
        dec("dev", driver.device_of(handle).map_or(u64::MAX, |device| device as u64)),
        dec("owner", handle.pid.into()),
    ];
    out.set(driver.note("cuIpcOpenMemHandle", &fields, opened)?)
}

fn close(driver: &mut Driver, address: u64) -> Outcome {
    let known = driver.ipc_handles.open.values_mut().find(|open| open.address == address);
    let open = known.ok_or(Code::INVALID_VALUE)?;
    open.users -= 1;
    match open.users {
        0 => driver.free_at(address).map(|_| ()),
        _ => Ok(()),
    }
}

fn close_handle(driver: &mut Driver, address: u64) -> Outcome {
    let outcome = close(driver, address);
    driver.note("cuIpcCloseMemHandle", &[hex("dptr", address)], outcome)
}

/// Events are complete at once, so a shared one needs to carry nothing.
fn get_event_handle(driver: &mut Driver, out: Out<[u64; 8]>, event: u64) -> Outcome {
    driver.event(event)?;
    out.set([MAGIC, event, 0, 0, 0, 0, 0, 0])
}

fn open_event_handle(driver: &mut Driver, out: Out<u64>, handle: EventHandle) -> Outcome {
    if handle.words[0] != MAGIC {
        return Err(Code::INVALID_VALUE);
    }
    out.set(driver.new_event(0)?)
}

/// `CUipcEventHandle`, passed by value.
#[repr(C)]
#[derive(Clone, Copy)]
struct EventHandle {
    words: [u64; 8],
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuIpcGetMemHandle(out: Out<Handle>, address: u64) => locked get_handle {
        4010: cuIpcGetMemHandle,
    }
    cuIpcOpenMemHandle(out: Out<u64>, handle: Handle, flags: u32) => locked open_handle {
        4010: cuIpcOpenMemHandle, 11000: cuIpcOpenMemHandle_v2,
    }
    cuIpcCloseMemHandle(address: u64) => locked close_handle { 4010: cuIpcCloseMemHandle }
    cuIpcGetEventHandle(out: Out<[u64; 8]>, event: u64) => locked get_event_handle {
        4010: cuIpcGetEventHandle,
    }
    cuIpcOpenEventHandle(out: Out<u64>, handle: EventHandle) => locked open_event_handle {
        4010: cuIpcOpenEventHandle,
    }
};
