//! Executable mappings of the process, so that a return address can be named later, and elsewhere.
//!
//! Eight words each, appended and never changed; of two that overlap the later one counts, because
//! the earlier one must have been unmapped:
//!
//! ```text
//! word 0  first address        4  inode
//!      1  one past the last    5  device number, as stat's st_dev
//!      2  offset in the file   6  reserved
//!      3  path span            7  state: 0 empty, 2 ready
//! ```

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::{arena::Span, layout::MODULE_WORDS};

const READY: u64 = 2;

/// One executable mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// Offset of `start` in the file, bytes.
    pub offset: u64,
    /// Path, as `/proc/self/maps` gives it.
    pub path: Span,
    /// Inode of the file.
    pub inode: u64,
    /// Device number of the file's file system.
    pub device: u64,
}

impl Module {
    /// The module in its words; `None` if they are not complete.
    #[must_use]
    pub const fn decode(words: &[u64; MODULE_WORDS]) -> Option<Self> {
        let [start, end, offset, path, inode, device, _, state] = *words;
        if state != READY || end <= start {
            return None;
        }
        Some(Self { start, end, offset, path: Span::decode(path), inode, device })
    }
}

/// The writing side.
#[derive(Clone, Copy)]
pub struct Modules<'a> {
    words: &'a [AtomicU64],
    next: &'a AtomicU64,
}

impl<'a> Modules<'a> {
    /// A table over the words of the section; `next` counts the entries claimed.
    #[must_use]
    pub const fn new(words: &'a [AtomicU64], next: &'a AtomicU64) -> Self {
        Self { words, next }
    }

    fn claimed(&self) -> usize {
        (self.next.load(Acquire) as usize).min(self.words.len() / MODULE_WORDS)
    }

    /// Whether the mapping that starts at `start` and ends at `end` from `offset` is known.
    #[must_use]
    pub fn knows(&self, start: u64, end: u64, offset: u64) -> bool {
        self.words.chunks_exact(MODULE_WORDS).take(self.claimed()).any(|module| match module {
            [s, e, o, .., state] => {
                // Pairs with the release store in `append`.
                state.load(Acquire) == READY
                    && s.load(Relaxed) == start
                    && e.load(Relaxed) == end
                    && o.load(Relaxed) == offset
            }
            _ => false,
        })
    }

    /// Whether some known mapping covers `address`.
    #[must_use]
    pub fn covers(&self, address: u64) -> bool {
        self.words.chunks_exact(MODULE_WORDS).take(self.claimed()).any(|module| match module {
            [s, e, .., state] => {
                // Pairs with the release store in `append`.
                state.load(Acquire) == READY
                    && s.load(Relaxed) <= address
                    && address < e.load(Relaxed)
            }
            _ => false,
        })
    }

    /// Appends a module; `false` when there is no room.
    pub fn append(&self, module: &Module) -> bool {
        let index = self.next.fetch_add(1, Relaxed) as usize;
        let Some([start, end, offset, path, inode, device, _, state]) = self
            .words
            .get(index.saturating_mul(MODULE_WORDS)..)
            .and_then(|rest| rest.first_chunk())
        else {
            self.next.store((self.words.len() / MODULE_WORDS) as u64, Relaxed);
            return false;
        };
        start.store(module.start, Relaxed);
        end.store(module.end, Relaxed);
        offset.store(module.offset, Relaxed);
        path.store(module.path.encode(), Relaxed);
        inode.store(module.inode, Relaxed);
        device.store(module.device, Relaxed);
        // Pairs with the acquire loads above and with a reader's.
        state.store(READY, Release);
        true
    }
}
