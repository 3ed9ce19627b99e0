//! Pinned host memory: allocated here, or registered by its owner.

use std::collections::BTreeMap;

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::Out;
use crate::store;

const PAGE: u64 = 4096;

/// One pinned range.
#[derive(Clone, Copy)]
pub struct Pinned {
    pub size: u64,
    flags: u32,
    /// The owner's memory, only registered here.
    pub registered: bool,
}

/// All pinned ranges, by address.
#[derive(Default)]
pub struct HostMemory {
    by_address: BTreeMap<u64, Pinned>,
}

impl HostMemory {
    /// The range that an address lies in, and its start.
    pub fn around(&self, address: u64) -> Option<(u64, Pinned)> {
        let (&start, &found) = self.by_address.range(..=address).next_back()?;
        (address - start < found.size).then_some((start, found))
    }

    /// Does one pinned range hold all of this?
    pub fn covers(&self, address: u64, bytes: u64) -> bool {
        let holds = |(start, found): (u64, Pinned)| bytes <= found.size - (address - start);
        self.around(address).is_some_and(holds)
    }

    fn overlaps(&self, address: u64, bytes: u64) -> bool {
        let before = self.by_address.range(..address.saturating_add(bytes)).next_back();
        before.is_some_and(|(&start, found)| start + found.size > address)
    }
}

fn take(driver: &mut Driver, bytes: usize, flags: u32) -> Outcome<u64> {
    driver.current()?;
    if bytes == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let room = (bytes as u64).checked_next_multiple_of(PAGE).ok_or(Code::OUT_OF_MEMORY)?;
    let address = store::anonymous(room).map_err(|_| Code::OUT_OF_MEMORY)?;
    let pinned = Pinned { size: bytes as u64, flags, registered: false };
    driver.host.by_address.insert(address, pinned);
    Ok(address)
}

fn alloc(driver: &mut Driver, out: Out<u64>, bytes: usize, flags: u32) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let taken = take(driver, bytes, flags);
    let fields =
        [hex("ptr", taken.unwrap_or(0)), dec("size", bytes as u64), dec("flags", flags.into())];
    out.set(driver.note("cuMemHostAlloc", &fields, taken)?)
}

fn alloc_plain(driver: &mut Driver, out: Out<u64>, bytes: usize) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let taken = take(driver, bytes, 0);
    let fields = [hex("ptr", taken.unwrap_or(0)), dec("size", bytes as u64)];
    out.set(driver.note("cuMemAllocHost", &fields, taken)?)
}

fn give(driver: &mut Driver, address: u64) -> Outcome<u64> {
    let known = driver.host.by_address.get(&address).copied();
    let pinned = known.filter(|pinned| !pinned.registered).ok_or(Code::INVALID_VALUE)?;
    driver.host.by_address.remove(&address);
    store::release(address, pinned.size.next_multiple_of(PAGE));
    Ok(pinned.size)
}

fn free(driver: &mut Driver, address: u64) -> Outcome {
    let given = give(driver, address);
    let fields = [hex("ptr", address), dec("size", given.unwrap_or(0))];
    driver.note("cuMemFreeHost", &fields, given).map(|_| ())
}

fn register(driver: &mut Driver, address: u64, bytes: usize, flags: u32) -> Outcome {
    let outcome = driver.current().and_then(|_| match (address, bytes) {
        (0, _) | (_, 0) => Err(Code::INVALID_VALUE),
        _ if driver.host.overlaps(address, bytes as u64) => {
            Err(Code::HOST_MEMORY_ALREADY_REGISTERED)
        }
        _ => Ok(()),
    });
    if outcome.is_ok() {
        let pinned = Pinned { size: bytes as u64, flags, registered: true };
        driver.host.by_address.insert(address, pinned);
    }
    let fields = [hex("ptr", address), dec("size", bytes as u64), dec("flags", flags.into())];
    driver.note("cuMemHostRegister", &fields, outcome)
}

fn unregister(driver: &mut Driver, address: u64) -> Outcome {
    let known = driver.host.by_address.get(&address).is_some_and(|pinned| pinned.registered);
    let outcome = if known { Ok(()) } else { Err(Code::HOST_MEMORY_NOT_REGISTERED) };
    if known {
        driver.host.by_address.remove(&address);
    }
    driver.note("cuMemHostUnregister", &[hex("ptr", address)], outcome)
}

fn device_pointer(driver: &mut Driver, out: Out<u64>, address: u64, _flags: u32) -> Outcome {
    driver.host.around(address).ok_or(Code::INVALID_VALUE)?;
    out.set(address)
}

fn get_flags(driver: &mut Driver, out: Out<u32>, address: u64) -> Outcome {
    out.set(driver.host.around(address).ok_or(Code::INVALID_VALUE)?.1.flags)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemHostAlloc(out: Out<u64>, bytes: usize, flags: u32) => locked alloc { 2020: cuMemHostAlloc }
    cuMemAllocHost(out: Out<u64>, bytes: usize) => locked alloc_plain { 3020: cuMemAllocHost_v2 }
    cuMemFreeHost(address: u64) => locked free { 2000: cuMemFreeHost }
    cuMemHostRegister(address: u64, bytes: usize, flags: u32) => locked register {
        4000: cuMemHostRegister, 6050: cuMemHostRegister_v2,
    }
    cuMemHostUnregister(address: u64) => locked unregister { 4000: cuMemHostUnregister }
    cuMemHostGetDevicePointer(out: Out<u64>, address: u64, flags: u32) => locked device_pointer {
        3020: cuMemHostGetDevicePointer_v2,
    }
    cuMemHostGetFlags(out: Out<u32>, address: u64) => locked get_flags { 2030: cuMemHostGetFlags }
};
