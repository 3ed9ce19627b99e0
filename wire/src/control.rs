//! The control page: one 4 KiB file per folder of rings, written by the collector only.
//!
//! The traced process maps it read-only and makes one relaxed load per hook. All zero means
//! "record everything", so a folder without a collector needs no set-up.

/// Name of the file in the folder of rings.
pub const FILE: &str = "control";
/// Size of the file in bytes.
pub const BYTES: usize = 4096;
/// Word offset of the [`Level`].
pub const LEVEL: usize = 0;

/// How much is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum Level {
    /// Python stacks on every event, native stacks on driver events.
    Full = 0,
    /// Python stacks only.
    Python = 1,
    /// No stacks.
    Bare = 2,
    /// Nothing. The live table is no longer true from here on.
    Off = 3,
}

impl Level {
    /// The level in a [`LEVEL`] word; a number from a later version reads as [`Level::Full`].
    #[must_use]
    pub const fn of(word: u64) -> Self {
        match word {
            1 => Self::Python,
            2 => Self::Bare,
            3 => Self::Off,
            _ => Self::Full,
        }
    }
}
