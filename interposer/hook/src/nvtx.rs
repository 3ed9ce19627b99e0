//! NVTX: how its headers hand their calls to an injected library, as far as that is not linkage.
//!
//! Each library that uses NVTX asks once, at its first call. It offers tables of places into which
//! functions can be put; a call whose place stays empty does nothing.

use core::{
    ffi::{c_char, c_int, c_uint, c_void},
    ptr,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use wire::{layout::WORD, mark::NAME_BYTES};

/// What `nvtxRangePush` returns where depths are not told.
pub const NO_DEPTH: c_int = -2;

/// The function that the header passes to the injected library.
pub type GetTable = unsafe extern "C" fn(u32) -> *const c_void;
/// A place for a function.
type Place = *mut *const ();
/// `NvtxExportTableCallbacks`.
#[repr(C)]
struct Callbacks {
    size: usize,
    places: unsafe extern "C" fn(c_int, *mut *const Place, *mut c_uint) -> c_int,
}

/// `NVTX_ETID_CALLBACKS`.
const CALLBACKS: u32 = 1;

/// A set of calls, by the number that NVTX gives it.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub enum Module {
    /// Calls without a domain.
    Core = 1,
    /// Calls with one.
    Core2 = 5,
}

/// Puts `functions` into the places of `module`, each at the number beside it. Places that the
/// header does not have, because it is older, are left out.
///
/// # Safety
/// `table` is what an NVTX header passed, and each function has the type of the call of its number.
pub unsafe fn subscribe(table: GetTable, module: Module, functions: &[(usize, *const ())]) -> bool {
    // SAFETY: by the caller's promise.
    let callbacks = unsafe { table(CALLBACKS) }.cast::<Callbacks>();
    // SAFETY: null or what the header says it is.
    let Some(callbacks) = (unsafe { callbacks.as_ref() }) else { return false };
    if callbacks.size < size_of::<Callbacks>() {
        return false;
    }
    let (mut places, mut count) = (ptr::null(), 0);
    // SAFETY: both out-parameters are valid.
    let known = unsafe { (callbacks.places)(module as c_int, &raw mut places, &raw mut count) };
    if known == 0 || places.is_null() {
        return false;
    }
    for (number, function) in functions {
        if *number >= count as usize {
            continue;
        }
        // SAFETY: the table has `count` elements.
        let place = unsafe { places.add(*number) };
        // SAFETY: as above.
        let place = unsafe { place.read() };
        if !place.is_null() {
            // SAFETY: the header's place for this function.
            unsafe { place.write(*function) };
        }
    }
    true
}

/// Bytes of `nvtxEventAttributes_v2`, in which the message's kind and the message are.
const ATTRIBUTES: u16 = 48;
const SIZE_AT: usize = 2;
const KIND_AT: usize = 32;
const MESSAGE_AT: usize = 40;
const ASCII: i32 = 1;
const REGISTERED: i32 = 3;

/// The message of an event as a C string; null where there is none, or one of wide characters.
///
/// # Safety
/// `attributes` is null or points to a valid `nvtxEventAttributes_t`.
#[must_use]
pub unsafe fn message(attributes: *const u8, strings: &Strings) -> *const c_char {
    if attributes.is_null() {
        return ptr::null();
    }
    // SAFETY: all versions of the structure begin with version and size.
    let size: u16 = unsafe { field(attributes, SIZE_AT) };
    if size < ATTRIBUTES {
        return ptr::null();
    }
    // SAFETY: within the size that the structure tells.
    let kind: i32 = unsafe { field(attributes, KIND_AT) };
    // SAFETY: as above.
    let message: *const c_char = unsafe { field(attributes, MESSAGE_AT) };
    match kind {
        ASCII => message,
        REGISTERED if strings.holds(message) => message,
        _ => ptr::null(),
    }
}

/// The field of a structure that begins at `offset`.
///
/// # Safety
/// There is one, of this type.
unsafe fn field<T: Copy>(structure: *const u8, offset: usize) -> T {
    // SAFETY: the caller's promise; its alignment is not relied on.
    unsafe { structure.wrapping_add(offset).cast::<T>().read_unaligned() }
}

/// Strings that are registered at most.
const STRINGS: usize = 256;
/// Words of one, its NUL included.
const STRING_WORDS: usize = NAME_BYTES / WORD + 1;

/// Registered strings. A handle is the address of the copy, which begins and ends as a C string.
#[derive(Debug)]
pub struct Strings {
    next: AtomicUsize,
    words: [AtomicU64; STRINGS * STRING_WORDS],
}

