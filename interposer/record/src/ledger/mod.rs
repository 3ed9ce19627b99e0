//! The ledger: what every event does to the ring, the live table and the gauges.

mod contexts;
mod exports;
mod gauges;
mod give;
mod handles;
mod holdings;
mod leaving;
mod marks;
mod pools;
mod sweep;
mod take;

use core::{
    cell::Cell,
    fmt,
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, Release},
    },
};
use hook::event::{CONTEXT_OWN, CONTEXT_PRIMARY, Event, Op};
use wire::{
    control::{LEVEL, Level},
    device,
    header::{self, Counter, Mode, Reason, mode_word},
    layout::Sections,
    live::{Entry, State, Table},
    record::{Class, FLAG_PRIVATE, FLAG_SECOND, NO_STACK, Record, Step, Verb},
    ring::Producer,
    text::DETAIL,
};

use crate::{
    clock,
    counters::Counters,
    name::Name,
    stack::{Inside, Stacks},
    start::{self, Cookie},
    sys,
};
use handles::points_at_handle;
use {contexts::Contexts, gauges::Gauges, holdings::Holdings, leaving::Leaving, marks::Names};

/// One process's ledger.
pub struct Ledger<'a> {
    sections: Sections<'a>,
    control: &'a [AtomicU64],
    cookie: Cookie,
    ring: Producer<'a>,
    live: Holdings<'a>,
    gauges: Gauges<'a>,
    counters: Counters<'a>,
    stacks: Stacks<'a>,
    names: Names<'a>,
    contexts: Contexts,
    /// Pools seen so far; a pool's ordinal is its number.
    pools: AtomicU64,
    leaving: Leaving,
    /// Driver events so far, to know when to read the process's title again.
    calls: AtomicU64,
    stopped: AtomicBool,
    /// Whether anything here was ever handed to other processes, or opened from them.
    shares: AtomicBool,
    /// In a forked child: whether it was counted.
    forked: AtomicBool,
}

/// What holds for all that one event leads to.
struct Now {
    /// 0 until it is asked for.
    time: Cell<u64>,
    tid: u32,
    level: Level,
}

/// The two stacks of an event.
#[derive(Clone, Copy)]
struct Ids {
    native: u32,
    python: u32,
}

impl<'a> Ledger<'a> {
    /// A ledger over the sections of a file whose header is written; `None` if they are too short.
    #[must_use]
    pub fn new(
        sections: Sections<'a>,
        control: &'a [AtomicU64],
        cookie: Cookie,
        inside: Inside,
    ) -> Option<Self> {
        let header = sections.header;
        let word = |at: usize| header.get(at);
        let counters = Counters::new(header)?;
        let instance =
            [word(header::INSTANCE_0)?.load(Relaxed), word(header::INSTANCE_1)?.load(Relaxed)];
        let ring = Producer::new(
            sections.ring,
            word(header::HEAD)?,
            counters.word(Counter::DroppedBusy)?,
            header::salt(instance),
        );
        Some(Self {
            sections,
            control,
            cookie,
            ring,
            live: Holdings::new(Table::new(sections.live)),
            gauges: Gauges::new(sections.devices),
            counters,
            stacks: Stacks::new(&sections, counters, inside)?,
            names: Names::new(&sections)?,
            contexts: Contexts::new(),
            pools: AtomicU64::new(0),
            leaving: Leaving::new(),
            calls: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            shares: AtomicBool::new(false),
            forked: AtomicBool::new(false),
        })
    }

    /// Records one event.
    ///
    /// # Safety
    /// `event.thread` points to the calling thread's block, and where `event` is [`Op::Mark`] its
    /// `size` bytes at `address` can be read.
    pub unsafe fn record(&self, event: &mut Event) {
        if !self.is_mine() || self.stopped.load(Relaxed) {
            return;
        }
        let level =
            self.control.get(LEVEL).map_or(Level::Full, |word| Level::of(word.load(Relaxed)));
        if level == Level::Off {
            self.stop(Reason::Control);
            return;
        }
        // SAFETY: by the caller's promise; only this thread uses its block.
        let thread = unsafe { &mut *event.thread };
        if thread.tid == 0 {
            thread.tid = sys::thread_id();
        }
        let now = &Now { time: Cell::new(0), tid: thread.tid, level };
        match event.op {
            Op::Took => self.took(now, event),
            Op::GivingBack => self.giving_back(now, event),
            Op::GaveBack => self.gave_back(now, event),
            Op::BlockBack => self.block_back(now, event),
            Op::PoolReading => self.pool_reading(now, event),
            Op::OutOfMemory => self.out_of_memory(now, event),
            Op::Reset => self.reset(now, event),
            Op::Resetting => self.resetting(event),
            Op::Capture => {
                let record = now.record(Verb::Capture, Class::None, event);
                self.ring.publish(&Record { aux: event.aux, ..record });
            }
            Op::Ended => self.ended(now, event),
            Op::Called => self.step(now, event),
            Op::Device => self.device(event),
            Op::Retained => self.retained(now, event),
            Op::Lost => self.counters.add(event.size as usize, 1),
            // SAFETY: by the caller's promise.
            Op::Mark => unsafe { self.mark(now, event) },
            Op::Exported => self.exported(now, event),
            Op::Driver => self.header(header::DRIVER_VERSION, event.size),
        }
    }

