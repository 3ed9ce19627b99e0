//! Virtual memory management: reserved addresses, and mappings of physical memory to them.

use std::collections::BTreeMap;

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};
use crate::physical::{Backing, Location, whole_granules};
use crate::store::{self, GRANULE};

/// `CUmemAccessDesc`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AccessDesc {
    place: Location,
    flags: i32,
}

/// Physical memory seen at an address.
pub struct Mapping {
    pub size: u64,
    pub handle: u64,
    /// What the card may do there, in the system's numbers.
    flags: i32,
}

/// All reservations and mappings.
#[derive(Default)]
pub struct Vmm {
    reserved: BTreeMap<u64, u64>,
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

    /// The mapping that an address lies in, and its start.
    pub fn around(&self, address: u64) -> Option<(u64, &Mapping)> {
        let (&start, found) = self.mappings.range(..=address).next_back()?;
        (address - start < found.size).then_some((start, found))
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
    physical.mappings += 1;
    let (device, at) = (physical.device, physical.offset);
    let placed = match &driver.physical.living[&handle].backing {
        Backing::Own => store::place(driver.devices[device].store.file(), at, address, size, false),
        Backing::Imported(theirs, _) => store::place(theirs, at, address, size, false),
        // What is written to all at once is read by kernels only: nobody misses it.
        Backing::Multicast(_) => store::unplace(address, size),
    };
    if placed.is_err() {
        driver.physical(handle)?.mappings -= 1;
        return Err(Code::OUT_OF_MEMORY);
    }
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
            if let Some(physical) = driver.physical.living.get_mut(&mapping.handle) {
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

fn retain(driver: &mut Driver, out: Out<u64>, address: u64) -> Outcome {
    let found = driver.vmm.around(address).map(|(_, mapping)| mapping.handle);
    let retained = found.ok_or(Code::INVALID_VALUE).inspect(|handle| {
        if let Some(physical) = driver.physical.living.get_mut(handle) {
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
    cuMemRetainAllocationHandle(out: Out<u64>, address: u64) => locked retain {
        11000: cuMemRetainAllocationHandle,
    }
};
