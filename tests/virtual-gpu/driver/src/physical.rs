//! Physical memory by handles, which lives without an address.
//!
//! A handle's memory lives while the handle has a user, a mapping, or a multicast object or a sparse
//! array that it is bound to; it is charged to the process that created it.

use std::collections::BTreeMap;
use std::fs::File;

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};
use crate::multicast::Team;
use crate::store::GRANULE;

/// `CUmemLocation`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Location {
    pub kind: i32,
    pub id: i32,
}

/// The only kind of location that has memory here.
pub const DEVICE: i32 = 1;

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
    /// Pinned memory of a card.
    pub fn of_device(device: usize, handle_types: i32) -> Self {
        let place = Location { kind: DEVICE, id: device as i32 };
        Self { kind: 1, handle_types, place, security: 0, flags: 0 }
    }

    /// `CU_MEM_CREATE_USAGE_TILE_POOL`: memory for sparse arrays.
    pub fn is_tile_pool(&self) -> bool {
        self.flags >> 16 & 1 != 0
    }
}

/// Where what a handle stands for lies.
pub enum Backing {
    /// In this process's file of the card.
    Own,
    /// Where another process created it: in that process's file, held by that number.
    Imported(File, usize),
    /// In the memory of others, which is bound to it: a multicast object.
    Multicast(Team),
}

/// Physical memory that one handle stands for, or a multicast object.
pub struct Physical {
    /// This process's ordinal of the card.
    pub device: usize,
    pub offset: u64,
    pub size: u64,
    /// Never used twice in a process.
    pub id: u64,
    pub props: Props,
    pub backing: Backing,
    /// Users of the handle: its creator, and who retained or imported it.
    pub users: u64,
    pub mappings: u64,
    /// Multicast objects and regions of sparse arrays that it is bound to, as often as it is.
    pub bindings: u64,
}

/// All physical memory with a handle.
#[derive(Default)]
pub struct PhysicalMemory {
    pub living: BTreeMap<u64, Physical>,
    /// Handles whose memory is gone, to be given out again as a real driver does.
    unused: Vec<u64>,
}

impl Driver {
    /// Puts physical memory into the books and gives its handle.
    pub fn book_physical(
        &mut self,
        device: usize,
        (offset, size): (u64, u64),
        props: Props,
        backing: Backing,
    ) -> u64 {
        let handle = self.physical.unused.pop().unwrap_or_else(|| self.new_handle());
        let (id, users, mappings, bindings) = (self.new_id(), 1, 0, 0);
        let physical =
            Physical { device, offset, size, id, props, backing, users, mappings, bindings };
        self.physical.living.insert(handle, physical);
        handle
    }

    /// The memory behind a handle that has users.
    pub fn physical(&mut self, handle: u64) -> Outcome<&mut Physical> {
        let found = self.physical.living.get_mut(&handle).filter(|physical| physical.users > 0);
        found.ok_or(Code::INVALID_VALUE)
    }

    /// Something that is no address shows a handle's memory.
    pub fn bind_memory(&mut self, memory: u64) {
        if let Some(physical) = self.physical.living.get_mut(&memory) {
            physical.bindings += 1;
        }
    }

    /// It shows it no more.
    pub fn unbind_memory(&mut self, memory: u64) {
        if let Some(physical) = self.physical.living.get_mut(&memory) {
            physical.bindings -= 1;
        }
        self.settle_physical(memory);
    }

    /// Ends physical memory that nothing holds any more.
    pub fn settle_physical(&mut self, handle: u64) {
        let held = |physical: &Physical| {
            physical.users > 0 || physical.mappings > 0 || physical.bindings > 0
        };
        if self.physical.living.get(&handle).is_none_or(held) {
            return;
        }
        if let Some(gone) = self.physical.living.remove(&handle) {
            self.physical.unused.push(handle);
            match gone.backing {
                Backing::Own => {
                    let (range, name) = ((gone.offset, gone.size), hex("handle", handle));
                    self.give_or_wait(gone.device, range, gone.id, name);
                }
                Backing::Imported(_, hold) => self.machine.let_go(hold),
                Backing::Multicast(team) => self.unbind_all(team),
            }
        }
    }
}

/// Sizes and addresses are whole granules.
pub fn whole_granules(size: usize) -> Outcome<u64> {
    let size = size as u64;
    if size > 0 && size.is_multiple_of(GRANULE) { Ok(size) } else { Err(Code::INVALID_VALUE) }
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
    Ok(driver.book_physical(device, (offset, size), props, Backing::Own))
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

fn granularity(driver: &mut Driver, out: Out<usize>, props: In<Props>, _option: i32) -> Outcome {
    driver.device(props.get()?.place.id)?;
    out.set(GRANULE as usize)
}

fn properties(driver: &mut Driver, out: Out<Props>, handle: u64) -> Outcome {
    out.set(driver.physical(handle)?.props)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemCreate(out: Out<u64>, size: usize, props: In<Props>, flags: u64) => locked create {
        10020: cuMemCreate,
    }
    cuMemRelease(handle: u64) => locked release { 10020: cuMemRelease }
    cuMemGetAllocationGranularity(
        out: Out<usize>, props: In<Props>, option: i32,
    ) => locked granularity {
        10020: cuMemGetAllocationGranularity,
    }
    cuMemGetAllocationPropertiesFromHandle(out: Out<Props>, handle: u64) => locked properties {
        10020: cuMemGetAllocationPropertiesFromHandle,
    }
};
