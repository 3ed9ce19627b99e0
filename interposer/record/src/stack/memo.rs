//! Remembers which stack had which hash, so that a stack seen before costs one look-up.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Stacks remembered; a later one takes the place of an earlier one with the same index.
const PLACES: usize = 1024;

/// A direct-mapped cache. Each place is two words, `hash ^ id` and `id`, so that a pair mixed from
/// two writers does not give back either hash.
pub struct Memo([[AtomicU64; 2]; PLACES]);

impl Memo {
    /// An empty cache.
    pub const fn new() -> Self {
        Self([const { [const { AtomicU64::new(0) }; 2] }; PLACES])
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
