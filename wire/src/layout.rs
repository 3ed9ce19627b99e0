//! Where each section of a process's file lies, for each profile.

use core::sync::atomic::AtomicU64;

/// Bytes of one word.
pub const WORD: usize = 8;
/// Words of one slot of the ring (64 bytes).
pub const SLOT_WORDS: usize = 8;
/// Words of one entry of the live table (32 bytes).
pub const ENTRY_WORDS: usize = 4;
/// Words of one node of the stack trie (16 bytes).
pub const NODE_WORDS: usize = 2;
/// Words of one code object (64 bytes).
pub const CODE_WORDS: usize = 8;
/// Words of one module (64 bytes).
pub const MODULE_WORDS: usize = 8;
/// Words of one device (128 bytes).
pub const DEVICE_WORDS: usize = 16;
/// Devices a process can name.
pub const DEVICES: usize = 64;
/// Words of the header section.
pub const HEADER_WORDS: usize = 512;
/// Words of the text section.
pub const TEXT_WORDS: usize = 512;

/// How many elements each section holds. Every count but `arena_words` is a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Slots of the ring.
    pub slots: usize,
    /// Entries of the live table; half of them is what the table promises to hold.
    pub entries: usize,
    /// Nodes of the stack trie.
    pub nodes: usize,
    /// Code objects.
    pub codes: usize,
    /// Modules.
    pub modules: usize,
    /// Words of the arena.
    pub arena_words: usize,
}

/// The usual profile: 21.1 MiB.
pub const FULL: Layout = Layout {
    slots: 65_536,
    entries: 262_144,
    nodes: 262_144,
    codes: 16_384,
    modules: 2_048,
    arena_words: 4 * 1024 * 1024 / WORD,
};

/// Where room is short: 2.1 MiB. Blocks are still recorded; fewer fit.
pub const SMALL: Layout = Layout {
    slots: 4_096,
    entries: 32_768,
    nodes: 16_384,
    codes: 2_048,
    modules: 512,
    arena_words: 384 * 1024 / WORD,
};

/// The profiles by the number that the header carries. A reader accepts no others.
pub const PROFILES: [Layout; 2] = [FULL, SMALL];

/// First word of each section after the fixed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// Devices.
    pub devices: usize,
    /// Text.
    pub text: usize,
    /// Ring.
    pub ring: usize,
    /// Live table.
    pub live: usize,
    /// Stack trie.
    pub nodes: usize,
    /// Code objects.
    pub codes: usize,
    /// Modules.
    pub modules: usize,
    /// Arena.
    pub arena: usize,
    /// One past the last word of the file.
    pub end: usize,
}

impl Layout {
    /// Where the sections of this layout start, in words.
    #[must_use]
    pub const fn offsets(&self) -> Offsets {
        let devices = HEADER_WORDS;
        let text = devices + DEVICES * DEVICE_WORDS;
        let ring = text + TEXT_WORDS;
        let live = ring + self.slots * SLOT_WORDS;
        let nodes = live + self.entries * ENTRY_WORDS;
        let codes = nodes + self.nodes * NODE_WORDS;
        let modules = codes + self.codes * CODE_WORDS;
        let arena = modules + self.modules * MODULE_WORDS;
        let end = arena + self.arena_words;
        Offsets { devices, text, ring, live, nodes, codes, modules, arena, end }
    }

    /// Size of a file of this layout.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.offsets().end * WORD
    }
}

const _: () = assert!(FULL.offsets().ring * WORD == 16 * 1024);
const _: () = assert!(FULL.slots * SLOT_WORDS * WORD == 4 << 20);
const _: () = assert!(FULL.entries * ENTRY_WORDS * WORD == 8 << 20);
const _: () = assert!(FULL.nodes * NODE_WORDS * WORD == 4 << 20);
const _: () = assert!(SMALL.bytes() < 5 << 19);

/// The sections of one mapped file.
#[derive(Clone, Copy)]
pub struct Sections<'a> {
    /// Header.
    pub header: &'a [AtomicU64],
    /// Devices.
    pub devices: &'a [AtomicU64],
    /// Text.
    pub text: &'a [AtomicU64],
    /// Ring.
    pub ring: &'a [AtomicU64],
    /// Live table.
    pub live: &'a [AtomicU64],
    /// Stack trie.
    pub nodes: &'a [AtomicU64],
    /// Code objects.
    pub codes: &'a [AtomicU64],
    /// Modules.
    pub modules: &'a [AtomicU64],
    /// Arena.
    pub arena: &'a [AtomicU64],
}

impl<'a> Sections<'a> {
    /// Splits the words of a whole file; `None` if they are not as many as `layout` says.
    #[must_use]
    pub fn split(words: &'a [AtomicU64], layout: &Layout) -> Option<Self> {
        let at = layout.offsets();
        if words.len() != at.end {
            return None;
        }
        Some(Self {
            header: words.get(..at.devices)?,
            devices: words.get(at.devices..at.text)?,
            text: words.get(at.text..at.ring)?,
            ring: words.get(at.ring..at.live)?,
            live: words.get(at.live..at.nodes)?,
            nodes: words.get(at.nodes..at.codes)?,
            codes: words.get(at.codes..at.modules)?,
            modules: words.get(at.modules..at.arena)?,
            arena: words.get(at.arena..)?,
        })
    }
}
