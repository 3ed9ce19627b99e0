//! `cuMemAlloc` and its kin.

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::Out;
use crate::memory::Kind;
use crate::store;

const PAGE: u64 = 4096;
/// Rows of pitched memory start on multiples of this.
const PITCH: usize = 512;

fn take(driver: &mut Driver, bytes: usize) -> Outcome<u64> {
    let device = driver.current_device()?;
    if bytes == 0 {
        return Err(Code::INVALID_VALUE);
    }
    driver.refuse_while_capturing()?;
    let (address, room) = driver.take_linear(device, bytes as u64)?;
    driver.book(address, bytes as u64, room, Kind::Linear, device);
    Ok(address)
}

fn note_taken(driver: &mut Driver, name: &str, bytes: usize, taken: Outcome<u64>) -> Outcome<u64> {
    let device = driver.current_device().map_or(u64::MAX, |device| device as u64);
    let address = taken.unwrap_or(0);
    let fields = [hex("dptr", address), dec("size", bytes as u64), dec("dev", device)];
    driver.note(name, &fields, taken)
}

fn alloc(driver: &mut Driver, out: Out<u64>, bytes: usize) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let taken = take(driver, bytes);
    out.set(note_taken(driver, "cuMemAlloc", bytes, taken)?)
}

fn alloc_pitch(
    driver: &mut Driver,
    out: Out<u64>,
    pitch_out: Out<usize>,
    width: usize,
    height: usize,
    _element: u32,
) -> Outcome {
    if out.is_null() || pitch_out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let pitch = width.checked_next_multiple_of(PITCH).ok_or(Code::INVALID_VALUE)?;
    let bytes = pitch.checked_mul(height).ok_or(Code::OUT_OF_MEMORY)?;
    let taken = take(driver, bytes);
    out.set(note_taken(driver, "cuMemAllocPitch", bytes, taken)?)?;
    pitch_out.set(pitch)
}

fn take_managed(driver: &mut Driver, bytes: usize) -> Outcome<u64> {
    let device = driver.current_device()?;
    if bytes == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let room = (bytes as u64).checked_next_multiple_of(PAGE).ok_or(Code::OUT_OF_MEMORY)?;
    let address = store::anonymous(room).map_err(|_| Code::OUT_OF_MEMORY)?;
    driver.book(address, bytes as u64, room, Kind::Managed, device);
    Ok(address)
}

fn alloc_managed(driver: &mut Driver, out: Out<u64>, bytes: usize, flags: u32) -> Outcome {
    if out.is_null() || !matches!(flags, 1 | 2) {
        return Err(Code::INVALID_VALUE);
    }
    let taken = take_managed(driver, bytes);
    out.set(note_taken(driver, "cuMemAllocManaged", bytes, taken)?)
}

fn give(driver: &mut Driver, address: u64) -> Outcome<u64> {
    driver.current()?;
    let known = driver.memory.at(address).ok_or(Code::INVALID_VALUE)?;
    match known.kind {
        // Those have their own ways to go, or no address that anybody knows.
        Kind::Array | Kind::Imported | Kind::Variable => Err(Code::INVALID_VALUE),
        _ => driver.free_at(address).map(|freed| freed.size),
    }
}

fn free(driver: &mut Driver, address: u64) -> Outcome {
    if address == 0 {
        return Ok(());
    }
    let given = give(driver, address);
    let fields = [hex("dptr", address), dec("size", given.unwrap_or(0))];
    driver.note("cuMemFree", &fields, given).map(|_| ())
}

fn get_info(driver: &mut Driver, free: Out<usize>, total: Out<usize>) -> Outcome {
    let device = driver.current_device()?;
    let size = driver.machine.total_bytes();
    let used = driver.machine.used_bytes(driver.devices[device].index);
    free.set_if_given(size.saturating_sub(used) as usize);
    total.set_if_given(size as usize);
    Ok(())
}

fn address_range(driver: &mut Driver, base: Out<u64>, size: Out<usize>, address: u64) -> Outcome {
    driver.current()?;
    let found = driver.memory.around(address).map(|(start, found)| (start, found.size));
    let (start, bytes) = found
        .or_else(|| driver.vmm.around(address).map(|(start, found)| (start, found.size)))
        .ok_or(Code::NOT_FOUND)?;
    base.set_if_given(start);
    size.set_if_given(bytes as usize);
    Ok(())
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemAlloc(out: Out<u64>, bytes: usize) => locked alloc { 3020: cuMemAlloc_v2 }
    cuMemAllocPitch(
        out: Out<u64>, pitch: Out<usize>, width: usize, height: usize, element: u32,
    ) => locked alloc_pitch {
        3020: cuMemAllocPitch_v2,
    }
    cuMemAllocManaged(out: Out<u64>, bytes: usize, flags: u32) => locked alloc_managed {
        6000: cuMemAllocManaged,
    }
    cuMemFree(address: u64) => locked free { 3020: cuMemFree_v2 }
    cuMemGetInfo(free: Out<usize>, total: Out<usize>) => locked get_info { 3020: cuMemGetInfo_v2 }
    cuMemGetAddressRange(base: Out<u64>, size: Out<usize>, address: u64) => locked address_range {
        3020: cuMemGetAddressRange_v2,
    }
};
