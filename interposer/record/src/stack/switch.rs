//! Libraries that move stacks about.
//!
//! A greenlet runs at the top of the thread's one stack. While others run, its part is copied away,
//! and copied back later over whatever is there then. So its frames are whole up to the library
//! that started it, but below that lie those of somebody else, or halves of them: a walk that went
//! on there would follow a word that is no address, and take the program down.

use core::{
    ops::ControlFlow,
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use hook::elf;

/// Libraries remembered. One process loads one; a reload may give it another place.
const PLACES: usize = 4;
/// How their file names begin. Other libraries switch between stacks that stay where they are,
/// and end each of them where a walk ends.
const NAMES: [&[u8]; 2] = [b"_greenlet.", b"greenlet."];

/// Where such libraries are.
pub struct Switchers {
    /// [`elf::loads`] at the last look.
    loads: AtomicU64,
    /// First address, and one past the last.
    ranges: [[AtomicUsize; 2]; PLACES],
}

impl Switchers {
    /// None known.
    pub const fn new() -> Self {
        Self {
            loads: AtomicU64::new(0),
            ranges: [const { [const { AtomicUsize::new(0) }; 2] }; PLACES],
        }
    }

    /// Looks for them, if anything was loaded since the last look.
    pub fn look(&self) {
        let loads = elf::loads();
        if self.loads.load(Acquire) == loads {
            return;
        }
        let mut places = self.ranges.iter();
        elf::each(|object| {
            if !NAMES.iter().any(|name| object.file_name().starts_with(name)) {
                return ControlFlow::Continue(());
            }
            let Some([first, end]) = places.next() else { return ControlFlow::Break(()) };
            let bounds = object.bounds();
            first.store(bounds.0, Relaxed);
            end.store(bounds.1, Relaxed);
            ControlFlow::Continue(())
        });
        // Pairs with the acquire load above: who finds this number also finds the ranges.
        self.loads.store(loads, Release);
    }

    /// Whether `address` lies in one of them.
    pub fn contain(&self, address: u64) -> bool {
        self.ranges.iter().any(|[first, end]| {
            (first.load(Relaxed)..end.load(Relaxed)).contains(&(address as usize))
        })
    }
}
