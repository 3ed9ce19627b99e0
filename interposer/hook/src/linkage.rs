//! Which real function each hook calls, and which hook stands for a real function.
//!
//! Every hooked function has two entries in the preload library. The *exported* one serves callers
//! that were linked to the name; its real function is the *next* definition in load order, which
//! may be another preloaded library's. The *hidden* one is what `dlsym` and `cuGetProcAddress` hand
//! out; its real function is what that look-up returned. With one entry for both, an interposer
//! that looks its own real function up through us would call itself for ever.
//!
//! There are two hidden entries, because look-ups may return two functions of one name: an
//! interposer with a `dlsym` of its own gives its own one to those who ask by `dlsym`, and leaves to
//! the driver who asks by `cuGetProcAddress`. Calls of either are the program's. Where the one
//! calls the other through us, the inner call only passes on.

use core::{
    ops::ControlFlow,
    sync::atomic::{
        AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use crate::{
    elf::{self, Object},
    table::{Api, COUNT, ROWS, Row},
};

/// Real functions of one name that look-ups may give.
pub const PLACES: usize = 2;
/// The hidden entries, in the order of the table, for each of those.
pub type Hidden = [[Entry; COUNT]; PLACES];

/// Address of a hidden entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry(pub *const ());

// SAFETY: the address of a function is the same for every thread.
unsafe impl Sync for Entry {}

/// What an address that a look-up gave turned out to be.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// A function of the preload library itself.
    Ours,
    /// The real function of this row.
    Row(&'static Row),
    /// An exported function that is in no row of that name.
    OtherSymbol,
    /// Nothing that is exported.
    Unknown,
}

/// The real functions of one process.
pub struct Linkage {
    hidden: &'static Hidden,
    next: [AtomicUsize; COUNT],
    given: [[AtomicUsize; COUNT]; PLACES],
}

impl Linkage {
    /// With no function found. The `hidden` entries lie in the object after which real functions are
    /// looked for.
    #[must_use]
    pub const fn new(hidden: &'static Hidden) -> Self {
        Self {
            hidden,
            next: [const { AtomicUsize::new(0) }; COUNT],
            given: [const { [const { AtomicUsize::new(0) }; COUNT] }; PLACES],
        }
    }

    /// Some address inside the preload library.
    #[must_use]
    pub fn inside(&self) -> usize {
        let [[first, ..], ..] = self.hidden;
        first.0 as usize
    }

    /// The real function of an exported entry; `None` while nothing after us defines it.
    #[must_use]
    pub fn next(&self, api: Api) -> Option<usize> {
        let slot = self.next.get(api as usize)?;
        if slot.load(Relaxed) == 0 {
            self.fill();
        }
        Some(slot.load(Relaxed)).filter(|address| *address != 0)
    }

    /// The real function of the hidden entry at `place`.
    #[must_use]
    pub fn given(&self, place: usize, api: Api) -> Option<usize> {
        let slot = self.given.get(place)?.get(api as usize)?;
        // Pairs with the exchange in `wrap`.
        Some(slot.load(Acquire)).filter(|address| *address != 0)
    }

    /// Looks for every function not found so far, in one walk.
    pub fn fill(&self) {
        elf::each_after(self.inside(), |object| {
            for (row, slot) in ROWS.iter().zip(&self.next) {
                if slot.load(Relaxed) == 0
                    && let Some(address) = object.symbol(&row.symbol)
                {
                    slot.store(address, Relaxed);
                }
            }
            ControlFlow::Continue(())
        });
    }

    /// What is at `real`, which a look-up of `name` gave.
    #[must_use]
    pub fn identify(&self, real: usize, name: &[u8]) -> Found {
        let look = |object: &Object<'_>| {
            if object.contains(self.inside()) {
                return Found::Ours;
            }
            // Of two versions that are one function, the newer.
            let mut rows = ROWS.iter().rev().filter(|row| row.asked_as().as_bytes() == name);
            match rows.find(|row| object.symbol(&row.symbol) == Some(real)) {
                Some(row) => Found::Row(row),
                None if object.exports(real) => Found::OtherSymbol,
                None => Found::Unknown,
            }
        };
        elf::containing(real, look).unwrap_or(Found::Unknown)
    }

    /// What to hand out in place of `real`, which a look-up of `row` returned; `None` if look-ups
    /// returned as many others as there are places, which stay: whoever asks gets `real` itself.
    #[must_use]
    pub fn wrap(&self, row: &Row, real: usize) -> Option<usize> {
        for (given, hidden) in self.given.iter().zip(self.hidden) {
            let (slot, hook) = (given.get(row.api as usize)?, hidden.get(row.api as usize)?);
            // Release: pairs with the load in `given` of whoever calls the entry handed out.
            match slot.compare_exchange(0, real, Release, Relaxed) {
                Ok(_) => return Some(hook.0 as usize),
                Err(before) if before == real => return Some(hook.0 as usize),
                Err(_) => {}
            }
        }
        None
    }

    /// Whether `address` is a function of the preload library itself.
    #[must_use]
    pub fn is_ours(&self, address: usize) -> bool {
        elf::containing(address, |object| object.contains(self.inside())).unwrap_or(false)
    }

    /// Whether `address` is code of libcuda, whose own look-ups are left alone.
    #[must_use]
    pub fn is_libcuda(address: usize) -> bool {
        elf::containing(address, is_libcuda).unwrap_or(false)
    }
}

fn is_libcuda(object: &Object<'_>) -> bool {
    object.file_name().starts_with(b"libcuda.so")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: [*const (); PLACES] = [linkage as *const (), is_libcuda as *const ()];

    fn linkage() -> Linkage {
        static HIDDEN: Hidden = [[Entry(ENTRIES[0]); COUNT], [Entry(ENTRIES[1]); COUNT]];
        Linkage::new(&HIDDEN)
    }

    #[test]
    fn without_a_driver_there_is_no_next() {
        assert_eq!(linkage().next(Api::cuInit), None);
    }

    #[test]
    fn two_real_functions_of_a_name_have_a_hook_each_and_a_third_is_handed_out_bare() {
        let linkage = linkage();
        let row = Api::cuMemAlloc_v2.row().unwrap();
        assert_eq!(linkage.given(0, row.api), None);
        let [first, second] = ENTRIES.map(|entry| Some(entry as usize));
        for _ in 0..2 {
            assert_eq!(linkage.wrap(row, 0x1000), first);
            assert_eq!(linkage.wrap(row, 0x2000), second);
            assert_eq!(linkage.wrap(row, 0x3000), None);
        }
        let given = [0, 1, 2].map(|place| linkage.given(place, row.api));
        assert_eq!(given, [Some(0x1000), Some(0x2000), None]);
    }

    #[test]
    fn knows_itself_from_others() {
        let linkage = linkage();
        assert!(linkage.is_ours(is_libcuda as *const () as usize));
        assert!(!linkage.is_ours(libc::malloc as *const () as usize));
        assert!(!Linkage::is_libcuda(linkage.inside()));
        assert!(matches!(linkage.identify(linkage.inside(), b"cuInit"), Found::Ours));
    }

    #[test]
    fn an_exported_function_of_another_name_is_told_from_an_unknown_address() {
        let malloc = libc::malloc as *const () as usize;
        assert!(matches!(linkage().identify(malloc, b"cuInit"), Found::OtherSymbol));
        assert!(matches!(linkage().identify(malloc + 1, b"cuInit"), Found::Unknown));
        assert!(matches!(linkage().identify(16, b"cuInit"), Found::Unknown));
    }
}
