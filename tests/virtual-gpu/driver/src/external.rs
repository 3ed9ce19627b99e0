//! Memory of other interfaces by file descriptor, and this driver's own for others.
//!
//! A descriptor that this driver made stands for its part of a card, and holds it as any import
//! does. Any other file that can be mapped stands for what a graphics interface would have made:
//! nobody here is charged for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{FromRawFd, IntoRawFd};

use machine::{dec, hex};

use crate::descriptor;
use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};
use crate::memory::Kind;
use crate::physical::Backing;
use crate::store::{self, Exported, GRANULE};

const PAGE: u64 = 4096;
/// `CUexternalMemoryHandleType`: a descriptor that becomes the driver's, and one that does not.
const OPAQUE: u32 = 1;
const DMA_BUFFER: u32 = 9;

/// `CUDA_EXTERNAL_MEMORY_HANDLE_DESC`, of which the reserved end is not read.
#[repr(C)]
#[derive(Clone, Copy)]
struct Wanted {
    kind: u32,
    _padding: u32,
    fd: i32,
    _rest_of_handle: [u32; 3],
    size: u64,
}

/// `CUDA_EXTERNAL_MEMORY_BUFFER_DESC`, likewise.
#[repr(C)]
#[derive(Clone, Copy)]
struct Part {
    offset: u64,
    size: u64,
}

struct External {
    file: File,
    /// Where in the file it starts.
    start: u64,
    size: u64,
    device: usize,
    /// Of the part of a card that another process made.
    hold: Option<usize>,
}

/// All imported memory of other interfaces, by handle.
#[derive(Default)]
pub struct ExternalMemory {
    living: BTreeMap<u64, External>,
}

/// Gives the handle and the card.
fn take(driver: &mut Driver, wanted: Wanted) -> Outcome<(u64, usize)> {
    let current = driver.current_device()?;
    if !matches!(wanted.kind, OPAQUE | DMA_BUFFER) {
        return Err(Code::NOT_SUPPORTED);
    }
    let file = descriptor::copied(wanted.fd)?;
    let external = match store::exported(&file) {
        Ok((start, Exported { device, size, owner, id })) => {
            let same_card = |card: &crate::device::Device| card.index as u64 == device;
            let device = driver.devices.iter().position(same_card).ok_or(Code::INVALID_DEVICE)?;
            if wanted.size > size {
                return Err(Code::INVALID_VALUE);
            }
            let hold = driver.machine.hold(owner, id).map_err(|_| Code::OUT_OF_MEMORY)?;
            External { file, start, size: wanted.size, device, hold: Some(hold) }
        }
        Err(_) => {
            let room = file.metadata().map_err(|_| Code::INVALID_VALUE)?.len();
            if wanted.size == 0 || wanted.size > room {
                return Err(Code::INVALID_VALUE);
            }
            External { file, start: 0, size: wanted.size, device: current, hold: None }
        }
    };
    let (handle, device) = (driver.new_handle(), external.device);
    driver.external.living.insert(handle, external);
    if wanted.kind == OPAQUE {
        // SAFETY: it was just copied, so it is open, and from here on it is the driver's.
        drop(unsafe { File::from_raw_fd(wanted.fd) });
    }
    Ok((handle, device))
}

fn import(driver: &mut Driver, out: Out<u64>, wanted: In<Wanted>) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let wanted = wanted.get()?;
    let taken = take(driver, wanted);
    let (handle, device) = taken.unwrap_or((0, 0));
    let fields = [hex("memory", handle), dec("size", wanted.size), dec("dev", device as u64)];
    driver.note("cuImportExternalMemory", &fields, taken)?;
    out.set(handle)
}

