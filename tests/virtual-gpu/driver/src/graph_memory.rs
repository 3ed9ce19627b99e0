//! Memory that belongs to graphs: nodes that take it and nodes that give it back, added one by one
//! or by a capture.
//!
//! A node gives its memory an address when it is added. What stands behind the address comes out of
//! the card's graph pool, and only when a launch runs the node:
//!
//! ```text
//!   add node          instantiate        launch              launch of a graph that gives, or cuMemFree
//!   address, empty ─▶ address, empty ─▶ pool's memory there ─▶ address, empty; the pool keeps the memory
//! ```

use std::collections::BTreeMap;

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::memory::Kind;
use crate::store::{self, GRANULE};

/// What a node does to memory, by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Take(u64),
    Give(u64),
}

/// An address that a graph's node gave out.
struct Place {
    device: usize,
    size: u64,
    room: u64,
    /// Graphs and executables with the node that takes it.
    users: u64,
    /// The pool's block that is seen there, while it has memory.
    block: Option<u64>,
}

/// All of them.
#[derive(Default)]
pub struct GraphMemory {
    places: BTreeMap<u64, Place>,
}

impl GraphMemory {
    /// Is that an address of a graph's memory, with something behind it or not?
    pub fn knows(&self, address: u64) -> bool {
        self.places.contains_key(&address)
    }

    /// The same for a range inside.
    pub fn covers(&self, address: u64, bytes: u64) -> bool {
        let before = self.places.range(..=address).next_back();
        before.is_some_and(|(start, place)| address - start + bytes <= place.size)
    }

    /// Bytes and card of such an address.
    pub fn size_of(&self, address: u64) -> Outcome<(u64, usize)> {
        let place = self.places.get(&address).ok_or(Code::INVALID_VALUE)?;
        Ok((place.size, place.device))
    }
}

impl Driver {
    /// An address for a node that takes `size` bytes of a card.
    pub fn new_place(&mut self, device: usize, size: u64) -> Outcome<u64> {
        let room = size.checked_next_multiple_of(GRANULE).ok_or(Code::OUT_OF_MEMORY)?;
        let address = store::reserve(room, GRANULE, 0).map_err(|_| Code::OUT_OF_MEMORY)?;
        let place = Place { device, size, room, users: 1, block: None };
        self.graph_memory.places.insert(address, place);
        Ok(address)
    }

    /// One more executable with the nodes of these steps.
    pub fn use_places(&mut self, steps: &[Step]) {
        for step in steps {
            if let Step::Take(address) = step
                && let Some(place) = self.graph_memory.places.get_mut(address)
            {
                place.users += 1;
            }
        }
    }

    /// A graph or an executable with these nodes is gone.
    pub fn leave_places(&mut self, steps: &[Step]) {
        for step in steps {
            let Step::Take(address) = *step else { continue };
            if let Some(place) = self.graph_memory.places.get_mut(&address) {
                place.users -= 1;
            }
            self.settle_place(address);
        }
    }

    /// Without a user and without memory an address has no more sense.
    fn settle_place(&mut self, address: u64) {
        let gone = |place: &Place| place.users == 0 && place.block.is_none();
        if self.graph_memory.places.get(&address).is_some_and(gone)
            && let Some(place) = self.graph_memory.places.remove(&address)
        {
            store::release(address, place.room);
        }
    }

    /// Runs the nodes of a launch that have to do with memory. `give_first`: what an earlier launch
    /// took and nobody gave back since goes first, instead of making this one fail.
    pub fn run_steps(&mut self, steps: &[Step], give_first: bool) -> Outcome {
        for step in steps {
            if let Step::Take(address) = *step
                && self.memory.at(address).is_some()
            {
                match give_first {
                    true => self.give_place(address)?,
                    false => return Err(Code::INVALID_VALUE),
                }
            }
        }
        steps.iter().try_for_each(|step| match *step {
            Step::Take(address) => self.fill_place(address),
            Step::Give(address) => self.give_place(address),
        })
    }

    /// Makes the graph pool as large as a launch needs it, without a launch.
    pub fn prepare_steps(&mut self, steps: &[Step]) -> Outcome {
        let mut taken = BTreeMap::new();
        for step in steps {
            match *step {
                Step::Take(address) => {
                    let Some(place) = self.graph_memory.places.get(&address) else { continue };
                    let (pool, room) = (self.devices[place.device].graph_pool, place.room);
                    taken.insert(address, (pool, self.take_block(pool, room)?, room));
                }
                Step::Give(address) => {
                    if let Some((pool, block, room)) = taken.remove(&address) {
                        self.give_to_pool(pool, block, room);
                    }
                }
            }
        }
        for (pool, block, room) in taken.into_values() {
            self.give_to_pool(pool, block, room);
        }
        Ok(())
    }

    fn fill_place(&mut self, address: u64) -> Outcome {
        let place = self.graph_memory.places.get(&address).ok_or(Code::INVALID_VALUE)?;
        let (device, size, room) = (place.device, place.size, place.room);
        let pool = self.devices[device].graph_pool;
        let taken = self.take_block(pool, room).and_then(|block| {
            let store = &self.devices[device].store;
            store::place(store.file(), store.offset(block), address, room, true)
                .map_err(|_| Code::OUT_OF_MEMORY)?;
            Ok(block)
        });
        let fields = [hex("dptr", address), dec("size", size), dec("dev", device as u64)];
        let block = self.note("graphTake", &fields, taken)?;
        if let Some(place) = self.graph_memory.places.get_mut(&address) {
            place.block = Some(block);
        }
        self.book(address, size, room, Kind::Graph, device);
        Ok(())
    }

    fn give_place(&mut self, address: u64) -> Outcome {
        let freed = self.free_at(address);
        let size = freed.map_or(0, |freed| freed.size);
        self.note("graphGive", &[hex("dptr", address), dec("size", size)], freed).map(|_| ())
    }

    /// What stands behind an address goes back to the graph pool, which keeps it.
    pub fn empty_place(&mut self, address: u64) {
        let Some(place) = self.graph_memory.places.get_mut(&address) else { return };
        let (block, device, room) = (place.block.take(), place.device, place.room);
        let _ = store::unplace(address, room);
        if let Some(block) = block {
            self.give_to_pool(self.devices[device].graph_pool, block, room);
        }
        self.settle_place(address);
    }
}
