//! Which interpreter runs in this process, linked statically or as a library.

use core::{
    ffi::{CStr, c_char, c_int},
    mem,
    ops::ControlFlow,
    ptr,
};
use hook::elf::{self, Name, Object};

use super::versions::{Layout, VERSIONS};

/// What the walk needs of an interpreter.
#[derive(Debug)]
pub struct Interpreter {
    /// `major << 8 | minor`.
    pub version: u32,
    /// Where it keeps things.
    pub layout: &'static Layout,
    /// Address of the type of code objects.
    pub code_type: usize,
    /// `PyGILState_GetThisThreadState`: the calling thread's own state, whether or not it holds the
    /// interpreter's lock, and null for threads that never ran Python.
    current: extern "C" fn() -> usize,
    /// `Py_IsFinalizing`.
    is_finalizing: extern "C" fn() -> c_int,
}

impl Interpreter {
    /// The calling thread's state; `None` if it has none, or if the interpreter is being torn down.
    pub fn thread_state(&self) -> Option<usize> {
        if (self.is_finalizing)() != 0 {
            return None;
        }
        Some((self.current)()).filter(|state| *state != 0)
    }
}

/// Functions of the interpreter that only the check at the start uses.
#[derive(Debug)]
pub struct Image {
    pub running: extern "C" fn() -> usize,
    pub gc_disable: extern "C" fn() -> c_int,
    pub gc_enable: extern "C" fn() -> c_int,
    pub frame: extern "C" fn() -> usize,
    pub frame_back: extern "C" fn(usize) -> usize,
    pub frame_code: extern "C" fn(usize) -> usize,
    pub release: extern "C" fn(usize),
}

/// An interpreter, and what there is to know of it.
#[derive(Debug)]
pub struct Found {
    /// `major << 8 | minor`.
    pub version: u32,
    /// Nothing if its layout is not known here.
    pub interpreter: Option<Interpreter>,
    /// Nothing if it lacks one of the functions.
    pub image: Option<Image>,
}

/// Looks through the loaded objects.
pub fn find() -> Option<Found> {
    let mut found = None;
    elf::each(|object| {
        found = look(object);
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

/// A function of `object` as a value of the function pointer type `F`.
///
/// # Safety
/// The function that exports the name has the type `F`.
unsafe fn function<F: Copy>(object: &Object<'_>, name: &Name) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    let address: *const () = ptr::with_exposed_provenance(object.symbol(name)?);
    // SAFETY: same size, and by the caller's promise the right type; never null.
    Some(unsafe { mem::transmute_copy(&address) })
}

/// The function of `object` with this name and, by Python's documentation, the type asked for.
macro_rules! function {
    ($object:expr, $name:literal) => {{
        const NAME: Name = Name::new($name);
        // SAFETY: CPython's header gives this function the type of the field it is stored in.
        unsafe { function($object, &NAME) }
    }};
}

fn look(object: &Object<'_>) -> Option<Found> {
    const CODE_TYPE: Name = Name::new("PyCode_Type");
    let current = function!(object, "PyGILState_GetThisThreadState")?;
    let version: extern "C" fn() -> *const c_char = function!(object, "Py_GetVersion")?;
    let code_type = object.symbol(&CODE_TYPE)?;
    // SAFETY: the function returns a string that ends with NUL and stays in place.
    let version = parse(unsafe { CStr::from_ptr(version()) }.to_bytes())?;
    let is_finalizing =
        function!(object, "Py_IsFinalizing").or_else(|| function!(object, "_Py_IsFinalizing"));
    let layout = VERSIONS.iter().find(|layout| version == 3 << 8 | u32::from(layout.minor));
    let usual = version < 3 << 8 | 13 || !is_free_threaded(object);
    let interpreter = is_finalizing.zip(layout.filter(|_| usual)).map(|(is_finalizing, layout)| {
        Interpreter { version, layout, code_type, current, is_finalizing }
    });
    Some(Found { version, interpreter, image: image(object) })
}

fn image(object: &Object<'_>) -> Option<Image> {
    Some(Image {
        running: function!(object, "PyThreadState_GetUnchecked")
            .or_else(|| function!(object, "_PyThreadState_UncheckedGet"))?,
        gc_disable: function!(object, "PyGC_Disable")?,
        gc_enable: function!(object, "PyGC_Enable")?,
        frame: function!(object, "PyEval_GetFrame")?,
        frame_back: function!(object, "PyFrame_GetBack")?,
        frame_code: function!(object, "PyFrame_GetCode")?,
        release: function!(object, "Py_DecRef")?,
    })
}

/// Whether this is a build without the global lock, which lays its objects out differently: since
/// 3.13 the third word of `_PyRuntime` says so.
fn is_free_threaded(object: &Object<'_>) -> bool {
    const RUNTIME: Name = Name::new("_PyRuntime");
    let Some(runtime) = object.symbol(&RUNTIME) else { return true };
    let words = ptr::with_exposed_provenance::<u64>(runtime);
    // SAFETY: `_PyRuntime` begins with the cookie `xdebugpy`, a version and this word.
    unsafe { words.wrapping_add(2).read() != 0 }
}

/// `major << 8 | minor` of a version text like `3.11.7 (main, …`.
fn parse(text: &[u8]) -> Option<u32> {
    let mut parts = text.split(|byte| *byte == b'.');
    let mut number = || core::str::from_utf8(parts.next()?).ok()?.parse::<u8>().ok();
    Some(u32::from(number()?) << 8 | u32::from(number()?))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse(b"3.11.7 (main, Jan 1 2026)"), Some(3 << 8 | 11));
        assert_eq!(parse(b"3.15.0a1+ (x)"), Some(3 << 8 | 15));
        assert_eq!(parse(b"three"), None);
    }
}
