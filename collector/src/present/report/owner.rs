//! Who asked the driver for memory, and in what pieces.

use serde::{Deserialize, Serialize};

/// Who asked the driver for memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `torch`, a library's file name, or the program's.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// In how many extents.
    pub extents: u64,
    /// Sizes of those, most bytes first, and not more than [`SIZES`].
    pub sizes: Vec<SizeClass>,
    /// Times it took much at once that it still has, oldest first; none for `torch`, whose blocks tell
    /// more.
    pub bursts: Vec<Burst>,
}

/// Sizes listed of an owner.
pub const SIZES: usize = 16;

/// Extents of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeClass {
    /// Bytes of one.
    pub size: u64,
    /// How many.
    pub extents: u64,
}

/// Much memory that an owner took at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    /// When its first call was made.
    pub time_ns: u64,
    /// Bytes of it that it still has.
    pub bytes: u64,
    /// In how many calls.
    pub calls: u64,
    /// Of what function.
    pub call: String,
    /// Who made most of it.
    pub site: String,
}
