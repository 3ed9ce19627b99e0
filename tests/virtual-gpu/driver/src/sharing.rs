//! Memory that other processes may have open. What is freed while one of them has, stays taken and
//! charged until it lets go.

use std::collections::BTreeSet;

use machine::{dec, hex};

use crate::driver::Driver;
use crate::memory::{Allocation, Kind};
use crate::store::GRANULE;

/// Freed here, and open elsewhere.
enum Waiting {
    /// Whole granules, whose charge the machine keeps: the card, and the range in its store.
    Granules(usize, u64, u64),
    /// Part of a chunk, which is charged as before: the address, and what was there.
    Block(u64, Allocation),
}

/// What was exported, and what waits for others to close it; by the ids that the machine knows.
#[derive(Default)]
pub struct Sharing {
    exported: BTreeSet<u64>,
    waiting: Vec<(u64, Waiting)>,
}

impl Driver {
    /// From now on another process may open it.
    pub fn note_exported(&mut self, id: u64) {
        self.sharing.exported.insert(id);
    }

    /// Ends an allocation that was booked out, now or when nobody has it open any more.
    pub fn end_or_wait(&mut self, address: u64, freed: Allocation) {
        let whole = freed.kind == Kind::Linear && freed.room >= GRANULE;
        if whole {
            let offset = self.devices[freed.device].store.offset(address);
            let name = hex("dptr", address);
            return self.give_or_wait(freed.device, (offset, freed.room), freed.id, name);
        }
        let shared = self.sharing.exported.remove(&freed.id);
        if shared && self.machine.is_held(freed.id) {
            let fields =
                [hex("dptr", address), dec("size", freed.size), dec("dev", freed.device as u64)];
            let _ = self.note("memoryKept", &fields, Ok(()));
            self.sharing.waiting.push((freed.id, Waiting::Block(address, freed)));
        } else {
            self.end(address, freed);
        }
    }

    /// Gives physical memory back, now or when nobody has it open any more.
    pub fn give_or_wait(
        &mut self,
        ordinal: usize,
        (offset, size): (u64, u64),
        id: u64,
        name: machine::Field,
    ) {
        let shared = self.sharing.exported.remove(&id);
        if shared && self.machine.keep(self.devices[ordinal].index, size, id) {
            let fields = [name, dec("size", size), dec("dev", ordinal as u64)];
            let _ = self.note("memoryKept", &fields, Ok(()));
            self.sharing.waiting.push((id, Waiting::Granules(ordinal, offset, size)));
        } else {
            self.give_physical(ordinal, offset, size);
        }
    }

    /// Ends what waited and is open nowhere any more.
    pub fn settle_waiting(&mut self) {
        let (machine, waiting) = (&self.machine, &mut self.sharing.waiting);
        for (_, gone) in waiting.extract_if(.., |(id, _)| !machine.is_held(*id)).collect::<Vec<_>>()
        {
            match gone {
                // The machine gave the charge back when the last of the others let go.
                Waiting::Granules(ordinal, offset, size) => {
                    self.devices[ordinal].store.give(offset, size);
                }
                Waiting::Block(address, freed) => self.end(address, freed),
            }
        }
    }
}
