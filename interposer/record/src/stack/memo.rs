//! Remembers which stack had which hash, so that a stack seen before costs one look-up.

use core::{
    ptr, slice,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Stacks remembered; a later one takes the place of an earlier one with the same index.
const PLACES: usize = 1024;

/// A direct-mapped cache. Each place is two words, `hash ^ id` and `id`, so that a pair mixed from
/// two writers does not give back either hash. In pages of its own: as a part of the ledger it would
/// be on the stack, and more than once, of the thread that starts the recorder.
pub struct Memo(&'static [[AtomicU64; 2]]);

impl Memo {
    /// An empty cache; without memory one that remembers nothing.
    pub fn new() -> Self {
        const BYTES: usize = size_of::<[[AtomicU64; 2]; PLACES]>();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping touches no memory in use.
        let place = unsafe { libc::mmap(ptr::null_mut(), BYTES, access, flags, -1, 0) };
        if place == libc::MAP_FAILED {
            return Self(&[]);
        }
        // SAFETY: zeroed, as long as said, and never unmapped.
        Self(unsafe { slice::from_raw_parts(place.cast(), PLACES) })
    }

    fn place(&self, hash: u64) -> Option<&[AtomicU64; 2]> {
        self.0.get((wire::mix(hash) as usize) % PLACES)
    }

    /// The id kept for `hash`.
    pub fn get(&self, hash: u64) -> Option<u32> {
        let [mixed, id] = self.place(hash)?;
        let id = id.load(Relaxed);
        (mixed.load(Relaxed) ^ id == hash).then_some(id as u32)
    }

    /// Keeps `id` for `hash`.
    pub fn put(&self, hash: u64, id: u32) {
        if let Some([mixed, word]) = self.place(hash) {
            let id = u64::from(id);
            mixed.store(hash ^ id, Relaxed);
            word.store(id, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hash_that_was_kept_is_found() {
        let memo = Memo::new();
        for hash in 1..10_000 {
            assert_eq!(memo.get(hash), None);
            memo.put(hash, hash as u32 ^ 7);
            assert_eq!(memo.get(hash), Some(hash as u32 ^ 7));
        }
    }
}
