//! The loader's own functions, found without it.
//!
//! They are the next definitions after us: those of libc, or of another library that interposes
//! them and that must go on seeing every call.

use core::{
    ffi::{c_char, c_int, c_void},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::{
    elf::{self, Name},
    linkage::Linkage,
};

/// `dlsym`.
pub const DLSYM: Name = Name::new("dlsym");
/// `dlvsym`.
pub const DLVSYM: Name = Name::new("dlvsym");
const DLOPEN: Name = Name::new("dlopen");
const DLERROR: Name = Name::new("dlerror");

/// Bytes of a path, with its NUL.
pub const PATH: usize = 4096;

/// `dlopen` of a path that ends with a NUL; null if that fails or there is no `dlopen`.
pub fn open(linkage: &Linkage, path: &[u8], flags: c_int) -> *mut c_void {
    let Some(address) =
        elf::find_after(linkage.inside(), &DLOPEN).filter(|_| path.ends_with(b"\0"))
    else {
        return core::ptr::null_mut();
    };
    // SAFETY: that is its type.
    let dlopen = unsafe {
        core::mem::transmute::<usize, unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void>(
            address,
        )
    };
    // SAFETY: a C string, as checked above.
    let handle = unsafe { dlopen(path.as_ptr().cast(), flags) };
    if handle.is_null() {
        forget_error(linkage);
    }
    handle
}

/// Takes the error of our own failed call away, so that the program does not find it.
fn forget_error(linkage: &Linkage) {
    if let Some(address) = elf::find_after(linkage.inside(), &DLERROR) {
        // SAFETY: that is its type.
        let dlerror = unsafe {
            core::mem::transmute::<usize, unsafe extern "C" fn() -> *mut c_char>(address)
        };
        // SAFETY: takes nothing; its answer is not looked at.
        unsafe { dlerror() };
    }
}

/// Keeps the object that contains `address` loaded from now on. The hooks hold the driver's
/// addresses, and a program that closes libcuda and opens it again may find it elsewhere. Only the
/// first object is kept: there is one driver.
pub fn pin(linkage: &Linkage, address: usize) {
    static PINNED: AtomicBool = AtomicBool::new(false);
    if PINNED.load(Relaxed) || PINNED.swap(true, Relaxed) {
        return;
    }
    // Copied, because the loader must not be called from inside the walk.
    let mut path = [0; PATH];
    let copied = elf::containing(address, |object| {
        let bytes = object.path.to_bytes_with_nul();
        path.get_mut(..bytes.len()).map(|to| to.copy_from_slice(bytes))
    });
    let length = path.iter().position(|byte| *byte == 0).unwrap_or_default();
    if let (Some(Some(())), Some(path)) = (copied, path.get(..=length))
        && length != 0
    {
        open(linkage, path, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
    }
}
