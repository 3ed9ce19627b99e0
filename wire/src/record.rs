//! One event, and how it is packed into the words of a slot.
//!
//! ```text
//! word  0 seq   ring position and commit state (ring.rs)
//!       1 time  CLOCK_MONOTONIC, ns
//!       2 address
//!       3 size  bytes
//!       4 aux   by verb and class, see the table below
//!       5 verb 5 | class 5 | api 8 | device 6 | result 10 | tid 22 | flags 8     (lowest first)
//!       6 native stack 32 | Python stack 32                                      (lowest first)
//!       7 check (ring.rs)
//! ```
//!
//! | verb | class | address | size | aux |
//! |---|---|---|---|---|
//! | Alloc | Linear, Managed, Array | pointer or array | bytes | context |
//! | Alloc | Host | pointer | bytes | flags of the call |
//! | Alloc | PoolBlock | pointer | bytes | pool |
//! | Alloc | Pool | pool | 0 | 0 |
//! | Alloc | Handle | handle | bytes | 0 |
//! | Alloc | ImportedHandle | handle | bytes | identity, 0 if it has none |
//! | Alloc | Mapping | address | bytes | handle; offset in the second slot, when not 0 |
//! | Alloc | Reservation | address | bytes | 0 |
//! | Alloc | IpcImport | address | bytes | identity, 0 if it has none |
//! | Alloc | Block | pointer | bytes | what PyTorch then called allocated |
//! | Alloc | External | what CUDA calls it by | bytes | address it was given, where known |
//! | Alloc | View | address, or mipmapped array | bytes | what it shows |
//! | Alloc | Multicast | handle | bytes that may be bound on each device | 0 |
//! | Alloc | Binding | multicast handle, or endpoint, plus offset; or a number for an array's region | bytes, 0 where not known | handle; or 0, and the address that was bound in the second slot |
//! | Alloc | ImportedPool | pool | 0 | identity, 0 if it has none |
//! | Alloc | ImportedBlock | pointer | bytes | identity, 0 if it has none |
//! | Failed | as for Alloc | 0 | bytes asked for | as for Alloc |
//! | FreeBegin | any | as Alloc | bytes of the entry | age of the entry, ns |
//! | FreeFailed | any | as Alloc | bytes of the entry | 0 |
//! | Reading | Pool | pool | reserved bytes | used bytes |
//! | Reading | Graph | device + 1 | reserved bytes | used bytes |
//! | OutOfMemory | Block | allocated bytes | bytes asked for | reserved bytes; free bytes of the device in the second slot |
//! | Reset | None | 0 | 0 | context that ended, 0 for the device's primary one |
//! | Capture | None | stream | 1 begin, 0 end | captures under way after it |
//! | Export | Linear, Handle, Pool, PoolBlock | as Alloc | bytes | identity, 0 if it has none |
//! | Retained | Handle, ImportedHandle, Multicast | handle | bytes | 0 |
//! | Called | None | handle, or what was set | bytes or value, where there is one | [`Step`] |
//! | Mark | None | id of the name | number at its end | what it says, see [`crate::mark`] |
//! | Second | None | first extra word | second | third |

/// Stack id of "no stack was taken": the root of the trie.
pub const NO_STACK: u32 = 0;
/// Stack id of "the trie was full".
pub const STACK_LOST: u32 = u32::MAX;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Verb {
    /// Something was taken.
    Alloc = 1,
    /// A call that would have taken something failed with `result`.
    Failed = 2,
    /// Something is being given back; it counts as given back unless [`Verb::FreeFailed`] follows.
    FreeBegin = 3,
    /// The free that began at the same address failed.
    FreeFailed = 4,
    /// A gauge was read.
    Reading = 5,
    /// PyTorch's allocator gave up.
    OutOfMemory = 6,
    /// A context ended, and with it everything in it.
    Reset = 7,
    /// A stream capture began or ended.
    Capture = 8,
    /// A named moment or stretch of the process's own time.
    Mark = 9,
    /// Something was handed to other processes; see [`crate::identity`].
    Export = 10,
    /// A call after which the driver may hold more or less for itself, in a way no call tells.
    Called = 11,
    /// The program has a reference again to what it had released and kept mapped or bound: it has its
    /// name back.
    Retained = 12,
    /// Second slot of the record before it.
    Second = 31,
}

/// What kind of thing it happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Not about a thing.
    None = 0,
    /// `cuMemAlloc` and its like: an extent and a segment at once.
    Linear = 1,
    /// `cuMemAllocManaged`.
    Managed = 2,
    /// Pinned host memory.
    Host = 3,
    /// Array or mipmapped array.
    Array = 4,
    /// Memory of graph allocation nodes.
    Graph = 5,
    /// A stream-ordered pool; its size is its reserve at the last reading.
    Pool = 6,
    /// A stream-ordered allocation.
    PoolBlock = 7,
    /// Physical memory from `cuMemCreate`.
    Handle = 8,
    /// A handle mapped into a reservation.
    Mapping = 9,
    /// An address range from `cuMemAddressReserve`.
    Reservation = 10,
    /// Another process's memory, opened by `cuIpcOpenMemHandle`.
    IpcImport = 11,
    /// Another process's physical memory, imported as a handle.
    ImportedHandle = 12,
    /// A block of PyTorch's caching allocator.
    Block = 13,
    /// The identity under which what lies at its address goes between processes.
    Identity = 14,
    /// Memory of another interface (Vulkan, OpenGL, a file descriptor of theirs), seen here.
    External = 15,
    /// Addresses or an array that show memory counted elsewhere.
    View = 16,
    /// A multicast object: address space of several devices' memory, none of its own.
    Multicast = 17,
    /// Physical memory bound to a multicast object, a logical endpoint or a sparse array, which keeps it.
    Binding = 18,
    /// Another process's pool.
    ImportedPool = 19,
    /// An allocation in another process's pool.
    ImportedBlock = 20,
}

