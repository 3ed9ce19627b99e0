//! Finds, opens and ends the recorder, `libmemtrace_core.so`.

use core::{mem::transmute, ptr};

use hook::{
    elf::{self, Name},
    event::{ABI, Recorder, Start, StartFn},
    linkage::Linkage,
    loader::{self, PATH},
    table::NAMES,
};

use crate::HOOKS;

const FILE: &[u8] = b"libmemtrace_core.so\0";

/// Opens the recorder that lies beside this library; null if there is none, or the user wants none,
/// or the process runs with rights that its user has not.
pub fn open(linkage: &Linkage) -> *const Recorder {
    if !wanted() {
        return ptr::null();
    }
    start(linkage).unwrap_or(ptr::null())
}

fn wanted() -> bool {
    // SAFETY: reads the auxiliary vector.
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    // SAFETY: a C string; its answer is read at once.
    let disable = unsafe { libc::getenv(c"MEMTRACE_DISABLE".as_ptr()) };
    // SAFETY: null was excluded; an environment entry is a C string.
    let disabled = !disable.is_null() && unsafe { core::ffi::CStr::from_ptr(disable) } == c"1";
    !secure && !disabled
}

fn start(linkage: &Linkage) -> Option<*const Recorder> {
    let mut path = [0; PATH];
    beside(linkage, &mut path)?;
    let path = path.get(..=path.iter().position(|byte| *byte == 0)?)?;
    if loader::open(linkage, path, libc::RTLD_NOW | libc::RTLD_LOCAL).is_null() {
        return None;
    }
    let start = elf::find_after(linkage.inside(), &const { Name::new("memtrace_core_start") })?;
    // SAFETY: the recorder's symbol of that name has this type.
    let start = unsafe { transmute::<usize, StartFn>(start) };
    let inside = linkage.inside();
    let about = Start { abi: ABI, names: NAMES.as_ptr(), names_length: NAMES.len(), inside };
    // SAFETY: valid for the call; the names are static.
    Some(unsafe { start(&raw const about) })
}

/// Path of the recorder: this library's own, with another last part. Where the loader knows the
/// library by a relative path, and the program may have gone elsewhere since, it is told to take
/// the folder that it found the library in.
fn beside(linkage: &Linkage, path: &mut [u8; PATH]) -> Option<()> {
    elf::containing(linkage.inside(), |object| {
        let own = object.path.to_bytes();
        let folder = if own.starts_with(b"/") {
            own.get(..=own.iter().rposition(|byte| *byte == b'/')?)?
        } else {
            b"$ORIGIN/"
        };
        path.get_mut(..folder.len())?.copy_from_slice(folder);
        path.get_mut(folder.len()..)?.get_mut(..FILE.len())?.copy_from_slice(FILE);
        Some(())
    })?
}

/// A clean exit. Library destructors that run later may still call hooks, and they record.
extern "C" fn finish() {
    if let Some(recorder) = HOOKS.recorder() {
        (recorder.exit)();
    }
}

#[used]
#[unsafe(link_section = ".fini_array")]
static FINISH: extern "C" fn() = finish;