impl Strings {
    /// With no string.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            next: AtomicUsize::new(0),
            words: [const { AtomicU64::new(0) }; STRINGS * STRING_WORDS],
        }
    }

    /// Keeps a string, cut to what is kept of a name; null if there is no room.
    ///
    /// # Safety
    /// `string` is null or a C string.
    #[must_use]
    pub unsafe fn register(&self, string: *const c_char) -> *const c_char {
        // SAFETY: by the caller's promise.
        let length = unsafe { crate::mark::length(string) };
        if length == 0 || self.next.load(Relaxed) >= STRINGS {
            return ptr::null();
        }
        let first = self.next.fetch_add(1, Relaxed).saturating_mul(STRING_WORDS);
        let Some(words) = self.words.get(first..).and_then(|words| words.get(..STRING_WORDS))
        else {
            return ptr::null();
        };
        // SAFETY: so many bytes lie before its NUL.
        let bytes = unsafe { core::slice::from_raw_parts(string.cast::<u8>(), length) };
        let mut left = bytes.iter();
        for word in words {
            let bytes = left.by_ref().take(WORD).zip((0..).step_by(8));
            // Whoever uses the handle got it from this thread, in whatever way: that carries it.
            word.store(bytes.fold(0, |word, (byte, at)| word | u64::from(*byte) << at), Relaxed);
        }
        words.as_ptr().cast()
    }

    /// Whether `handle` is one of ours.
    fn holds(&self, handle: *const c_char) -> bool {
        let offset = handle.addr().wrapping_sub(self.words.as_ptr().addr());
        offset < size_of_val(&self.words) && offset.is_multiple_of(STRING_WORDS * WORD)
    }
}

impl Default for Strings {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::{cell::Cell, ffi::CStr};

    thread_local! {
        static SUBSCRIBED: Cell<[*const (); 3]> = const { Cell::new([ptr::null(); 3]) };
    }

    /// A header with places for calls 1 and 2, as the real ones have none for 0.
    unsafe extern "C" fn places(
        module: c_int,
        out: *mut *const Place,
        count: *mut c_uint,
    ) -> c_int {
        if module != Module::Core as c_int {
            return 0;
        }
        let place = |index: usize| {
            // SAFETY: an element of this thread's own.
            SUBSCRIBED.with(|all| unsafe { all.as_ptr().cast::<*const ()>().add(index) })
        };
        let table: &'static [Place; 3] = Box::leak(Box::new([ptr::null_mut(), place(1), place(2)]));
        // SAFETY: the out-parameters of `subscribe`.
        unsafe { *out = table.as_ptr() };
        // SAFETY: as above.
        unsafe { *count = 3 };
        1
    }

    unsafe extern "C" fn table(id: u32) -> *const c_void {
        static CALLBACKS: Callbacks = Callbacks { size: size_of::<Callbacks>(), places };
        if id == super::CALLBACKS { (&raw const CALLBACKS).cast() } else { ptr::null() }
    }

    #[test]
    fn functions_go_where_the_header_has_a_place_for_them() {
        let function = |n: usize| ptr::without_provenance::<()>(n);
        let functions = [(0, function(9)), (2, function(7)), (3, function(8))];
        // SAFETY: the table is as a header's; nobody calls these.
        assert!(unsafe { subscribe(table, Module::Core, &functions) });
        assert_eq!(SUBSCRIBED.get().map(<*const ()>::addr), [0, 0, 7]);
        // SAFETY: as above.
        assert!(!unsafe { subscribe(table, Module::Core2, &functions) });
    }

    fn attributes(size: u16, kind: i32, message: *const c_char) -> [u64; 6] {
        let message = message.expose_provenance() as u64;
        [3 | u64::from(size) << 16, 0, 0, 0, kind as u64, message]
    }

    #[test]
    fn a_message_is_text_or_a_registered_string() {
        let strings = Strings::new();
        // SAFETY: a C string.
        let handle = unsafe { strings.register(c"forward".as_ptr()) };
        let told = |size, kind, text| {
            let attributes = attributes(size, kind, text);
            // SAFETY: laid out as the structure is.
            unsafe { message(attributes.as_ptr().cast(), &strings) }
        };
        assert_eq!(told(48, ASCII, c"x".as_ptr()), c"x".as_ptr());
        assert_eq!(told(48, REGISTERED, handle), handle);
        // SAFETY: a handle of ours is a C string.
        assert_eq!(unsafe { CStr::from_ptr(handle) }, c"forward");
        assert!(told(48, 2, c"wide".as_ptr()).is_null());
        assert!(told(40, ASCII, c"x".as_ptr()).is_null());
        assert!(told(48, REGISTERED, c"another tool's".as_ptr()).is_null());
        assert!(told(48, REGISTERED, handle.wrapping_add(1)).is_null());
        // SAFETY: null is allowed.
        assert!(unsafe { message(ptr::null(), &strings) }.is_null());
    }

    #[test]
    fn strings_are_cut_and_there_is_an_end_to_them() {
        let strings = Strings::new();
        let long = std::ffi::CString::new("n".repeat(5000)).unwrap();
        for index in 0..STRINGS + 10 {
            // SAFETY: a C string.
            let handle = unsafe { strings.register(long.as_ptr()) };
            assert_eq!(handle.is_null(), index >= STRINGS);
            if index < STRINGS {
                // SAFETY: as above.
                let length = unsafe { CStr::from_ptr(handle) }.count_bytes();
                assert_eq!(length, NAME_BYTES);
            }
        }
    }
}
