//! Stream-ordered allocation. A pool takes memory from its card in steps of 32 MiB and keeps what
//! comes back; whenever somebody waits for work, it gives back what it holds above its threshold.

use std::collections::BTreeMap;

use machine::{dec, hex};

use crate::arena::Arena;
use crate::capture::NodeKind;
use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::Out;
use crate::graph_memory::Step;
use crate::memory::Kind;

const STEP: u64 = 32 << 20;

/// Whose pool an imported one is: the process, and its own handle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub owner: u32,
    pub pool: u64,
}

/// One pool.
pub struct Pool {
    /// This process's ordinal of the card.
    pub device: usize,
    arena: Arena,
    pub threshold: u64,
    /// 0: no limit.
    pub max_size: u64,
    pub handle_types: i32,
    pub reuse: [i32; 3],
    pub used_peak: u64,
    pub reserved_peak: u64,
    /// Of one that another process exported. It gives no blocks but those that are imported.
    pub origin: Option<Origin>,
    /// Destroyed by its owner; it goes when its last block does.
    leaving: bool,
}

impl Pool {
    /// An empty pool of a card.
    pub fn new(device: usize) -> Self {
        Self {
            device,
            arena: Arena::default(),
            threshold: 0,
            max_size: 0,
            handle_types: 0,
            reuse: [1; 3],
            used_peak: 0,
            reserved_peak: 0,
            origin: None,
            leaving: false,
        }
    }

    /// Bytes of its blocks.
    pub fn used(&self) -> u64 {
        self.arena.live()
    }

    /// Bytes that it holds of its card.
    pub fn reserved(&self) -> u64 {
        self.arena.size()
    }
}

/// All pools.
#[derive(Default)]
pub struct Pools {
    living: BTreeMap<u64, Pool>,
}

impl Driver {
    /// Makes the pool that a card comes with.
    pub fn new_default_pool(&mut self, device: usize) -> u64 {
        self.new_pool(Pool::new(device))
    }

    /// Puts a new pool into the books.
    pub fn new_pool(&mut self, pool: Pool) -> u64 {
        let handle = self.new_handle();
        self.pools.living.insert(handle, pool);
        handle
    }

    /// The pool behind a handle.
    pub fn pool(&mut self, handle: u64) -> Outcome<&mut Pool> {
        self.pools.living.get_mut(&handle).filter(|pool| !pool.leaving).ok_or(Code::INVALID_VALUE)
    }

    /// Takes a block. The pool grows where it has no room; before it fails for want of memory it
    /// gives back what it has free and tries once more.
    fn take_from_pool(&mut self, handle: u64, bytes: u64) -> Outcome<u64> {
        let room = Arena::rounded(bytes);
        let device = self.pool(handle)?.device;
        let address = self.take_block(handle, room)?;
        self.book(address, bytes, room, Kind::Pool(handle), device);
        Ok(address)
    }

    /// The same without putting it into the books.
    pub fn take_block(&mut self, handle: u64, room: u64) -> Outcome<u64> {
        let pool = self.pool(handle)?;
        let mut taken = pool.arena.take(room);
        if taken.is_none() {
            if self.grow_pool(handle, room).is_err() {
                self.shrink_pool(handle, 0)?;
                self.grow_pool(handle, room)?;
            }
            taken = self.pool(handle)?.arena.take(room);
        }
        let pool = self.pool(handle)?;
        pool.used_peak = pool.used_peak.max(pool.used());
        Ok(taken.expect("the pool just grew by that much"))
    }

    fn grow_pool(&mut self, handle: u64, room: u64) -> Outcome {
        let pool = self.pool(handle)?;
        let device = pool.device;
        let chunk = room.checked_next_multiple_of(STEP).ok_or(Code::OUT_OF_MEMORY)?;
        if pool.max_size != 0 && pool.reserved() + chunk > pool.max_size {
            return Err(Code::OUT_OF_MEMORY);
        }
        let offset = self.take_physical(device, chunk)?;
        let address = self.devices[device].store.address(offset);
        let pool = self.pool(handle)?;
        pool.arena.grow(address, chunk);
        pool.reserved_peak = pool.reserved_peak.max(pool.reserved());
        self.note_reserve(handle);
        Ok(())
    }

    /// Gives free chunks back until the pool holds no more than `keep`, or no chunk is free.
    pub fn shrink_pool(&mut self, handle: u64, keep: u64) -> Outcome {
        let pool = self.pools.living.get_mut(&handle).ok_or(Code::INVALID_VALUE)?;
        let device = pool.device;
        let mut chunks = Vec::new();
        while pool.reserved() > keep
            && let Some(chunk) = pool.arena.shrink()
        {
            chunks.push(chunk);
        }
        for &(address, size) in &chunks {
            let offset = self.devices[device].store.offset(address);
            self.give_physical(device, offset, size);
        }
        if !chunks.is_empty() {
            self.note_reserve(handle);
        }
        Ok(())
    }

    /// A pool's reserve changes at moments that no call's line would show, so it has its own.
    fn note_reserve(&mut self, handle: u64) {
        if let Some(pool) = self.pools.living.get(&handle) {
            let (device, reserved, used) = (pool.device as u64, pool.reserved(), pool.used());
            let of_graphs = self.devices.get(pool.device).is_some_and(|of| of.graph_pool == handle);
            let fields = [
                hex("pool", handle),
                dec("dev", device),
                dec("reserved", reserved),
                dec("used", used),
                dec("graph", of_graphs.into()),
            ];
            let _ = self.note("poolReserve", &fields, Ok(()));
        }
    }