    /// Notes that the process ends in an orderly way.
    pub fn exit(&self) {
        if self.is_mine() {
            self.header(header::EXITED, clock::monotonic());
        }
    }

    /// Records nothing more, because the recorder panicked at `place`.
    pub fn fault(&self, place: &impl fmt::Display) {
        // A panic while writing the text would come here again.
        if !self.stopped.swap(true, Relaxed)
            && let (true, Some(text)) = (self.cookie.holds(), Name::<256>::of(place))
        {
            DETAIL.write(self.sections.text, text.as_c_str().to_bytes());
        }
        self.stop(Reason::Fault);
    }

    /// Records nothing more, for this reason.
    fn stop(&self, reason: Reason) {
        self.stopped.store(true, Relaxed);
        if let (true, Some(mode)) = (self.cookie.holds(), self.sections.header.get(header::MODE)) {
            // Release: a reader that sees "off" sees all that was recorded before.
            mode.store(mode_word(Mode::Off, reason), Release);
        }
    }

    /// Whether this process made the ledger; a forked child that asks is counted once.
    fn is_mine(&self) -> bool {
        let mine = self.cookie.holds();
        if !mine && !self.forked.swap(true, Relaxed) {
            self.counters.count(Counter::Forked);
        }
        mine
    }

    fn header(&self, at: usize, value: u64) {
        if let Some(word) = self.sections.header.get(at) {
            word.store(value, Relaxed);
        }
    }

    /// A call after which the driver may hold more or less for itself.
    fn step(&self, now: &Now, event: &Event) {
        self.called();
        if event.aux == Step::ContextMade as u64 {
            match event.extra {
                CONTEXT_OWN => self.contexts.own(event.address),
                CONTEXT_PRIMARY => self.contexts.primary(event.address, event.device),
                _ => {}
            }
        }
        let Ids { native, python } = self.ids(now, true);
        let record = now.record(Verb::Called, Class::None, event);
        self.ring.publish(&Record { aux: event.aux, native, python, ..record });
    }

    fn device(&self, event: &Event) {
        self.gauges.set(event.device, device::UUID_0, event.address);
        self.gauges.set(event.device, device::UUID_1, event.aux);
        self.gauges.set(event.device, device::TOTAL, event.size);
    }

    fn out_of_memory(&self, now: &Now, event: &Event) {
        let Ids { native, python } = self.ids(now, true);
        let record = Record {
            aux: event.aux,
            flags: FLAG_SECOND | private(event),
            native,
            python,
            ..now.record(Verb::OutOfMemory, Class::Block, event)
        };
        self.ring.publish_pair(&record, &Record::second(now.time(), [event.extra, 0, 0]));
    }

    /// The stacks of the calling thread, as far as the control page wants them.
    fn ids(&self, now: &Now, with_native: bool) -> Ids {
        let native = with_native && now.level == Level::Full;
        let (native, python) = self.stacks.take(native, now.level <= Level::Python);
        Ids { native, python }
    }

    /// Counts a driver event. Programs change their title some time after they started, so it is
    /// read again at the first, second, fourth, eighth … driver event.
    fn called(&self) {
        let calls = self.calls.fetch_add(1, Relaxed).wrapping_add(1);
        if calls.is_power_of_two() {
            start::command(self.sections.text);
        }
    }

    /// All that is held, with its index. To walk through the table takes milliseconds: for what is rare.
    fn valid(&self) -> impl Iterator<Item = (u32, Entry)> {
        let capacity = u32::try_from(self.live.table().capacity()).unwrap_or(u32::MAX);
        (0..capacity).filter_map(|index| match self.live.table().get(index) {
            Some((State::Valid, entry)) => Some((index, entry)),
            _ => None,
        })
    }

    /// The slot of something that ends: its entry's stacks, and its age.
    fn begin_free(&self, now: &Now, event: &Event, entry: &Entry) {
        let native = if points_at_handle(entry.class) { NO_STACK } else { entry.native };
        self.ring.publish(&Record {
            address: entry.address,
            size: entry.size,
            aux: now.time().saturating_sub(entry.birth_us.saturating_mul(1000)),
            device: entry.device,
            native,
            python: entry.python,
            flags: entry.flags & FLAG_PRIVATE,
            ..now.record(Verb::FreeBegin, entry.class, event)
        });
    }
}

impl Now {
    /// Nanoseconds of `CLOCK_MONOTONIC`, the same for all of one event. Read where it is first
    /// needed: the second half of a free that succeeded writes nothing, and the clock would be the
    /// dearest part of it.
    fn time(&self) -> u64 {
        if self.time.get() == 0 {
            self.time.set(clock::monotonic());
        }
        self.time.get()
    }

    /// A slot with what is the same for all kinds; stacks, flags and `aux` are empty.
    fn record(&self, verb: Verb, class: Class, event: &Event) -> Record {
        Record {
            time: self.time(),
            address: event.address,
            size: event.size,
            aux: 0,
            verb,
            class,
            api: event.api,
            device: event.device,
            result: 0,
            tid: self.tid,
            flags: 0,
            native: NO_STACK,
            python: NO_STACK,
        }
    }
}

const fn private(event: &Event) -> u8 {
    if event.private { FLAG_PRIVATE } else { 0 }
}
