//! The state of the hooks in one process: the real functions, the recorder once there is one, and
//! what is counted.

use core::{
    ptr,
    sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use wire::{device::UNKNOWN, header::Counter};

use crate::{
    call::{Call, send},
    driver::Driver,
    event::{ABI, Event, Op, Recorder},
    linkage::{Hidden, Linkage},
    loader,
    table::{Api, Row},
};

/// Nothing has happened yet.
const IDLE: u8 = 0;
/// Some thread is opening the recorder.
const STARTING: u8 = 1;
/// The recorder was opened, or there will be none.
const DONE: u8 = 2;

/// The hooks of one process.
pub struct Hooks {
    /// The real functions.
    pub linkage: Linkage,
    /// Questions to the driver.
    pub driver: Driver,
    open: fn(&Linkage) -> *const Recorder,
    phase: AtomicU8,
    recorder: AtomicPtr<Recorder>,
    missed: AtomicU64,
    unmapped: AtomicU64,
    captures: AtomicU64,
    devices: AtomicU64,
    /// Whether the program made a context for itself.
    own_contexts: AtomicBool,
    /// Devices, as bits, on which some graph has a node that allocates.
    graph_devices: AtomicU64,
}

/// The numbers of the bits that are set.
pub(crate) fn bits(mut left: u64) -> impl Iterator<Item = u8> {
    core::iter::from_fn(move || {
        let bit = u8::try_from(left.trailing_zeros()).ok().filter(|_| left != 0)?;
        left &= left.wrapping_sub(1);
        Some(bit)
    })
}

impl Hooks {
    /// Hooks that do nothing until a driver call succeeds; then `open` gives the recorder, or null
    /// if there will be no recording.
    #[must_use]
    pub const fn new(hidden: &'static Hidden, open: fn(&Linkage) -> *const Recorder) -> Self {
        Self {
            linkage: Linkage::new(hidden),
            driver: Driver::new(),
            open,
            phase: AtomicU8::new(IDLE),
            recorder: AtomicPtr::new(ptr::null_mut()),
            missed: AtomicU64::new(0),
            unmapped: AtomicU64::new(0),
            captures: AtomicU64::new(0),
            devices: AtomicU64::new(0),
            own_contexts: AtomicBool::new(false),
            graph_devices: AtomicU64::new(0),
        }
    }

    /// The recorder, if there is one.
    #[must_use]
    pub fn recorder(&self) -> Option<&Recorder> {
        // Pairs with the release store in `start`. SAFETY: null, or what the recorder's start
        // function returned, which stays in place.
        unsafe { self.recorder.load(Acquire).as_ref() }
    }

    /// Counts a call that nobody could record, because the recorder is only being opened.
    pub(crate) fn count_missed(&self) {
        if self.phase.load(Relaxed) == STARTING {
            self.missed.fetch_add(1, Relaxed);
        }
    }

    /// Takes the counts that were kept while there was no recorder.
    pub(crate) fn take_kept(&self) -> [(Counter, u64); 2] {
        let take = |kept: &AtomicU64| match kept.load(Relaxed) {
            0 => 0,
            _ => kept.swap(0, Relaxed),
        };
        [(Counter::BeforeStart, take(&self.missed)), (Counter::UnmappedName, take(&self.unmapped))]
    }

    /// Whether a device is seen for the first time.
    pub(crate) fn is_new_device(&self, device: u8) -> bool {
        let bit = 1_u64 << (device & 63);
        self.devices.load(Relaxed) & bit == 0 && self.devices.fetch_or(bit, Relaxed) & bit == 0
    }

    /// A graph that runs on `device` allocates.
    pub(crate) fn note_graph_memory(&self, device: u8) {
        if device != UNKNOWN {
            self.graph_devices.fetch_or(1 << (device & 63), Relaxed);
        }
    }

    /// The devices on which graphs allocate.
    pub(crate) fn graph_devices(&self) -> impl Iterator<Item = u8> + use<> {
        bits(self.graph_devices.load(Relaxed))
    }

    /// The devices that were seen so far.
    pub(crate) fn seen_devices(&self) -> impl Iterator<Item = u8> + use<> {
        bits(self.devices.load(Relaxed))
    }

    /// Counts a name that was answered with a function the hooks do not know, or with one too many.
    pub fn count_unmapped(&self) {
        self.unmapped.fetch_add(1, Relaxed);
    }

    /// The hook to hand out in place of `real`, which a look-up of `row` returned; `None`, counted, if
    /// there is none left for it.
    pub(crate) fn wrap(&self, row: &Row, real: usize) -> Option<usize> {
        let hook = self.linkage.wrap(row, real);
        if hook.is_none() {
            self.count_unmapped();
        }
        hook
    }

    /// Captures under way.
    #[must_use]
    pub fn captures(&self) -> u64 {
        self.captures.load(Relaxed)
    }

    /// Counts a capture that began, or ended; returns how many are under way.
    pub fn count_capture(&self, began: bool) -> u64 {
        let step =
            |now: u64| Some(if began { now.saturating_add(1) } else { now.saturating_sub(1) });
        match self.captures.fetch_update(Relaxed, Relaxed, step) {
            Ok(before) | Err(before) => step(before).unwrap_or_default(),
        }
    }

    /// The program made a context for itself.
    pub(crate) fn note_own_context(&self) {
        self.own_contexts.store(true, Relaxed);
    }

    /// The primary context of `device` ended, and with it the captures of its streams, which nobody ends
    /// any more. Which streams those are is not known: none is left where there never was another context.
    pub(crate) fn end_captures_of(&self, device: u8) {
        let is_only = self.seen_devices().all(|seen| seen == device);
        if self.captures() > 0 && is_only && !self.own_contexts.load(Relaxed) {
            self.captures.store(0, Relaxed);
        }
    }

    /// Whether no call succeeded so far.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase.load(Relaxed) == IDLE
    }

    /// Opens the recorder, if this is the first success of all; `call` had it.
    pub(crate) fn start(&self, call: &Call<'_>) {
        // Acquire and the release store below: only one thread comes in here.
        if self.phase.compare_exchange(IDLE, STARTING, Acquire, Relaxed).is_err() {
            return;
        }
        self.driver.resolve(self.linkage.inside());
        self.linkage.fill();
        if let Some(driver) = self.linkage.next(Api::cuInit) {
            loader::pin(&self.linkage, driver);
        }
        let opened = (self.open)(&self.linkage);
        // SAFETY: null or valid, as `Hooks::new` asks.
        if let Some(recorder) = unsafe { opened.as_ref() }.filter(|opened| opened.abi == ABI) {
            let version = self.driver.version().unwrap_or_default();
            send(recorder, &mut Event { size: version, ..call.event(Op::Driver) });
            // Pairs with the acquire load in `recorder`.
            self.recorder.store(opened.cast_mut(), Release);
        }
        self.phase.store(DONE, Release);
    }
}
