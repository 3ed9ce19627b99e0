//! Virtual memory management: addresses, physical handles, and mappings of one to the other.
//!
//! A handle's memory lives while the handle has a user or a mapping; it is charged to the process
//! that created it.

use std::collections::BTreeMap;
use std::fs::File;

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};
use crate::store::{self, GRANULE};

/// `CUmemLocation`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Location {
    pub kind: i32,
    pub id: i32,
}

/// The only kind of location that has memory here.
pub const DEVICE: i32 = 1;

/// `CUmemAccessDesc`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AccessDesc {
    place: Location,
    flags: i32,
}

/// `CUmemAllocationProp`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Props {
    kind: i32,
    pub handle_types: i32,
    place: Location,
    security: u64,
    flags: u64,
}

impl Props {
    /// What is known of memory that another process created on a card.
    pub fn of_device(device: usize) -> Self {
        let place = Location { kind: DEVICE, id: device as i32 };
        Self { kind: 1, handle_types: 1, place, security: 0, flags: 0 }
    }
}

/// Physical memory that one handle stands for.
pub struct Physical {
    /// This process's ordinal of the card.
    pub device: usize,
    pub offset: u64,
    pub size: u64,
    pub props: Props,
    /// Where another process created it: that process's file.
    pub imported: Option<File>,
    /// Users of the handle: its creator, and who retained or imported it.
    pub users: u64,
    mappings: u64,
}

struct Mapping {
    size: u64,
    handle: u64,
    flags: i32,
}

/// All reservations, handles and mappings.
#[derive(Default)]
pub struct Vmm {
    reserved: BTreeMap<u64, u64>,
    pub physical: BTreeMap<u64, Physical>,
    /// Handles whose memory is gone, to be given out again as a real driver does.
    unused: Vec<u64>,
    mappings: BTreeMap<u64, Mapping>,
}

impl Vmm {
    /// Is the address inside a reservation?
    pub fn reserves(&self, address: u64) -> bool {
        self.reservation(address).is_some()
    }

    fn reservation(&self, address: u64) -> Option<(u64, u64)> {
        let (&start, &size) = self.reserved.range(..=address).next_back()?;
        (address - start < size).then_some((start, size))
    }

    fn around(&self, address: u64) -> Option<(u64, &Mapping)> {
        let (&start, found) = self.mappings.range(..=address).next_back()?;
        (address - start < found.size).then_some((start, found))
    }

    /// Start, size, card and handle types of the mapping that an address lies in.
    pub fn mapping_around(&self, address: u64) -> Option<(u64, u64, usize, u64)> {
        let (start, found) = self.around(address)?;
        let physical = self.physical.get(&found.handle)?;
        Some((start, found.size, physical.device, physical.props.handle_types as u64))
    }

    /// Start and size of the mapping that an address lies in.
    pub fn range_around(&self, address: u64) -> Option<(u64, u64)> {
        self.around(address).map(|(start, found)| (start, found.size))
    }

    /// May the card use all of this range?
    pub fn check_access(&self, address: u64, bytes: u64) -> Outcome {
        let (mut at, end) = (address, address.saturating_add(bytes));
        loop {
            let (start, found) = self.around(at).ok_or(Code::INVALID_VALUE)?;
            if found.flags != libc::PROT_READ | libc::PROT_WRITE {
                return Err(Code::ILLEGAL_ADDRESS);
            }
            at = start + found.size;
            if at >= end {
                return Ok(());
            }
        }
    }

    /// Starts of the mappings that make up a range exactly, without a gap.
    fn exactly(&self, address: u64, size: u64) -> Outcome<Vec<u64>> {
        let (mut starts, mut at) = (Vec::new(), address);
        let end = address.saturating_add(size);
        while at < end {
            starts.push(at);
            at += self.mappings.get(&at).ok_or(Code::INVALID_VALUE)?.size;
        }
        if at == end && size > 0 { Ok(starts) } else { Err(Code::INVALID_VALUE) }
    }
}

impl Driver {
    /// Puts physical memory into the books and gives its handle.
    pub fn book_physical(
        &mut self,
        device: usize,
        (offset, size): (u64, u64),
        props: Props,
        imported: Option<File>,
    ) -> u64 {
        let handle = self.vmm.unused.pop().unwrap_or_else(|| self.new_handle());
        let physical = Physical { device, offset, size, props, imported, users: 1, mappings: 0 };
        self.vmm.physical.insert(handle, physical);
        handle
    }

    /// The memory behind a handle that has users.
    pub fn physical(&mut self, handle: u64) -> Outcome<&mut Physical> {
        let found = self.vmm.physical.get_mut(&handle).filter(|physical| physical.users > 0);
        found.ok_or(Code::INVALID_VALUE)
    }

