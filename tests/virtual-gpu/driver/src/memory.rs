//! Everything that device addresses can point to, by address.

use std::collections::BTreeMap;

use crate::arena::Arena;
use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::store::{self, GRANULE};

const PAGE: u64 = 4096;

/// Where an allocation came from, and so how it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `cuMemAlloc`: charged to its card.
    Linear,
    /// An array's: as `Linear`, but nobody knows its address.
    Array,
    /// `cuMemAllocManaged`: the host's memory, may exceed the card.
    Managed,
    /// From the pool with this handle; the pool is charged, not the block.
    Pool(u64),
    /// A graph's, seen at the address that its node gave out; the card's graph pool is charged.
    Graph,
    /// A part of what another interface made, charged to nobody or to that one's process.
    External,
    /// Another process's allocation, charged there; closed as it was opened.
    Imported,
    /// The same out of another process's pool: freed like any memory of a pool.
    ImportedFromPool(u64),
    /// A module's variable; the host's memory, so that it is no noise in a trace.
    Variable,
}

/// One allocation.
#[derive(Clone, Copy, Debug)]
pub struct Allocation {
    /// Bytes as asked for.
    pub size: u64,
    /// Bytes as taken.
    pub room: u64,
    pub kind: Kind,
    /// This process's ordinal of the card.
    pub device: usize,
    pub context: u64,
    /// Never used twice in a process.
    pub id: u64,
}

/// All allocations of this process, by address.
#[derive(Default)]
pub struct Memory {
    by_address: BTreeMap<u64, Allocation>,
    last_id: u64,
}

impl Memory {
    /// The allocation that starts at an address.
    pub fn at(&self, address: u64) -> Option<Allocation> {
        self.by_address.get(&address).copied()
    }

    /// The allocation that an address lies in, and its start.
    pub fn around(&self, address: u64) -> Option<(u64, Allocation)> {
        let (&start, &found) = self.by_address.range(..=address).next_back()?;
        (address - start < found.size).then_some((start, found))
    }

    /// Takes an allocation out of the books.
    pub fn remove(&mut self, address: u64) -> Option<Allocation> {
        self.by_address.remove(&address)
    }
}

impl Driver {
    /// A number that no other memory of this process ever has.
    pub fn new_id(&mut self) -> u64 {
        self.memory.last_id += 1;
        self.memory.last_id
    }

    /// Puts an allocation into the books.
    pub fn book(&mut self, address: u64, size: u64, room: u64, kind: Kind, device: usize) {
        let context = self.current().unwrap_or(0);
        let id = self.new_id();
        let allocation = Allocation { size, room, kind, device, context, id };
        self.memory.by_address.insert(address, allocation);
    }

    /// Takes card memory as `cuMemAlloc` does: below 1 MiB out of a shared 2 MiB chunk in steps of
    /// 512 bytes, else whole 2 MiB granules. Gives address and bytes taken.
    pub fn take_linear(&mut self, device: usize, size: u64) -> Outcome<(u64, u64)> {
        if size >= GRANULE / 2 {
            let room = size.checked_next_multiple_of(GRANULE).ok_or(Code::OUT_OF_MEMORY)?;
            let offset = self.take_physical(device, room)?;
            return Ok((self.devices[device].store.address(offset), room));
        }
        let room = Arena::rounded(size);
        if let Some(address) = self.devices[device].small.take(room) {
            return Ok((address, room));
        }
        let offset = self.take_physical(device, GRANULE)?;
        let card = &mut self.devices[device];
        let chunk = card.store.address(offset);
        card.small.grow(chunk, GRANULE);
        Ok((card.small.take(room).expect("a new chunk has room"), room))
    }

    fn give_linear(&mut self, device: usize, address: u64, room: u64) {
        if room >= GRANULE {
            let offset = self.devices[device].store.offset(address);
            self.give_physical(device, offset, room);
        } else if self.devices[device].small.give(address, room)
            && let Some((chunk, size)) = self.devices[device].small.shrink()
        {
            let offset = self.devices[device].store.offset(chunk);
            self.give_physical(device, offset, size);
        }
    }

    /// Ends an allocation of any kind, if one starts there.
    pub fn free_at(&mut self, address: u64) -> Outcome<Allocation> {
        let freed = self.memory.remove(address).ok_or(Code::INVALID_VALUE)?;
        self.end_or_wait(address, freed);
        Ok(freed)
    }

    /// What an allocation took goes back to where it came from.
    pub fn end(&mut self, address: u64, freed: Allocation) {
        match freed.kind {
            Kind::Linear => self.give_linear(freed.device, address, freed.room),
            Kind::Array => {
                self.arrays.forget(address);
                self.give_linear(freed.device, address, freed.room);
            }
            Kind::Graph => self.empty_place(address),
            Kind::External => {
                store::release(address - address % PAGE, freed.room);
            }
            Kind::Managed | Kind::Variable => store::release(address, freed.room),
            Kind::Imported => {
                self.ipc_handles.forget(address);
                self.close_shared(address, freed.room);
            }
            Kind::ImportedFromPool(_) => self.close_shared(address, freed.room),
            Kind::Pool(pool) => self.give_to_pool(pool, address, freed.room),
        }
    }

    /// Ends all allocations of a context. Gives the bytes of card memory among them.
    pub fn free_all_of(&mut self, context: u64) -> u64 {
        let of_context = |&(_, allocation): &(&u64, &Allocation)| allocation.context == context;
        let all = self.memory.by_address.iter().filter(of_context).map(|(&start, _)| start);
        let mut freed = 0;
        for address in all.collect::<Vec<_>>() {
            if let Ok(allocation) = self.free_at(address)
                && matches!(allocation.kind, Kind::Linear | Kind::Array | Kind::Pool(_))
            {
                freed += allocation.size;
            }
        }
        freed
    }

    /// May the card use all of this range?
    pub fn check_device_range(&self, address: u64, bytes: u64) -> Outcome {
        if let Some((start, found)) = self.memory.around(address) {
            return match bytes <= found.size - (address - start) {
                true => Ok(()),
                false => Err(Code::INVALID_VALUE),
            };
        }
        match self.host.covers(address, bytes) {
            true => Ok(()),
            false => self.vmm.check_access(address, bytes),
        }
    }

    /// The same for a range that is only named now and used in a launch.
    pub fn check_named_range(&self, address: u64, bytes: u64) -> Outcome {
        match self.graph_memory.covers(address, bytes) {
            true => Ok(()),
            false => self.check_device_range(address, bytes),
        }
    }

    /// The same for a range that may as well be ordinary host memory, which nobody can check.
    pub fn check_range(&self, address: u64, bytes: u64) -> Outcome {
        let ours = self.memory.around(address).is_some()
            || self.vmm.reserves(address)
            || self.graph_memory.covers(address, 0);
        if ours { self.check_device_range(address, bytes) } else { Ok(()) }
    }
}