fn map(driver: &mut Driver, handle: u64, part: Part) -> Outcome<u64> {
    let memory = driver.external.living.get(&handle).ok_or(Code::INVALID_HANDLE)?;
    let end = part.offset.checked_add(part.size).ok_or(Code::INVALID_VALUE)?;
    if part.size == 0 || end > memory.size {
        return Err(Code::INVALID_VALUE);
    }
    let at = memory.start + part.offset;
    let within = at % PAGE;
    let room = (within + part.size).next_multiple_of(PAGE);
    let base = store::reserve(room, GRANULE, 0).map_err(|_| Code::OUT_OF_MEMORY)?;
    if store::place(&memory.file, at - within, base, room, true).is_err() {
        store::release(base, room);
        return Err(Code::INVALID_VALUE);
    }
    let device = memory.device;
    driver.book(base + within, part.size, room, Kind::External, device);
    Ok(base + within)
}

fn mapped_buffer(driver: &mut Driver, out: Out<u64>, handle: u64, part: In<Part>) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let part = part.get()?;
    let mapped = map(driver, handle, part);
    let fields = [
        hex("memory", handle),
        hex("dptr", mapped.unwrap_or(0)),
        dec("offset", part.offset),
        dec("size", part.size),
    ];
    out.set(driver.note("cuExternalMemoryGetMappedBuffer", &fields, mapped)?)
}

fn destroy(driver: &mut Driver, handle: u64) -> Outcome {
    let gone = driver.external.living.remove(&handle).ok_or(Code::INVALID_HANDLE);
    if let Ok(External { hold: Some(hold), .. }) = gone {
        driver.machine.let_go(hold);
    }
    driver.note("cuDestroyExternalMemory", &[hex("memory", handle)], gone).map(|_| ())
}

/// Where a range of this process's own device memory lies: the card, the offset in its store, and
/// the number of what it is part of.
fn lies(driver: &Driver, address: u64, size: u64) -> Outcome<(usize, u64, u64)> {
    if let Some((start, found)) = driver.memory.around(address) {
        let own = matches!(found.kind, Kind::Linear | Kind::Pool(_));
        if !own || size > found.size - (address - start) {
            return Err(Code::INVALID_VALUE);
        }
        let offset = driver.devices[found.device].store.offset(address);
        return Ok((found.device, offset, found.id));
    }
    let (start, mapping) = driver.vmm.around(address).ok_or(Code::INVALID_VALUE)?;
    let physical = &driver.physical.living[&mapping.handle];
    let inside = size <= mapping.size - (address - start);
    match physical.backing {
        Backing::Own if inside => {
            Ok((physical.device, physical.offset + (address - start), physical.id))
        }
        _ => Err(Code::INVALID_VALUE),
    }
}

fn open_range(driver: &mut Driver, address: u64, size: u64, kind: i32) -> Outcome<i32> {
    const DMA_BUFFER_OF_RANGE: i32 = 1;
    driver.current()?;
    let whole_pages = size > 0 && (address | size).is_multiple_of(PAGE);
    if kind != DMA_BUFFER_OF_RANGE || !whole_pages {
        return Err(Code::INVALID_VALUE);
    }
    let (device, offset, id) = lies(driver, address, size)?;
    driver.note_exported(id);
    let file = driver.devices[device].store.export(offset, size, id);
    Ok(file.map_err(|_| Code::OPERATING_SYSTEM)?.into_raw_fd())
}

fn range_handle(
    driver: &mut Driver,
    out: Out<i32>,
    address: u64,
    size: u64,
    kind: i32,
    _flags: u64,
) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let opened = open_range(driver, address, size, kind);
    let fields = [hex("dptr", address), dec("size", size)];
    out.set(driver.note("cuMemGetHandleForAddressRange", &fields, opened)?)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuImportExternalMemory(out: Out<u64>, wanted: In<Wanted>) => locked import {
        10000: cuImportExternalMemory,
    }
    cuExternalMemoryGetMappedBuffer(
        out: Out<u64>, handle: u64, part: In<Part>,
    ) => locked mapped_buffer {
        10000: cuExternalMemoryGetMappedBuffer,
    }
    cuDestroyExternalMemory(handle: u64) => locked destroy { 10000: cuDestroyExternalMemory }
    cuMemGetHandleForAddressRange(
        out: Out<i32>, address: u64, size: u64, kind: i32, flags: u64,
    ) => locked range_handle {
        11070: cuMemGetHandleForAddressRange,
    }
};

const _: () = assert!(std::mem::offset_of!(Wanted, size) == 24);