    /// Ends physical memory that nothing holds any more.
    fn settle_physical(&mut self, handle: u64) {
        let held = |physical: &Physical| physical.users > 0 || physical.mappings > 0;
        if self.vmm.physical.get(&handle).is_none_or(held) {
            return;
        }
        if let Some(gone) = self.vmm.physical.remove(&handle) {
            self.vmm.unused.push(handle);
            if gone.imported.is_none() {
                self.give_physical(gone.device, gone.offset, gone.size);
            }
        }
    }
}

fn whole_granules(size: usize) -> Outcome<u64> {
    let size = size as u64;
    if size > 0 && size.is_multiple_of(GRANULE) { Ok(size) } else { Err(Code::INVALID_VALUE) }
}

fn reserve(
    driver: &mut Driver,
    out: Out<u64>,
    size: usize,
    align: usize,
    hint: u64,
    _flags: u64,
) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let align = (align as u64).max(GRANULE);
    let taken = whole_granules(size).and_then(|size| {
        if !align.is_power_of_two() {
            return Err(Code::INVALID_VALUE);
        }
        store::reserve(size, align, hint).map_err(|_| Code::OUT_OF_MEMORY)
    });
    if let Ok(address) = taken {
        driver.vmm.reserved.insert(address, size as u64);
    }
    let fields = [hex("va", taken.unwrap_or(0)), dec("size", size as u64)];
    out.set(driver.note("cuMemAddressReserve", &fields, taken)?)
}

fn address_free(driver: &mut Driver, address: u64, size: usize) -> Outcome {
    let end = address.saturating_add(size as u64);
    let whole = driver.vmm.reserved.get(&address) == Some(&(size as u64));
    let empty = driver.vmm.mappings.range(address..end).next().is_none();
    let outcome = if whole && empty { Ok(()) } else { Err(Code::INVALID_VALUE) };
    if outcome.is_ok() {
        driver.vmm.reserved.remove(&address);
        store::release(address, size as u64);
    }
    driver.note("cuMemAddressFree", &[hex("va", address), dec("size", size as u64)], outcome)
}

fn make(driver: &mut Driver, size: usize, props: Props) -> Outcome<u64> {
    let size = whole_granules(size)?;
    if props.kind != 1 {
        return Err(Code::INVALID_VALUE);
    }
    if props.place.kind != DEVICE || props.handle_types & !1 != 0 {
        return Err(Code::NOT_SUPPORTED);
    }
    driver.device(props.place.id)?;
    let device = props.place.id as usize;
    let offset = driver.take_physical(device, size)?;
    Ok(driver.book_physical(device, (offset, size), props, None))
}

fn create(
    driver: &mut Driver,
    out: Out<u64>,
    size: usize,
    props: In<Props>,
    _flags: u64,
) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let props = props.get()?;
    let made = make(driver, size, props);
    let fields = [
        hex("handle", made.unwrap_or(0)),
        dec("size", size as u64),
        dec("dev", props.place.id as u64),
    ];
    out.set(driver.note("cuMemCreate", &fields, made)?)
}

fn release(driver: &mut Driver, handle: u64) -> Outcome {
    let outcome = driver.physical(handle).map(|physical| physical.users -= 1);
    if outcome.is_ok() {
        driver.settle_physical(handle);
    }
    driver.note("cuMemRelease", &[hex("handle", handle)], outcome)
}

fn place(driver: &mut Driver, address: u64, size: usize, offset: usize, handle: u64) -> Outcome {
    let size = whole_granules(size)?;
    let (start, room) = driver.vmm.reservation(address).ok_or(Code::INVALID_VALUE)?;
    let before = driver.vmm.mappings.range(..address + size).next_back();
    let overlaps = before.is_some_and(|(&other, mapping)| other + mapping.size > address);
    let physical = driver.physical(handle)?;
    let fits = offset == 0 && size <= physical.size && size <= room - (address - start);
    if overlaps || !fits || !address.is_multiple_of(GRANULE) {
        return Err(Code::INVALID_VALUE);
    }
    let (device, at) = (physical.device, physical.offset);
    let file = match driver.vmm.physical.get(&handle).and_then(|found| found.imported.as_ref()) {
        Some(theirs) => theirs,
        None => driver.devices[device].store.file(),
    };
    store::place(file, at, address, size, false).map_err(|_| Code::OUT_OF_MEMORY)?;
    driver.physical(handle)?.mappings += 1;
    driver.vmm.mappings.insert(address, Mapping { size, handle, flags: libc::PROT_NONE });
    Ok(())
}

