//! The recorder as a library that a Python program opens with `ctypes`, for `tests/python.rs`.

use hook::event::{Event, NO_ENTRY, Op, Thread};
use record::{Ledger, stack::Inside, start};
use std::{cell::UnsafeCell, sync::OnceLock, thread, time::Instant};
use wire::record::Class;

static LEDGER: OnceLock<Option<Ledger<'static>>> = OnceLock::new();

thread_local! {
    static THREAD: UnsafeCell<Thread> =
        const { UnsafeCell::new(Thread::new()) };
}

/// Starts the recorder; 0 if it records.
#[unsafe(no_mangle)]
pub extern "C" fn probe_start() -> i32 {
    let inside = Inside::around([probe_start as *const () as usize; 2]);
    i32::from(LEDGER.get_or_init(|| start::start(b"probe\n", inside)).is_none())
}

fn send(op: Op, class: Class, address: u64) {
    let Some(Some(ledger)) = LEDGER.get() else { return };
    let mut event = Event {
        op,
        class,
        api: 0,
        device: 0,
        result: 0,
        address,
        size: 512,
        aux: 0,
        extra: 0,
        classes: 0,
        entry: NO_ENTRY,
        private: false,
        thread: THREAD.with(UnsafeCell::get),
    };
    // SAFETY: the block is the calling thread's.
    unsafe { ledger.record(&mut event) };
}

fn block(op: Op, address: u64) {
    send(op, Class::Block, address);
}

/// Records memory of the driver's, which is an event with a native stack, too.
#[unsafe(no_mangle)]
pub extern "C" fn probe_take_linear(address: u64) {
    send(Op::Took, Class::Linear, address);
}

/// Records a block.
#[unsafe(no_mangle)]
pub extern "C" fn probe_take(address: u64) {
    block(Op::Took, address);
}

/// Records a block from a thread that Python knows nothing of.
#[unsafe(no_mangle)]
pub extern "C" fn probe_take_elsewhere(address: u64) {
    // A thread that panics would show as a missing record.
    let _ = thread::spawn(move || block(Op::Took, address)).join();
}

/// Nanoseconds for a block taken and given back, the mean of `times`.
#[unsafe(no_mangle)]
pub extern "C" fn probe_cost(times: u32) -> f64 {
    let start = Instant::now();
    for i in 0..u64::from(times) {
        block(Op::Took, 1 << 46 | (i & 1023) << 9);
        block(Op::BlockBack, 1 << 46 | (i & 1023) << 9);
    }
    start.elapsed().as_nanos() as f64 / f64::from(times)
}
