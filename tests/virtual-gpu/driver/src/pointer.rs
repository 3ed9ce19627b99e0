//! What a pointer is: `cuPointerGetAttribute` and advice about managed ranges.

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};
use crate::memory::Kind;

const HOST: u32 = 1;
const DEVICE: u32 = 2;

/// All that is known of a pointer.
struct Facts {
    start: u64,
    size: u64,
    memory_type: u32,
    context: u64,
    device: i32,
    id: u64,
    managed: bool,
    ipc: bool,
    pool: u64,
    handle_types: u64,
}

fn facts(driver: &Driver, address: u64) -> Option<Facts> {
    if let Some((start, found)) = driver.memory.around(address) {
        return Some(Facts {
            start,
            size: found.size,
            memory_type: DEVICE,
            context: found.context,
            device: found.device as i32,
            id: found.id,
            managed: found.kind == Kind::Managed,
            ipc: found.kind == Kind::Linear,
            pool: match found.kind {
                Kind::Pool(pool) | Kind::ImportedFromPool(pool) => pool,
                _ => 0,
            },
            handle_types: 0,
        });
    }
    let (start, size, memory_type, device, id, handle_types) =
        if let Some((start, pinned)) = driver.host.around(address) {
            (start, pinned.size, HOST, 0, start, 0)
        } else {
            let (start, mapping) = driver.vmm.around(address)?;
            let physical = driver.physical.living.get(&mapping.handle)?;
            let types = physical.props.handle_types as u64;
            (start, mapping.size, DEVICE, physical.device, start, types)
        };
    let context = driver.devices[device].primary;
    let (managed, ipc, pool, device) = (false, false, 0, device as i32);
    Some(Facts { start, size, memory_type, context, device, id, managed, ipc, pool, handle_types })
}

/// Stores one attribute. An unknown pointer gives what the driver gives for ordinary host memory.
fn store(driver: &Driver, out: Out<u64>, kind: i32, address: u64) -> Outcome {
    let facts = facts(driver, address);
    let known = facts.as_ref().ok_or(Code::INVALID_VALUE);
    match kind {
        1 => out.set(known?.context),
        2 => out.cast().set(known?.memory_type),
        3 => known.and_then(|_| out.set(address)),
        4 => match known? {
            facts if facts.memory_type == HOST || facts.managed => out.set(address),
            _ => Err(Code::INVALID_VALUE),
        },
        6 => out.cast().set(0u32),
        7 => out.set(known?.id),
        8 => out.cast().set(u8::from(facts.is_some_and(|facts| facts.managed))),
        9 => out.cast().set(facts.map_or(-2, |facts| facts.device)),
        10 => out.cast().set(u8::from(facts.is_some_and(|facts| facts.ipc))),
        11 => out.set(facts.map_or(0, |facts| facts.start)),
        12 => out.set(facts.map_or(0, |facts| facts.size)),
        13 => out.cast().set(u8::from(facts.is_some())),
        14 => out.set(facts.map_or(0, |facts| facts.handle_types)),
        15 => out.cast().set(0u8),
        16 => out.cast().set(if facts.is_some() { 3u32 } else { 0 }),
        17 => out.set(facts.map_or(0, |facts| facts.pool)),
        18 => out.set(facts.map_or(0, |facts| facts.size)),
        19 => out.set(facts.map_or(0, |facts| facts.start)),
        20 => out.set(facts.map_or(0, |facts| facts.id)),
        21 => out.cast().set(0u8),
        _ => Err(Code::INVALID_VALUE),
    }
}

fn get(driver: &mut Driver, out: Out<u64>, kind: i32, address: u64) -> Outcome {
    driver.current()?;
    store(driver, out, kind, address)
}

/// Unlike the single form it never fails for an unknown pointer: what cannot be told becomes 0.
fn get_many(
    driver: &mut Driver,
    count: u32,
    kinds: In<i32>,
    outs: In<Out<u64>>,
    address: u64,
) -> Outcome {
    driver.current()?;
    let kinds = kinds.list(count as usize)?;
    for (kind, out) in kinds.into_iter().zip(outs.list(count as usize)?) {
        if store(driver, out, kind, address).is_err() {
            match kind {
                2 | 6 | 9 | 16 => out.cast().set(0u32)?,
                8 | 10 | 13 | 15 | 21 => out.cast().set(0u8)?,
                _ => out.set(0)?,
            }
        }
    }
    Ok(())
}

fn set(driver: &mut Driver, _value: u64, _kind: i32, address: u64) -> Outcome {
    facts(driver, address).map(|_| ()).ok_or(Code::INVALID_VALUE)
}

fn advise(driver: &mut Driver, address: u64, bytes: usize, _advice: i32, _device: i32) -> Outcome {
    driver.check_device_range(address, bytes as u64)
}

fn advise_v2(
    driver: &mut Driver,
    address: u64,
    bytes: usize,
    _advice: i32,
    _place: u64,
) -> Outcome {
    driver.check_device_range(address, bytes as u64)
}

fn prefetch(
    driver: &mut Driver,
    address: u64,
    bytes: usize,
    _device: i32,
    _stream: u64,
) -> Outcome {
    driver.check_device_range(address, bytes as u64)
}

fn prefetch_v2(
    driver: &mut Driver,
    address: u64,
    bytes: usize,
    _place: u64,
    _flags: u32,
    _stream: u64,
) -> Outcome {
    driver.check_device_range(address, bytes as u64)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuPointerGetAttribute(out: Out<u64>, kind: i32, address: u64) => locked get {
        4000: cuPointerGetAttribute,
    }
    cuPointerGetAttributes(
        count: u32, kinds: In<i32>, outs: In<Out<u64>>, address: u64,
    ) => locked get_many {
        7000: cuPointerGetAttributes,
    }
    cuPointerSetAttribute(value: u64, kind: i32, address: u64) => locked set {
        6000: cuPointerSetAttribute,
    }
    cuMemAdvise(address: u64, bytes: usize, advice: i32, device: i32) => locked advise {
        8000: cuMemAdvise,
    }
    cuMemAdvise(address: u64, bytes: usize, advice: i32, place: u64) => locked advise_v2 {
        12020: cuMemAdvise_v2,
    }
    cuMemPrefetchAsync(address: u64, bytes: usize, device: i32, stream: u64) => locked prefetch {
        8000: cuMemPrefetchAsync, 8000 twin: cuMemPrefetchAsync_ptsz,
    }
    cuMemPrefetchAsync(
        address: u64, bytes: usize, place: u64, flags: u32, stream: u64,
    ) => locked prefetch_v2 {
        12020: cuMemPrefetchAsync_v2, 12020 twin: cuMemPrefetchAsync_v2_ptsz,
    }
};