/// What a [`Verb::Called`] was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Step {
    /// Code was loaded: a module or a library of kernels.
    ModuleLoaded = 1,
    /// And given back.
    ModuleUnloaded = 2,
    /// A function's code was asked to be loaded.
    FunctionLoaded = 3,
    /// A context was made.
    ContextMade = 4,
    /// A limit of a context was set: stacks, heap, printf. Address: which; size: to what.
    LimitSet = 5,
    /// A pool was told how many bytes to keep. Size: how many.
    ThresholdSet = 6,
    /// An allocation node was added to a graph: addresses, and memory once it runs. Size: bytes.
    GraphAllocates = 7,
    /// The memory of a process was moved to the host. Address: its pid.
    CheckpointTaken = 8,
    /// And back. Address: its pid.
    CheckpointRestored = 9,
}

impl Step {
    /// The step with this number, `None` if this version knows none.
    #[must_use]
    pub const fn of(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::ModuleLoaded,
            2 => Self::ModuleUnloaded,
            3 => Self::FunctionLoaded,
            4 => Self::ContextMade,
            5 => Self::LimitSet,
            6 => Self::ThresholdSet,
            7 => Self::GraphAllocates,
            8 => Self::CheckpointTaken,
            9 => Self::CheckpointRestored,
            _ => return None,
        })
    }
}

impl Verb {
    /// The verb with this number, `None` if this version knows none.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Alloc,
            2 => Self::Failed,
            3 => Self::FreeBegin,
            4 => Self::FreeFailed,
            5 => Self::Reading,
            6 => Self::OutOfMemory,
            7 => Self::Reset,
            8 => Self::Capture,
            9 => Self::Mark,
            10 => Self::Export,
            11 => Self::Called,
            12 => Self::Retained,
            31 => Self::Second,
            _ => return None,
        })
    }
}

impl Class {
    /// The class with this number, `None` if this version knows none.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::Linear,
            2 => Self::Managed,
            3 => Self::Host,
            4 => Self::Array,
            5 => Self::Graph,
            6 => Self::Pool,
            7 => Self::PoolBlock,
            8 => Self::Handle,
            9 => Self::Mapping,
            10 => Self::Reservation,
            11 => Self::IpcImport,
            12 => Self::ImportedHandle,
            13 => Self::Block,
            14 => Self::Identity,
            15 => Self::External,
            16 => Self::View,
            17 => Self::Multicast,
            18 => Self::Binding,
            19 => Self::ImportedPool,
            20 => Self::ImportedBlock,
            _ => return None,
        })
    }
}

/// Flag: taken while a stream capture was under way.
pub const FLAG_PRIVATE: u8 = 1;
/// Flag: a second slot follows.
pub const FLAG_SECOND: u8 = 2;
/// Flag: the entry found no room in the live table.
pub const FLAG_UNLISTED: u8 = 4;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// See the table of this module.
    pub address: u64,
    /// Bytes; see the table of this module.
    pub size: u64,
    /// See the table of this module.
    pub aux: u64,
    /// What happened.
    pub verb: Verb,
    /// To what.
    pub class: Class,
    /// Which hooked function, as a line of the API names.
    pub api: u8,
    /// CUDA ordinal in the process; [`crate::device::UNKNOWN`] if not known.
    pub device: u8,
    /// `CUresult`, at most 1023.
    pub result: u16,
    /// Thread, the low 22 bits of its kernel id.
    pub tid: u32,
    /// `FLAG_*`.
    pub flags: u8,
    /// Native stack.
    pub native: u32,
    /// Python stack.
    pub python: u32,
}

/// Words of a slot between `seq` and `check`.
pub const PAYLOAD_WORDS: usize = 6;

impl Record {
    /// The payload words of a slot.
    #[must_use]
    pub const fn encode(&self) -> [u64; PAYLOAD_WORDS] {
        let packed = self.verb as u64 & 31
            | (self.class as u64 & 31) << 5
            | (self.api as u64) << 10
            | (self.device as u64 & 63) << 18
            | (self.result as u64 & 1023) << 24
            | (self.tid as u64 & 0x3f_ffff) << 34
            | (self.flags as u64) << 56;
        let stacks = self.native as u64 | (self.python as u64) << 32;
        [self.time, self.address, self.size, self.aux, packed, stacks]
    }

    /// The record in payload words; `None` for a verb or class of a later version.
    #[must_use]
    pub fn decode(words: &[u64; PAYLOAD_WORDS]) -> Option<Self> {
        let [time, address, size, aux, packed, stacks] = *words;
        Some(Self {
            time,
            address,
            size,
            aux,
            verb: Verb::of((packed & 31) as u8)?,
            class: Class::of((packed >> 5 & 31) as u8)?,
            api: (packed >> 10) as u8,
            device: (packed >> 18 & 63) as u8,
            result: (packed >> 24 & 1023) as u16,
            tid: (packed >> 34 & 0x3f_ffff) as u32,
            flags: (packed >> 56) as u8,
            native: stacks as u32,
            python: (stacks >> 32) as u32,
        })
    }

    /// The second slot of a record that needs more words.
    #[must_use]
    pub const fn second(time: u64, extra: [u64; 3]) -> Self {
        Self {
            time,
            address: extra[0],
            size: extra[1],
            aux: extra[2],
            verb: Verb::Second,
            class: Class::None,
            api: 0,
            device: 0,
            result: 0,
            tid: 0,
            flags: 0,
            native: NO_STACK,
            python: NO_STACK,
        }
    }
}
