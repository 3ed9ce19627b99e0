//! The header: who wrote this file, in which layout, and what was lost.
//!
//! Each constant is a word offset. Words up to [`MODE`] are written once, before `MODE` leaves
//! [`Mode::Starting`]; the counters only grow.

/// First word of the magic, "memtrace" in ASCII, stored inverted so that a scan of memory for the
/// magic does not find the code that compares it.
pub const MAGIC: usize = 0;
/// Value of [`MAGIC`].
pub const MAGIC_VALUE: u64 = !u64::from_le_bytes(*b"memtrace");
/// Layout version in the low half, index into [`crate::layout::PROFILES`] in the high half.
pub const VERSION: usize = 1;
/// Layout number this crate reads and writes; any other is refused by name.
pub const LAYOUT_VERSION: u32 = 1;
/// Random 128-bit name of this process image, first half.
pub const INSTANCE_0: usize = 2;
/// Random 128-bit name of this process image, second half.
pub const INSTANCE_1: usize = 3;
/// Process id as the process itself saw it (its own pid namespace).
pub const PID: usize = 4;
/// Start time in clock ticks since boot: field 22 of `/proc/self/stat`. Survives `exec`.
pub const START_TICKS: usize = 5;
/// `CLOCK_MONOTONIC` in nanoseconds when the file was made.
pub const STARTED_MONOTONIC: usize = 6;
/// `CLOCK_REALTIME` in nanoseconds at the same moment.
pub const STARTED_REALTIME: usize = 7;
/// Inode of the pid namespace, so that [`PID`] is not taken for one of the reader's.
pub const PID_NAMESPACE: usize = 8;
/// Python whose frames are read, as `major << 8 | minor`; 0 while none was seen.
pub const PYTHON_VERSION: usize = 9;
/// A [`PythonState`].
pub const PYTHON_STATE: usize = 10;
/// Offset in bytes and length of the newline-separated names of the hooks, in the arena: an `api`
/// number in a slot is a line of it. Packed as [`crate::arena::Span`].
pub const API_NAMES: usize = 11;
/// A [`Mode`] in the low 32 bits, a [`Reason`] in the high 32.
pub const MODE: usize = 12;
/// `CLOCK_MONOTONIC` when the library's finaliser ran (a clean exit); 0 otherwise.
pub const EXITED: usize = 13;
/// Driver version as `cuDriverGetVersion` gives it.
pub const DRIVER_VERSION: usize = 14;

/// Slots ever claimed in the ring. On a cache line of its own: every event writes it.
pub const HEAD: usize = 64;
/// First of the loss counters, each a word; see [`Counter`].
pub const COUNTERS: usize = 72;
/// First free word of the arena, counted in words. On a line of its own.
pub const ARENA_NEXT: usize = 112;
/// Modules recorded so far.
pub const MODULES_NEXT: usize = 120;

/// The salt of the checks in the ring of `instance` (see [`crate::ring`]).
#[must_use]
pub const fn salt(instance: [u64; 2]) -> u64 {
    crate::mix(instance[0] ^ crate::mix(instance[1]))
}

/// What a process's ledger is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// The file is being made; nothing in it may be read.
    Starting = 0,
    /// Recording.
    On = 1,
    /// Recording stopped for the [`Reason`] beside it.
    Off = 2,
}

impl Mode {
    /// The mode in a [`MODE`] word, `None` for a number this version does not know.
    #[must_use]
    pub const fn of(word: u64) -> Option<Self> {
        match word as u32 {
            0 => Some(Self::Starting),
            1 => Some(Self::On),
            2 => Some(Self::Off),
            _ => None,
        }
    }
}

/// Why recording stopped, or never started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Reason {
    /// It did not.
    None = 0,
    /// The recorder met a state it does not know how to go on from (a caught panic).
    Fault = 1,
    /// The control page said so.
    Control = 2,
    /// No room on the file system, not even for the small profile.
    NoRoom = 3,
    /// The control group's memory limit is too near.
    NoMemory = 4,
    /// More than 2 GiB of rings are there already.
    TooManyRings = 5,
    /// The folder could not be made, or is not private to the user.
    Folder = 6,
    /// The file could not be made or mapped.
    File = 7,
}

impl Reason {
    /// The reason in a [`MODE`] word, `None` for a number this version does not know.
    #[must_use]
    pub const fn of(word: u64) -> Option<Self> {
        match (word >> 32) as u32 {
            0 => Some(Self::None),
            1 => Some(Self::Fault),
            2 => Some(Self::Control),
            3 => Some(Self::NoRoom),
            4 => Some(Self::NoMemory),
            5 => Some(Self::TooManyRings),
            6 => Some(Self::Folder),
            7 => Some(Self::File),
            _ => None,
        }
    }
}

/// Packs a [`MODE`] word.
#[must_use]
pub const fn mode_word(mode: Mode, reason: Reason) -> u64 {
    (reason as u64) << 32 | mode as u64
}

/// Whether Python frames are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum PythonState {
    /// No interpreter in this process so far.
    None = 0,
    /// Frames are read.
    On = 1,
    /// An interpreter whose frame layout is not known here.
    UnknownVersion = 2,
    /// The start-up comparison with the interpreter's own answer failed.
    CheckFailed = 3,
}

impl PythonState {
    /// The state in a [`PYTHON_STATE`] word, `None` for a number this version does not know.
    #[must_use]
    pub const fn of(word: u64) -> Option<Self> {
        match word {
            0 => Some(Self::None),
            1 => Some(Self::On),
            2 => Some(Self::UnknownVersion),
            3 => Some(Self::CheckFailed),
            _ => None,
        }
    }
}

/// What can be lost, each with its own counter: the word [`COUNTERS`]` + counter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Slots not written because a slower writer still held them.
    DroppedBusy = 0,
    /// Entries that found no room in the live table, now outstanding.
    LiveOverflow = 1,
    /// Bytes of those entries.
    UnlistedBytes = 2,
    /// Stacks cut because the trie was full.
    TrieFull = 3,
    /// Stacks cut at the greatest depth, so that their outer callers are missing: Python ones when
    /// first seen; native ones each time, but only where no Python stack tells those callers.
    StackTruncated = 4,
    /// Code objects that found no room.
    CodesFull = 5,
    /// Strings that found no room in the arena.
    ArenaFull = 6,
    /// Modules that found no room.
    ModulesFull = 7,
    /// Frees of addresses that were not in the live table, whatever became of them.
    UnknownFree = 8,
    /// Block reports for a device that is not a CUDA device below 64.
    ForeignDevice = 9,
    /// Hooked names whose address from `cuGetProcAddress` was not an exported symbol's, wrapped by
    /// name, version and flags instead.
    UnmappedName = 10,
    /// Driver calls made without a current context, whose device is therefore not known.
    UnknownDevice = 11,
    /// Calls that reached a hook before the recorder could be opened.
    BeforeStart = 12,
    /// Processes forked from this one that reached a hook; they record nothing.
    Forked = 13,
    /// Marks whose name found no room.
    NamesFull = 14,
    /// Those of [`Counter::UnknownFree`] that the driver refused because it knew no such thing either.
    RefusedFree = 15,
}

/// Number of [`Counter`]s a file has room for.
pub const COUNTER_WORDS: usize = 40;

const _: () = assert!((Counter::RefusedFree as usize) < COUNTER_WORDS);
const _: () = assert!(COUNTERS + COUNTER_WORDS <= ARENA_NEXT);