    /// Takes a block back that was booked out already.
    pub fn give_to_pool(&mut self, handle: u64, address: u64, room: u64) {
        let Some(pool) = self.pools.living.get_mut(&handle) else { return };
        pool.arena.give(address, room);
        if pool.leaving && pool.used() == 0 {
            let _ = self.shrink_pool(handle, 0);
            self.pools.living.remove(&handle);
        }
    }

    /// Somebody waited for work of a card: its pools give back what is above their thresholds.
    pub fn settle_pools(&mut self, device: usize) {
        let graph_pool = self.devices[device].graph_pool;
        let above = |(&handle, pool): (&u64, &Pool)| {
            let above = pool.device == device
                && handle != graph_pool
                && pool.reserved() > pool.threshold.max(pool.used());
            above.then_some((handle, pool.threshold))
        };
        for (handle, keep) in self.pools.living.iter().filter_map(above).collect::<Vec<_>>() {
            let _ = self.shrink_pool(handle, keep);
        }
    }

    /// The card is left alone: all its pools give back what is free in them.
    pub fn empty_pools(&mut self, device: usize) {
        let of_card = |(&handle, pool): (&u64, &Pool)| (pool.device == device).then_some(handle);
        for handle in self.pools.living.iter().filter_map(of_card).collect::<Vec<_>>() {
            let _ = self.shrink_pool(handle, 0);
        }
    }

    /// Ends a pool; with blocks still out, it goes with the last of them.
    pub fn end_pool(&mut self, handle: u64) -> Outcome {
        self.pool(handle)?.leaving = true;
        self.shrink_pool(handle, 0)?;
        if self.pools.living.get(&handle).is_some_and(|pool| pool.used() == 0) {
            self.pools.living.remove(&handle);
        }
        Ok(())
    }
}

fn take(driver: &mut Driver, pool: Option<u64>, bytes: usize, stream: u64) -> Outcome<(u64, u64)> {
    let device = driver.stream_device(stream)?;
    if bytes == 0 {
        return Err(Code::INVALID_VALUE);
    }
    if let Some(node) = driver.captured(stream, NodeKind::MemoryAlloc)? {
        let address = driver.new_place(device, bytes as u64)?;
        driver.note_step(node, Step::Take(address));
        return Ok((address, driver.devices[device].graph_pool));
    }
    let pool = pool.unwrap_or(driver.devices[device].current_pool);
    Ok((driver.take_from_pool(pool, bytes as u64)?, pool))
}

fn alloc_named(
    driver: &mut Driver,
    name: &str,
    out: Out<u64>,
    bytes: usize,
    wanted: Option<u64>,
    stream: u64,
) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let taken = take(driver, wanted, bytes, stream);
    let device = driver.stream_device(stream).map_or(u64::MAX, |device| device as u64);
    let (address, pool) = taken.unwrap_or((0, wanted.unwrap_or(0)));
    let fields = [
        hex("dptr", address),
        dec("size", bytes as u64),
        dec("dev", device),
        hex("pool", pool),
        hex("stream", stream),
    ];
    out.set(driver.note(name, &fields, taken)?.0)
}

fn alloc(driver: &mut Driver, out: Out<u64>, bytes: usize, stream: u64) -> Outcome {
    alloc_named(driver, "cuMemAllocAsync", out, bytes, None, stream)
}

fn alloc_from(driver: &mut Driver, out: Out<u64>, bytes: usize, pool: u64, stream: u64) -> Outcome {
    if driver.pool(pool)?.origin.is_some() {
        return Err(Code::INVALID_VALUE);
    }
    alloc_named(driver, "cuMemAllocFromPoolAsync", out, bytes, Some(pool), stream)
}

fn give(driver: &mut Driver, address: u64, stream: u64) -> Outcome<u64> {
    driver.stream_context(stream)?;
    if driver.graph_memory.knows(address)
        && let Some(node) = driver.captured(stream, NodeKind::MemoryFree)?
    {
        driver.note_step(node, Step::Give(address));
        return driver.graph_memory.size_of(address).map(|(size, _)| size);
    }
    let known = driver.memory.at(address).ok_or(Code::INVALID_VALUE)?;
    match known.kind {
        Kind::Pool(_) | Kind::ImportedFromPool(_) | Kind::Graph | Kind::Linear => {}
        _ => return Err(Code::INVALID_VALUE),
    }
    // A graph gives back only what a graph took.
    driver.refuse_captured(stream)?;
    driver.free_at(address).map(|freed| freed.size)
}

fn free(driver: &mut Driver, address: u64, stream: u64) -> Outcome {
    let given = give(driver, address, stream);
    let fields = [hex("dptr", address), dec("size", given.unwrap_or(0)), hex("stream", stream)];
    driver.note("cuMemFreeAsync", &fields, given).map(|_| ())
}

fn trim(driver: &mut Driver, handle: u64, keep: usize) -> Outcome {
    driver.pool(handle)?;
    let outcome = driver.shrink_pool(handle, keep as u64);
    driver.note("cuMemPoolTrimTo", &[hex("pool", handle), dec("keep", keep as u64)], outcome)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemAllocAsync(out: Out<u64>, bytes: usize, stream: u64) => locked alloc {
        11020: cuMemAllocAsync, 11020 twin: cuMemAllocAsync_ptsz,
    }
    cuMemAllocFromPoolAsync(
        out: Out<u64>, bytes: usize, pool: u64, stream: u64,
    ) => locked alloc_from {
        11020: cuMemAllocFromPoolAsync, 11020 twin: cuMemAllocFromPoolAsync_ptsz,
    }
    cuMemFreeAsync(address: u64, stream: u64) => locked free {
        11020: cuMemFreeAsync, 11020 twin: cuMemFreeAsync_ptsz,
    }
    cuMemPoolTrimTo(handle: u64, keep: usize) => locked trim { 11020: cuMemPoolTrimTo }
};