fn map(
    driver: &mut Driver,
    address: u64,
    size: usize,
    offset: usize,
    handle: u64,
    _flags: u64,
) -> Outcome {
    let outcome = place(driver, address, size, offset, handle);
    let fields = [
        hex("va", address),
        dec("size", size as u64),
        dec("offset", offset as u64),
        hex("handle", handle),
    ];
    driver.note("cuMemMap", &fields, outcome)
}

fn unmap(driver: &mut Driver, address: u64, size: usize) -> Outcome {
    let outcome = driver.vmm.exactly(address, size as u64).and_then(|starts| {
        store::unplace(address, size as u64).map_err(|_| Code::OUT_OF_MEMORY)?;
        for start in starts {
            let Some(mapping) = driver.vmm.mappings.remove(&start) else { continue };
            if let Some(physical) = driver.vmm.physical.get_mut(&mapping.handle) {
                physical.mappings -= 1;
            }
            driver.settle_physical(mapping.handle);
        }
        Ok(())
    });
    driver.note("cuMemUnmap", &[hex("va", address), dec("size", size as u64)], outcome)
}

fn set_access(
    driver: &mut Driver,
    address: u64,
    size: usize,
    list: In<AccessDesc>,
    count: usize,
) -> Outcome {
    let list = list.list(count)?;
    let starts = driver.vmm.exactly(address, size as u64)?;
    // The process stands for all its cards at once: the widest access of any counts.
    let flags = list.iter().map(|desc| desc.flags).max().ok_or(Code::INVALID_VALUE)?;
    let protection = match flags {
        0 => libc::PROT_NONE,
        1 => libc::PROT_READ,
        3 => libc::PROT_READ | libc::PROT_WRITE,
        _ => return Err(Code::INVALID_VALUE),
    };
    store::protect(address, size as u64, protection).map_err(|_| Code::OUT_OF_MEMORY)?;
    for start in starts {
        if let Some(mapping) = driver.vmm.mappings.get_mut(&start) {
            mapping.flags = protection;
        }
    }
    Ok(())
}

fn get_access(driver: &mut Driver, out: Out<u64>, _place: In<Location>, address: u64) -> Outcome {
    // The protections of the system and the access flags of the driver are the same numbers.
    out.set(driver.vmm.around(address).ok_or(Code::INVALID_VALUE)?.1.flags as u64)
}

fn granularity(driver: &mut Driver, out: Out<usize>, props: In<Props>, _option: i32) -> Outcome {
    driver.device(props.get()?.place.id)?;
    out.set(GRANULE as usize)
}

fn properties(driver: &mut Driver, out: Out<Props>, handle: u64) -> Outcome {
    out.set(driver.physical(handle)?.props)
}

fn retain(driver: &mut Driver, out: Out<u64>, address: u64) -> Outcome {
    let found = driver.vmm.around(address).map(|(_, mapping)| mapping.handle);
    let retained = found.ok_or(Code::INVALID_VALUE).inspect(|handle| {
        if let Some(physical) = driver.vmm.physical.get_mut(handle) {
            physical.users += 1;
        }
    });
    let fields = [hex("va", address), hex("handle", retained.unwrap_or(0))];
    out.set(driver.note("cuMemRetainAllocationHandle", &fields, retained)?)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemAddressReserve(
        out: Out<u64>, size: usize, align: usize, hint: u64, flags: u64,
    ) => locked reserve {
        10020: cuMemAddressReserve,
    }
    cuMemAddressFree(address: u64, size: usize) => locked address_free { 10020: cuMemAddressFree }
    cuMemCreate(out: Out<u64>, size: usize, props: In<Props>, flags: u64) => locked create {
        10020: cuMemCreate,
    }
    cuMemRelease(handle: u64) => locked release { 10020: cuMemRelease }
    cuMemMap(address: u64, size: usize, offset: usize, handle: u64, flags: u64) => locked map {
        10020: cuMemMap,
    }
    cuMemUnmap(address: u64, size: usize) => locked unmap { 10020: cuMemUnmap }
    cuMemSetAccess(
        address: u64, size: usize, list: In<AccessDesc>, count: usize,
    ) => locked set_access {
        10020: cuMemSetAccess,
    }
    cuMemGetAccess(out: Out<u64>, place: In<Location>, address: u64) => locked get_access {
        10020: cuMemGetAccess,
    }
    cuMemGetAllocationGranularity(
        out: Out<usize>, props: In<Props>, option: i32,
    ) => locked granularity {
        10020: cuMemGetAllocationGranularity,
    }
    cuMemGetAllocationPropertiesFromHandle(out: Out<Props>, handle: u64) => locked properties {
        10020: cuMemGetAllocationPropertiesFromHandle,
    }
    cuMemRetainAllocationHandle(out: Out<u64>, address: u64) => locked retain {
        11000: cuMemRetainAllocationHandle,
    }
};
