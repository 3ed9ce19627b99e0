//! Pools: making and ending them, their attributes, which one is current.

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};
use crate::physical::{DEVICE, Location};
use crate::pool::Pool;
use crate::vmm::AccessDesc;

/// The part of `CUmemPoolProps` that means something here.
#[repr(C)]
#[derive(Clone, Copy)]
struct Props {
    alloc_type: i32,
    handle_types: i32,
    location: Location,
    _security: u64,
    max_size: u64,
}

fn create(driver: &mut Driver, out: Out<u64>, props: In<Props>) -> Outcome {
    let props = props.get()?;
    if props.location.kind != DEVICE {
        return Err(Code::NOT_SUPPORTED);
    }
    let device = props.location.id;
    driver.device(device)?;
    let mut pool = Pool::new(device as usize);
    (pool.max_size, pool.handle_types) = (props.max_size, props.handle_types);
    let handle = driver.new_pool(pool);
    let fields = [hex("pool", handle), dec("dev", device as u64)];
    driver.note("cuMemPoolCreate", &fields, Ok(()))?;
    out.set(handle)
}

fn destroy(driver: &mut Driver, handle: u64) -> Outcome {
    let device = driver.pool(handle)?.device;
    let card = &mut driver.devices[device];
    if card.default_pool == handle {
        return Err(Code::INVALID_VALUE);
    }
    if card.current_pool == handle {
        card.current_pool = card.default_pool;
    }
    let outcome = driver.end_pool(handle);
    driver.note("cuMemPoolDestroy", &[hex("pool", handle)], outcome)
}

fn get_attribute(driver: &mut Driver, handle: u64, kind: i32, out: Out<u64>) -> Outcome {
    let pool = driver.pool(handle)?;
    match kind {
        1..=3 => out.cast().set(pool.reuse[kind as usize - 1]),
        4 => out.set(pool.threshold),
        5 => out.set(pool.reserved()),
        6 => out.set(pool.reserved_peak),
        7 => out.set(pool.used()),
        8 => out.set(pool.used_peak),
        9 => out.cast().set(1i32),
        10 => out.cast().set(pool.handle_types),
        11 => out.cast().set(pool.device as i32),
        12 => out.cast().set(DEVICE),
        13 => out.set(pool.max_size),
        14 => out.cast().set(0i32),
        _ => Err(Code::INVALID_VALUE),
    }
}

/// Peaks can only be set to 0, which means: start again from here.
fn set_attribute(driver: &mut Driver, handle: u64, kind: i32, value: In<u64>) -> Outcome {
    let pool = driver.pool(handle)?;
    match kind {
        1..=3 => pool.reuse[kind as usize - 1] = value.cast().get()?,
        4 => pool.threshold = value.get()?,
        6 if value.get()? == 0 => pool.reserved_peak = pool.reserved(),
        8 if value.get()? == 0 => pool.used_peak = pool.used(),
        _ => return Err(Code::INVALID_VALUE),
    }
    let threshold = pool.threshold;
    let fields = [hex("pool", handle), dec("attr", kind as u64), dec("threshold", threshold)];
    driver.note("cuMemPoolSetAttribute", &fields, Ok(()))
}

fn set_access(driver: &mut Driver, handle: u64, list: In<AccessDesc>, count: usize) -> Outcome {
    driver.pool(handle)?;
    list.list(count).map(|_| ())
}

fn get_access(driver: &mut Driver, out: Out<i32>, handle: u64, place: In<Location>) -> Outcome {
    let device = driver.pool(handle)?.device;
    let place = place.get()?;
    out.set(if place.kind == DEVICE && place.id == device as i32 { 3 } else { 0 })
}

fn default_pool(driver: &mut Driver, out: Out<u64>, device: i32) -> Outcome {
    out.set(driver.device(device)?.default_pool)
}

fn current_pool(driver: &mut Driver, out: Out<u64>, device: i32) -> Outcome {
    out.set(driver.device(device)?.current_pool)
}

fn set_current_pool(driver: &mut Driver, device: i32, handle: u64) -> Outcome {
    let pool = driver.pool(handle)?;
    let of = pool.device;
    if pool.origin.is_some() || of != usize::try_from(device).map_err(|_| Code::INVALID_DEVICE)? {
        return Err(Code::INVALID_VALUE);
    }
    driver.device(device)?.current_pool = handle;
    Ok(())
}

/// The form of CUDA 13 names a place and a type; only card memory has pools here.
fn of_place(place: In<Location>, kind: i32) -> Outcome<i32> {
    let place = place.get()?;
    if place.kind == DEVICE && kind == 1 { Ok(place.id) } else { Err(Code::NOT_SUPPORTED) }
}

fn default_pool_of(driver: &mut Driver, out: Out<u64>, place: In<Location>, kind: i32) -> Outcome {
    default_pool(driver, out, of_place(place, kind)?)
}

fn current_pool_of(driver: &mut Driver, out: Out<u64>, place: In<Location>, kind: i32) -> Outcome {
    current_pool(driver, out, of_place(place, kind)?)
}

fn set_current_pool_of(
    driver: &mut Driver,
    place: In<Location>,
    kind: i32,
    handle: u64,
) -> Outcome {
    set_current_pool(driver, of_place(place, kind)?, handle)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemPoolCreate(out: Out<u64>, props: In<Props>) => locked create { 11020: cuMemPoolCreate }
    cuMemPoolDestroy(handle: u64) => locked destroy { 11020: cuMemPoolDestroy }
    cuMemPoolGetAttribute(handle: u64, kind: i32, out: Out<u64>) => locked get_attribute {
        11020: cuMemPoolGetAttribute,
    }
    cuMemPoolSetAttribute(handle: u64, kind: i32, value: In<u64>) => locked set_attribute {
        11020: cuMemPoolSetAttribute,
    }
    cuMemPoolSetAccess(handle: u64, list: In<AccessDesc>, count: usize) => locked set_access {
        11020: cuMemPoolSetAccess,
    }
    cuMemPoolGetAccess(out: Out<i32>, handle: u64, place: In<Location>) => locked get_access {
        11020: cuMemPoolGetAccess,
    }
    cuDeviceGetDefaultMemPool(out: Out<u64>, device: i32) => locked default_pool {
        11020: cuDeviceGetDefaultMemPool,
    }
    cuDeviceGetMemPool(out: Out<u64>, device: i32) => locked current_pool {
        11020: cuDeviceGetMemPool,
    }
    cuDeviceSetMemPool(device: i32, handle: u64) => locked set_current_pool {
        11020: cuDeviceSetMemPool,
    }
    cuMemGetDefaultMemPool(
        out: Out<u64>, place: In<Location>, kind: i32,
    ) => locked default_pool_of {
        13000: cuMemGetDefaultMemPool,
    }
    cuMemGetMemPool(out: Out<u64>, place: In<Location>, kind: i32) => locked current_pool_of {
        13000: cuMemGetMemPool,
    }
    cuMemSetMemPool(place: In<Location>, kind: i32, handle: u64) => locked set_current_pool_of {
        13000: cuMemSetMemPool,
    }
};
