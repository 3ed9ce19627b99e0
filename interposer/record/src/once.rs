//! A place that is filled once, without waiting.

use core::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
};

const EMPTY: u32 = 0;
const BUSY: u32 = 1;
const READY: u32 = 2;

/// Like the standard library's `OnceLock`, but whoever comes second goes on with nothing instead
/// of waiting.
#[derive(Debug)]
pub struct Once<T> {
    state: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is written once, before `READY` is stored with release, and from then on only
// shared references to it are handed out.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Once<T> {
    /// An empty place.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Takes the right to fill the place; `false` if somebody did before.
    pub fn claim(&self) -> bool {
        self.state.compare_exchange(EMPTY, BUSY, Relaxed, Relaxed).is_ok()
    }

    /// Gives the right back, so that the place can be claimed again.
    pub fn release(&self) {
        // No effect unless the place is claimed and unfilled.
        let _ = self.state.compare_exchange(BUSY, EMPTY, Relaxed, Relaxed);
    }

    /// Fills the place.
    ///
    /// # Safety
    /// The caller was given the right by [`Self::claim`] and uses it once.
    pub unsafe fn fill(&self, value: T) -> &T {
        // SAFETY: only the one with the claim writes, and nobody reads before `READY`.
        let place = unsafe { &mut *self.value.get() };
        let value = place.write(value);
        // Pairs with the acquire load in `get`.
        self.state.store(READY, Release);
        value
    }

    /// What is in the place.
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        // Pairs with the release store in `fill`.
        if self.state.load(Acquire) != READY {
            return None;
        }
        // SAFETY: `READY` is stored after the last write; see `Sync` above.
        let place = unsafe { &*self.value.get() };
        // SAFETY: `fill` initialised it.
        Some(unsafe { place.assume_init_ref() })
    }
}
