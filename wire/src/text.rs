//! The text section: what the process said about itself, as bytes with a length word before them.
//!
//! Rewritten in place when the process changes its title, so a reader may see a mixture of two
//! titles; it is shown to people and decides nothing but the role's name.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A part of the text section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// First word: the length in bytes. The bytes follow.
    pub at: usize,
    /// Words of the bytes.
    pub words: usize,
}

/// `/proc/self/cmdline`: arguments, each ended by a NUL.
pub const COMMAND: Field = Field { at: 0, words: 255 };
/// `NAME=value` lines, only of the names in [`ENVIRONMENT_NAMES`].
pub const ENVIRONMENT: Field = Field { at: 256, words: 127 };
/// Path of the executable.
pub const EXECUTABLE: Field = Field { at: 384, words: 63 };
/// A sentence for a [`crate::header::Reason`], where there is one.
pub const DETAIL: Field = Field { at: 448, words: 63 };

const _: () = assert!(DETAIL.at + 1 + DETAIL.words <= crate::layout::TEXT_WORDS);

/// The only environment variables that are ever recorded.
pub const ENVIRONMENT_NAMES: [&str; 8] = [
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "MEMTRACE_ROLE",
    "CUDA_VISIBLE_DEVICES",
    "SLURM_JOB_ID",
    "SLURM_PROCID",
    "POD_NAME",
];

impl Field {
    /// Bytes this field can hold; longer text is cut.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.words * crate::layout::WORD
    }

    /// Writes `bytes`, cut to the capacity.
    pub fn write(&self, text: &[AtomicU64], bytes: &[u8]) {
        let bytes = bytes.get(..self.capacity()).unwrap_or(bytes);
        let Some(length) = text.get(self.at) else { return };
        length.store(0, Relaxed);
        for (i, chunk) in bytes.chunks(crate::layout::WORD).enumerate() {
            if let Some(word) = text.get(self.at + 1 + i) {
                word.store(crate::arena::pack(chunk), Relaxed);
            }
        }
        length.store(bytes.len() as u64, Relaxed);
    }
}
