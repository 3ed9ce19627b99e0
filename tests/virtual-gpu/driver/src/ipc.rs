//! Allocations and events for other processes, by the old 64-byte handles.
//!
//! A handle names the exporter's file by process and descriptor; the importer opens it through
//! `/proc`. So both must run as one user, and the exporter must live.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::Out;
use crate::memory::Kind;
use crate::store;

const MAGIC: u64 = 0x7667_7075_6970_6331;
const PAGE: u64 = 4096;

/// `CUipcMemHandle`, passed by value.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Handle {
    magic: u64,
    pid: u32,
    fd: i32,
    device: u64,
    offset: u64,
    size: u64,
    /// Tells apart what stood at the same place one after the other.
    id: u64,
    _rest: [u64; 2],
}

struct Import {
    address: u64,
    users: u64,
}

/// What this process has open, by handle.
#[derive(Default)]
pub struct Imports {
    open: BTreeMap<Handle, Import>,
}

impl Imports {
    /// Takes an import out of the process, however many users it had.
    pub fn end(&mut self, address: u64, room: u64) {
        self.open.retain(|_, open| open.address != address);
        store::release(address - address % PAGE, room);
    }
}

fn get_handle(driver: &mut Driver, out: Out<Handle>, address: u64) -> Outcome {
    driver.current()?;
    let (start, found) = driver.memory.around(address).ok_or(Code::INVALID_VALUE)?;
    if found.kind != Kind::Linear {
        return Err(Code::INVALID_VALUE);
    }
    let card = &driver.devices[found.device];
    let handle = Handle {
        magic: MAGIC,
        pid: std::process::id(),
        fd: card.store.file().as_raw_fd(),
        device: card.index as u64,
        offset: card.store.offset(start),
        size: found.size,
        id: found.id,
        _rest: [0; 2],
    };
    let fields = [hex("dptr", start), dec("size", found.size)];
    driver.note("cuIpcGetMemHandle", &fields, Ok(()))?;
    out.set(handle)
}

fn map(driver: &mut Driver, handle: Handle) -> Outcome<u64> {
    let device = driver.current_device()?;
    if handle.magic != MAGIC {
        return Err(Code::INVALID_VALUE);
    }
    // The real driver does not let a process open what it exported itself.
    if handle.pid == std::process::id() {
        return Err(Code::INVALID_CONTEXT);
    }
    if let Some(open) = driver.imports.open.get_mut(&handle) {
        open.users += 1;
        return Ok(open.address);
    }
    let path = format!("/proc/{}/fd/{}", handle.pid, handle.fd);
    let options = File::options().read(true).write(true).open(path);
    let file = options.map_err(|_| Code::INVALID_VALUE)?;
    let within = handle.offset % PAGE;
    let room = (within + handle.size).next_multiple_of(PAGE);
    let base = store::reserve(room, store::GRANULE, 0).map_err(|_| Code::OUT_OF_MEMORY)?;
    if store::place(&file, handle.offset - within, base, room, true).is_err() {
        store::release(base, room);
        return Err(Code::INVALID_VALUE);
    }
    let address = base + within;
    driver.book(address, handle.size, room, Kind::Imported, device);
    driver.imports.open.insert(handle, Import { address, users: 1 });
    Ok(address)
}

fn open_handle(driver: &mut Driver, out: Out<u64>, handle: Handle, _flags: u32) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let opened = map(driver, handle);
    let fields = [
        hex("dptr", opened.unwrap_or(0)),
        dec("size", handle.size),
        dec("owner", handle.pid.into()),
    ];
    out.set(driver.note("cuIpcOpenMemHandle", &fields, opened)?)
}

fn unmap(driver: &mut Driver, address: u64) -> Outcome {
    let known = driver.imports.open.iter_mut().find(|(_, open)| open.address == address);
    let (_, open) = known.ok_or(Code::INVALID_VALUE)?;
    open.users -= 1;
    match open.users {
        0 => driver.free_at(address).map(|_| ()),
        _ => Ok(()),
    }
}

fn close_handle(driver: &mut Driver, address: u64) -> Outcome {
    let outcome = unmap(driver, address);
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

const _: () = assert!(size_of::<Handle>() == 64);
