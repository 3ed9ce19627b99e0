//! Marks: what a program says of its own time. They open no recorder, and without one say nothing.

use core::{ffi::c_char, ptr::NonNull};

pub use wire::mark::Kind;
use wire::{device::UNKNOWN, mark::NAME_BYTES, record::Class};

use crate::{
    abi::SUCCESS,
    call::send,
    event::{Event, NO_ENTRY, Op, Thread},
    guard::{Depth, Errno},
    hooks::Hooks,
};

/// A mark to be set.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// What it says.
    pub kind: Kind,
    /// Its name as a C string; null for none.
    pub name: *const c_char,
    /// Which range, where ranges are told apart by number.
    pub range: u64,
    /// Which domain, 0 for none.
    pub domain: u64,
}

/// Sets a mark.
///
/// # Safety
/// `thread` is the calling thread's block, and the name null or a C string.
pub unsafe fn mark(hooks: &Hooks, thread: NonNull<Thread>, mark: &Mark) {
    let Some(recorder) = hooks.recorder() else { return };
    // SAFETY: by the caller's promise.
    let depth = unsafe { Depth::enter(thread) };
    if !depth.is_outermost() {
        return;
    }
    let _errno = Errno::keep();
    // SAFETY: by the caller's promise.
    let length = unsafe { length(mark.name) };
    let mut event = Event {
        op: Op::Mark,
        class: Class::None,
        api: 0,
        device: UNKNOWN,
        result: SUCCESS,
        address: mark.name.expose_provenance() as u64,
        size: length as u64,
        aux: mark.range,
        extra: mark.domain,
        classes: mark.kind as u32,
        entry: NO_ENTRY,
        private: false,
        thread: thread.as_ptr(),
    };
    send(recorder, &mut event);
}

/// Bytes of a name that are kept: of one that is too long, as many whole characters as fit.
///
/// # Safety
/// `name` is null or a C string.
pub(crate) unsafe fn length(name: *const c_char) -> usize {
    if name.is_null() {
        return 0;
    }
    // SAFETY: the caller's promise, as nothing behind the NUL is read.
    let byte = |index: usize| unsafe { name.wrapping_add(index).read() } as u8;
    let mut length = 0;
    while byte(length) != 0 {
        if length == NAME_BYTES {
            // A byte that continues a character cannot be the first one left out.
            while length > 0 && byte(length) & 0xc0 == 0x80 {
                length -= 1;
            }
            break;
        }
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{event, idle, ops, recording};
    use std::ffi::CString;

    fn set(hooks: &Hooks, kind: Kind, name: *const c_char) {
        let mut thread = Thread::new();
        let about = Mark { kind, name, range: 7, domain: 3 };
        // SAFETY: a block of this thread; the tests pass C strings.
        unsafe { mark(hooks, NonNull::from(&mut thread), &about) };
        assert_eq!(thread.depth, 0);
    }

    fn kept(name: &str) -> usize {
        let name = CString::new(name).unwrap();
        // SAFETY: a C string.
        unsafe { length(name.as_ptr()) }
    }

    #[test]
    fn a_mark_reaches_the_recorder_with_its_name() {
        set(&recording(), Kind::Start, c"rollout".as_ptr());
        let event = event();
        assert_eq!((event.op, event.classes, event.size), (Op::Mark, Kind::Start as u32, 7));
        assert_eq!((event.aux, event.extra), (7, 3));
    }

    #[test]
    fn without_a_recorder_or_inside_of_a_hook_nothing_is_said() {
        set(&idle(), Kind::Point, c"early".as_ptr());
        assert!(ops().is_empty());
        let hooks = recording();
        let mut thread = Thread::new();
        let thread = NonNull::from(&mut thread);
        // SAFETY: a block of this thread.
        let _outer = unsafe { Depth::enter(thread) };
        let about = Mark { kind: Kind::Pop, name: core::ptr::null(), range: 0, domain: 0 };
        // SAFETY: the same block, and no name.
        unsafe { mark(&hooks, thread, &about) };
        assert!(ops().is_empty());
    }

    #[test]
    fn a_name_is_cut_between_characters() {
        assert_eq!(kept(""), 0);
        assert_eq!(kept(&"a".repeat(120)), 120);
        assert_eq!(kept(&"a".repeat(1 << 20)), 120);
        assert_eq!(kept(&("a".repeat(119) + "é")), 119);
        assert_eq!(kept(&("a".repeat(118) + "é" + "é")), 120);
        // SAFETY: null is allowed.
        assert_eq!(unsafe { length(core::ptr::null()) }, 0);
    }
}
