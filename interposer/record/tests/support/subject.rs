//! A ledger that tests drive with events of their own.

use std::{ptr, sync::atomic::AtomicU64};

use hook::event::{Event, NO_ENTRY, Op, Thread};
use record::{Ledger, stack::Inside, start::Cookie};
use wire::{
    layout::{Layout, Sections},
    record::Class,
};

use super::File;

/// A ledger over memory of its own.
pub struct Subject {
    pub words: &'static [AtomicU64],
    layout: Layout,
    pub control: &'static [AtomicU64],
    pub ledger: Ledger<'static>,
    thread: Thread,
}

fn words(count: usize) -> &'static [AtomicU64] {
    Vec::leak((0..count).map(|_| AtomicU64::new(0)).collect())
}

/// A block of one's own for a thread.
pub const fn thread(tid: u32) -> Thread {
    Thread { depth: 1, tid, ..Thread::new() }
}

/// Hands an event of the thread that owns `thread` to the ledger.
pub fn send(ledger: &Ledger<'_>, thread: &mut Thread, event: &mut Event) {
    event.thread = thread;
    // SAFETY: the caller's block, borrowed for the call.
    unsafe { ledger.record(event) };
}

impl Subject {
    pub fn new(layout: Layout) -> Self {
        let (words, control) = (words(layout.offsets().end), words(1));
        let sections = Sections::split(words, &layout).unwrap();
        let ledger =
            Ledger::new(sections, control, Cookie::new().unwrap(), Inside::default()).unwrap();
        Self { words, layout, control, ledger, thread: thread(7) }
    }

    pub fn event(op: Op, class: Class) -> Event {
        Event {
            op,
            class,
            api: 3,
            device: 0,
            result: 0,
            address: 0,
            size: 0,
            aux: 0,
            extra: 0,
            classes: 0,
            entry: NO_ENTRY,
            private: false,
            thread: ptr::null_mut(),
        }
    }

    pub fn send(&mut self, event: &mut Event) {
        send(&self.ledger, &mut self.thread, event);
    }

    pub fn take(&mut self, class: Class, address: u64, size: u64) {
        self.send(&mut Event { address, size, ..Self::event(Op::Took, class) });
    }

    /// The first half of a free.
    pub fn giving(&mut self, class: Class, address: u64, size: u64) -> Event {
        let classes = 1 << class as u32;
        let mut event =
            Event { address, size, classes, ..Self::event(Op::GivingBack, Class::None) };
        self.send(&mut event);
        event
    }

    /// The second half, which returned `result`.
    pub fn gave(&mut self, event: &mut Event, result: i32) {
        event.op = Op::GaveBack;
        event.result = result;
        self.send(event);
    }

    /// Both halves; returns the event as it is afterwards.
    pub fn give(&mut self, class: Class, address: u64, size: u64, result: i32) -> Event {
        let mut event = self.giving(class, address, size);
        self.gave(&mut event, result);
        event
    }

    pub fn file(&self) -> File {
        File::of(self.words, self.layout)
    }
}
