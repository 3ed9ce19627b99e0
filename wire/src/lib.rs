//! What the traced process and the collector both know.
//!
//! Each traced process owns one file, mapped shared, that it alone writes. The file is a header, a
//! ring of fixed-size slots (what happened), a live table (what is held now), and the tables that
//! give stack ids their meaning. Readers use `pread`, never write, and believe nothing unchecked.
//! Everything is a little-endian 64-bit word that is written with one atomic store, so a process
//! may be killed between any two of them. Nothing here is ever locked, waited for or resized.
//!
//! ```text
//! 0        header    4 KiB   who, which layout, mode, counters, head of the ring
//! 4 KiB    devices   8 KiB   64 x 128 B: UUID, size, gauges
//! 12 KiB   text      4 KiB   command line, environment, reason
//! 16 KiB   ring      N x 64 B   timeline, overwrites its oldest slots
//!          live      M x 32 B   what is held now, exact whatever the ring lost
//!          nodes     K x 16 B   trie of stack frames; a stack id is a node's index
//!          codes     C x 64 B   Python code objects
//!          modules   L x 64 B   executable mappings, for native frames
//!          arena     A bytes    strings and line tables, append-only
//! ```
//!
//! The specification for other readers is `docs/wire-format.md`; a test compares it with this
//! crate. Word offsets in this crate count 64-bit words from the start of their section.
#![no_std]
#[cfg(test)]
extern crate std;

pub mod arena;
pub mod code;
pub mod control;
pub mod control_group;
pub mod device;
pub mod folder;
pub mod header;
pub mod identity;
pub mod layout;
pub mod live;
pub mod mark;
pub mod module;
pub mod outside;
pub mod record;
pub mod ring;
pub mod room;
pub mod text;
pub mod trie;

/// Spreads the bits of `x`; the finaliser of splitmix64 (Steele, Lea, Flood: "Fast splittable
/// pseudorandom number generators", OOPSLA 2014). Used for table positions and slot checks, where
/// speed and spread matter and an adversary does not.
#[must_use]
pub const fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
