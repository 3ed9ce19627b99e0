//! Keeps the module table in step with what is mapped.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wire::{
    arena::Arena,
    header::Counter,
    module::{Module, Modules},
};

use crate::{counters::Counters, maps};

/// Regions remembered as belonging to no file.
const HOPELESS: usize = 64;
/// Size of such a region as a power of two.
const REGION_BITS: u32 = 16;

/// The executable mappings of files.
pub struct Executables<'a> {
    modules: Modules<'a>,
    arena: Arena<'a>,
    counters: Counters<'a>,
    /// Regions where reading the mappings again did not help: code made at run time.
    hopeless: [AtomicU64; HOPELESS],
}

impl<'a> Executables<'a> {
    /// Keeps `modules`, with paths in `arena`.
    pub const fn new(modules: Modules<'a>, arena: Arena<'a>, counters: Counters<'a>) -> Self {
        Self { modules, arena, counters, hopeless: [const { AtomicU64::new(0) }; HOPELESS] }
    }

    /// Whether `address` lies in a known mapping.
    pub fn covers(&self, address: u64) -> bool {
        self.modules.covers(address)
    }

    /// Reads the mappings again because of `address`, unless that was in vain before. `true` if
    /// they were read.
    pub fn refresh_for(&self, address: u64) -> bool {
        let region = address >> REGION_BITS;
        let Some(place) = self.hopeless.get(wire::mix(region) as usize % HOPELESS) else {
            return false;
        };
        if place.load(Relaxed) == region {
            return false;
        }
        self.refresh();
        if !self.covers(address) {
            place.store(region, Relaxed);
        }
        true
    }

    /// Appends the executable mappings that are not known yet.
    pub fn refresh(&self) {
        maps::each(|line| {
            if line.executable && !self.modules.knows(line.start, line.end, line.offset) {
                self.append(line)
            } else {
                true
            }
        });
    }

    fn append(&self, line: &maps::Line<'_>) -> bool {
        let Some(path) = self.arena.append(line.path) else {
            self.counters.count(Counter::ArenaFull);
            return false;
        };
        let appended = self.modules.append(&Module {
            start: line.start,
            end: line.end,
            offset: line.offset,
            path,
            inode: line.inode,
            device: line.device,
        });
        if !appended {
            self.counters.count(Counter::ModulesFull);
        }
        appended
    }
}
