//! The library as an injection of NVTX: its ranges and marks are the program's phases.
//!
//! Ranges without a name, or with one of wide characters, are marked too: their ends would end
//! others' ranges otherwise. Categories, colours, payloads and resources are not looked at.

use core::{
    ffi::{c_char, c_int, c_void},
    ptr::{null, null_mut, without_provenance_mut},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use hook::{
    mark::Kind,
    nvtx::{GetTable, Module, NO_DEPTH, Strings, message, subscribe},
};

use crate::marks::set;

static STRINGS: Strings = Strings::new();
/// Ranges and domains so far; 0 means none of them.
static RANGES: AtomicU64 = AtomicU64::new(1);
static DOMAINS: AtomicU64 = AtomicU64::new(1);

/// What an NVTX header calls once, if `NVTX_INJECTION64_PATH` names this library.
///
/// # Safety
/// `table` is what an NVTX header passes.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "NVTX's name")]
pub unsafe extern "C" fn InitializeInjectionNvtx2(table: GetTable) -> c_int {
    let core = [
        (1, mark_attributes as *const ()),
        (2, mark as *const ()),
        (3, mark_wide as *const ()),
        (4, start_attributes as *const ()),
        (5, start as *const ()),
        (6, start_wide as *const ()),
        (7, end as *const ()),
        (8, push_attributes as *const ()),
        (9, push as *const ()),
        (10, push_wide as *const ()),
        (11, pop as *const ()),
    ];
    let core2 = [
        (1, domain_mark as *const ()),
        (2, domain_start as *const ()),
        (3, domain_end as *const ()),
        (4, domain_push as *const ()),
        (5, domain_pop as *const ()),
        (10, register as *const ()),
        (12, create_domain as *const ()),
        (13, create_domain as *const ()),
    ];
    // SAFETY: the header's table; each function is that of its number.
    let core = unsafe { subscribe(table, Module::Core, &core) };
    // SAFETY: as above.
    let core2 = unsafe { subscribe(table, Module::Core2, &core2) };
    (core || core2).into()
}

fn begun(name: *const c_char, domain: *mut c_void) -> u64 {
    let range = RANGES.fetch_add(1, Relaxed);
    // SAFETY: null or a C string, as the program gave it or `message` found it.
    unsafe { set(Kind::Start, name, range, number(domain)) };
    range
}

fn pushed(name: *const c_char, domain: *mut c_void) -> c_int {
    // SAFETY: as for `begun`.
    unsafe { set(Kind::Push, name, 0, number(domain)) };
    NO_DEPTH
}

fn moment(name: *const c_char, domain: *mut c_void) {
    // SAFETY: as for `begun`.
    unsafe { set(Kind::Point, name, 0, number(domain)) };
}

fn ended(kind: Kind, range: u64, domain: *mut c_void) {
    // SAFETY: without a name.
    unsafe { set(kind, null(), range, number(domain)) };
}

/// A domain's handle is its number.
fn number(domain: *mut c_void) -> u64 {
    domain.addr() as u64
}

fn text(attributes: *const u8) -> *const c_char {
    // SAFETY: the program's own argument, as NVTX wants it.
    unsafe { message(attributes, &STRINGS) }
}

extern "C" fn mark(name: *const c_char) {
    moment(name, null_mut());
}

extern "C" fn mark_wide(_: *const c_void) {
    moment(null(), null_mut());
}

extern "C" fn mark_attributes(attributes: *const u8) {
    moment(text(attributes), null_mut());
}

extern "C" fn start(name: *const c_char) -> u64 {
    begun(name, null_mut())
}

extern "C" fn start_wide(_: *const c_void) -> u64 {
    begun(null(), null_mut())
}

extern "C" fn start_attributes(attributes: *const u8) -> u64 {
    begun(text(attributes), null_mut())
}

extern "C" fn end(range: u64) {
    ended(Kind::Stop, range, null_mut());
}

extern "C" fn push(name: *const c_char) -> c_int {
    pushed(name, null_mut())
}

extern "C" fn push_wide(_: *const c_void) -> c_int {
    pushed(null(), null_mut())
}

extern "C" fn push_attributes(attributes: *const u8) -> c_int {
    pushed(text(attributes), null_mut())
}

extern "C" fn pop() -> c_int {
    ended(Kind::Pop, 0, null_mut());
    NO_DEPTH
}

extern "C" fn domain_mark(domain: *mut c_void, attributes: *const u8) {
    moment(text(attributes), domain);
}

extern "C" fn domain_start(domain: *mut c_void, attributes: *const u8) -> u64 {
    begun(text(attributes), domain)
}

extern "C" fn domain_end(domain: *mut c_void, range: u64) {
    ended(Kind::Stop, range, domain);
}

extern "C" fn domain_push(domain: *mut c_void, attributes: *const u8) -> c_int {
    pushed(text(attributes), domain)
}

extern "C" fn domain_pop(domain: *mut c_void) -> c_int {
    ended(Kind::Pop, 0, domain);
    NO_DEPTH
}

extern "C" fn register(_: *mut c_void, string: *const c_char) -> *const c_char {
    // SAFETY: the program's own argument.
    unsafe { STRINGS.register(string) }
}

extern "C" fn create_domain(_: *const c_void) -> *mut c_void {
    without_provenance_mut(DOMAINS.fetch_add(1, Relaxed) as usize)
}
