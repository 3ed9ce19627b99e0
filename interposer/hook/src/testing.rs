//! A recorder and a driver for the tests of the hooks: both write down what they are told.

use std::{cell::RefCell, ptr::NonNull};

use wire::record::Class;

use crate::{
    abi::{INVALID_VALUE, POINTER_DEVICE, SUCCESS, Status},
    call::Call,
    event::{ABI, Event, NO_ENTRY, Op, Recorder, Thread},
    hooks::Hooks,
    linkage::{Entry, Hidden, Linkage, PLACES},
    table::{Api, COUNT},
};

thread_local! {
    static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
    static HELD: RefCell<Vec<(u64, u64, Class)>> = const { RefCell::new(Vec::new()) };
}

static RECORDER: Recorder = Recorder { abi: ABI, record, exit };

extern "C" fn exit() {}

/// Writes the event down, and finds for a free what [`hold`] was told.
unsafe extern "C" fn record(event: *mut Event) {
    // SAFETY: hooks pass valid events.
    let event = unsafe { &mut *event };
    if event.op == Op::GivingBack {
        HELD.with_borrow(|held| {
            let fits = |(at, _, class): &&(u64, u64, Class)| {
                *at == event.address && event.classes & 1 << *class as u32 != 0
            };
            if let Some((_, size, class)) = held.iter().find(fits) {
                (event.entry, event.size, event.class) = (1, *size, *class);
            }
        });
    }
    EVENTS.with_borrow_mut(|events| events.push(*event));
}

static HIDDEN: Hidden = [[Entry(record as *const ()); COUNT]; PLACES];

/// Hooks whose recorder is opened by the first success.
pub fn idle() -> Hooks {
    Hooks::new(&HIDDEN, |_: &Linkage| &raw const RECORDER)
}

/// Hooks that record, in a process with one device, number 2, and its context 0xc0.
pub fn recording() -> Hooks {
    let hooks = idle();
    hooks.driver.set("cuCtxGetDevice", device as *const () as usize);
    hooks.driver.set("cuCtxGetCurrent", context as *const () as usize);
    on(&hooks, Api::cuInit, |call| {
        // SAFETY: `init` takes any number.
        unsafe { crate::init::init(call, succeeds_with_number, 0) }
    });
    events();
    hooks
}

extern "C" fn succeeds_with_number(_: u32) -> Status {
    SUCCESS
}

extern "C" fn device(out: *mut i32) -> Status {
    // SAFETY: the driver's questions pass valid pointers.
    unsafe { *out = 2 };
    SUCCESS
}

extern "C" fn context(out: *mut u64) -> Status {
    // SAFETY: as above.
    unsafe { *out = 0xc0 };
    SUCCESS
}

/// `cuPointerGetAttribute` of a driver where all memory lies on device 4, whatever is current, and that tells
/// nothing else of it.
pub extern "C" fn lies_on_four(out: *mut u64, attribute: u32, _: u64) -> Status {
    if attribute != POINTER_DEVICE {
        return INVALID_VALUE;
    }
    // SAFETY: the driver's questions pass valid pointers.
    unsafe { out.cast::<i32>().write(4) };
    SUCCESS
}

/// Lets the recorder find something when it is given back.
pub fn hold(address: u64, size: u64, class: Class) {
    HELD.with_borrow_mut(|held| held.push((address, size, class)));
}

/// Makes one call of `api`.
pub fn on<T>(hooks: &Hooks, api: Api, calling: impl FnOnce(&Call<'_>) -> T) -> T {
    let mut thread = Thread::new();
    // SAFETY: the block is this thread's for the length of the call.
    let call = unsafe { Call::new(hooks, NonNull::from(&mut thread), api) };
    let result = calling(&call);
    assert_eq!(thread.depth, 0, "every guard was left");
    result
}

/// What was recorded since the last time, without the devices' introductions.
pub fn events() -> Vec<Event> {
    let all = EVENTS.take();
    all.into_iter().filter(|event| event.op != Op::Device).collect()
}

/// The one event that was recorded.
pub fn event() -> Event {
    let all = events();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0]
}

/// Operations recorded, in order.
pub fn ops() -> Vec<Op> {
    events().iter().map(|event| event.op).collect()
}

#[test]
fn nothing_is_found_where_nothing_is_held() {
    let hooks = recording();
    on(&hooks, Api::cuMemFree_v2, |call| {
        let guard = call.enter();
        let end = guard.giving_back(0x10, 0, &[Class::Linear]);
        assert!(end.found().is_none());
    });
    assert_eq!(event().entry, NO_ENTRY);
}
