//! What a hook tells the recorder: the one interface between `libmemtrace.so` and
//! `libmemtrace_core.so`.
//!
//! A hook fills an [`Event`] and hands its address to the recorder's one entry. A free does so
//! twice, with [`Op::GivingBack`] before the real call and [`Op::GaveBack`] after it, and leaves
//! `entry` alone in between: the recorder keeps there which entry of the live table it found.
//! Hooks ask the driver (which device, how much a pool holds); the recorder never calls CUDA.

use wire::record::Class;

/// Number of this interface; the recorder refuses any other.
pub const ABI: u32 = 4;

/// Symbol of the recorder's [`StartFn`].
pub const START_SYMBOL: &[u8] = b"memtrace_core_start\0";

/// `entry` of an event that found none.
pub const NO_ENTRY: u32 = u32::MAX;
/// `extra` of the reading of a pool that counts only if the pool is known.
pub const KNOWN_POOL: u64 = 1;
/// `extra` of a context that is a part of a device's primary one.
pub const CONTEXT_PART: u64 = 0;
/// `extra` of a context that the program made for itself.
pub const CONTEXT_OWN: u64 = 1;
/// `extra` of a device's primary context.
pub const CONTEXT_PRIMARY: u64 = 2;

/// What a hook has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// A call that takes something returned: recorded as taken, or as failed, by `result`.
    Took = 1,
    /// Something at `address`, one of `classes`, is about to be given back.
    GivingBack = 2,
    /// The real call of the last [`Op::GivingBack`] returned `result`.
    GaveBack = 3,
    /// PyTorch's allocator took a block back (there is no call that can fail).
    BlockBack = 4,
    /// Pool `address` has `size` bytes reserved and `aux` bytes in use.
    PoolReading = 5,
    /// PyTorch's allocator gave up: `size` asked for, `address` allocated, `aux` reserved, `extra`
    /// free on the device.
    OutOfMemory = 6,
    /// Context `aux` ended, or with `aux` 0 the primary context of `device`.
    Reset = 7,
    /// A capture on stream `address` began (`size` 1) or ended (0); `aux` are under way now.
    Capture = 8,
    /// `device` is the one with UUID `address`, `aux` (first half, second half) and `size` bytes.
    Device = 9,
    /// The program took one more reference to handle `address`.
    Retained = 10,
    /// Add 1 to the loss counter whose number is `size`.
    Lost = 11,
    /// The driver's version is `size`; sent once, first of all.
    Driver = 12,
    /// The program marks its time: `classes` is a [`wire::mark::Kind`], the name the `size` bytes at
    /// `address` (none if that is 0), `aux` the range, `extra` the domain.
    Mark = 13,
    /// What is at `address`, of `class` and `size` bytes, was handed to other processes, which know it
    /// by the identity `aux`.
    Exported = 14,
    /// A call that returned ended the thing at `address`, one of `classes`, if there was one.
    Ended = 16,
    /// The driver may hold more or less for itself now: `aux` is a [`wire::record::Step`]. Of a context that
    /// was made `extra` is a `CONTEXT_*`.
    Called = 17,
    /// The context `aux` is about to be ended. The same event comes again as [`Op::Reset`].
    Resetting = 18,
}

/// One call, as a hook saw it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Event {
    /// What this event says.
    pub op: Op,
    /// What was taken. For the ends of things the recorder fills it in from what it found.
    pub class: Class,
    /// Index of the function in the hook table.
    pub api: u8,
    /// CUDA ordinal, [`wire::device::UNKNOWN`] if not known. The recorder fills it in like `class`.
    pub device: u8,
    /// `CUresult` of the real call; 0 is success.
    pub result: i32,
    /// Pointer, handle or pool.
    pub address: u64,
    /// Bytes. For [`Op::GivingBack`] of a mapping the range that the program unmaps, otherwise 0
    /// until the recorder puts the found entry's size there.
    pub size: u64,
    /// As in [`wire::record`].
    pub aux: u64,
    /// What goes into a second slot; for pinned host memory, and what was opened or imported, the context
    /// it is of, which goes into none. For [`Op::Retained`] where the handle is mapped.
    pub extra: u64,
    /// For [`Op::GivingBack`]: set of [`Class`]es as bits, `1 << class`.
    pub classes: u32,
    /// The recorder's own between the two halves of a free; begins as [`NO_ENTRY`].
    pub entry: u32,
    /// Whether a stream capture was under way.
    pub private: bool,
    /// The calling thread's block.
    pub thread: *mut Thread,
}

/// The library's whole thread-local storage: 64 bytes of the initial-exec model in the shim, whose
/// address travels with each event, so that the recorder needs none of its own.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Thread {
    /// How deep in hooks the thread is; only the outermost records.
    pub depth: u32,
    /// Kernel thread id, 0 until asked.
    pub tid: u32,
    /// For the recorder's use.
    pub memo: [u64; 6],
    /// How far down the stack the outermost hook is, in bytes from the top of the address space;
    /// 0 while that is not known.
    pub outermost: u64,
}

impl Thread {
    /// The block of a new thread.
    #[must_use]
    pub const fn new() -> Self {
        Self { depth: 0, tid: 0, memo: [0; 6], outermost: 0 }
    }
}

impl Default for Thread {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<Thread>() == 64);

/// The recorder's entry. Never fails, never blocks, never unwinds, keeps `errno`.
///
/// # Safety
/// `event` points to a valid event whose `thread` is the calling thread's block.
pub type RecordFn = unsafe extern "C" fn(event: *mut Event);

/// What the recorder offers.
#[derive(Debug)]
#[repr(C)]
pub struct Recorder {
    /// [`ABI`] of the recorder.
    pub abi: u32,
    /// The one entry.
    pub record: RecordFn,
    /// Stores the clean-exit word; called by the shim's finaliser.
    pub exit: extern "C" fn(),
}

/// What the shim gives the recorder at the start.
#[derive(Debug)]
#[repr(C)]
pub struct Start {
    /// [`ABI`] of the shim.
    pub abi: u32,
    /// Names of the functions of the hook table, in order, each ended by a newline.
    pub names: *const u8,
    /// Length of `names` in bytes.
    pub names_length: usize,
    /// Some address inside the shim, so that its frames are left out of stacks.
    pub inside: usize,
}

/// Starts the recorder in this process, once; null if there will be no recording.
///
/// # Safety
/// `start` points to a valid [`Start`] whose names stay in place.
pub type StartFn = unsafe extern "C" fn(start: *const Start) -> *const Recorder;
