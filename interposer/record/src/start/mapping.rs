//! The process's file: reserved in full before it is mapped, because a full tmpfs would otherwise
//! kill the program at the first write (SIGBUS).

use core::{fmt, ptr, slice, sync::atomic::AtomicU64};
use wire::{
    folder::RING_SUFFIX,
    layout::{Layout, WORD},
};

use super::{folder::Folder, identity::Identity};
use crate::{name::Name, sys::Fd};

struct Ring<'a>(&'a Identity);

impl fmt::Display for Ring<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.0.instance;
        write!(f, "{a:016x}{b:016x}{RING_SUFFIX}")
    }
}

/// Makes and maps the file of `identity`; nothing stays behind if that fails.
pub fn create(
    folder: &Folder,
    identity: &Identity,
    layout: &Layout,
) -> Option<&'static [AtomicU64]> {
    let name = Name::<64>::of(&Ring(identity))?;
    let name = name.as_c_str();
    let file = folder.fd().open_in(name, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let words = file.reserve(layout.bytes()).then(|| map(&file, layout.bytes(), access)).flatten();
    if words.is_none() {
        folder.fd().remove_in(name);
    }
    words
}

/// Maps the first `bytes` of a file for the rest of the process's life. They must be reserved.
pub fn map(file: &Fd, bytes: usize, access: i32) -> Option<&'static [AtomicU64]> {
    // SAFETY: a new mapping at an address the kernel chooses touches no memory in use.
    let place =
        unsafe { libc::mmap(ptr::null_mut(), bytes, access, libc::MAP_SHARED, file.raw(), 0) };
    if place == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the range was mapped above; the advice only keeps it out of core dumps.
    unsafe { libc::madvise(place, bytes, libc::MADV_DONTDUMP) };
    // SAFETY: the range is mapped, page-aligned, never unmapped, and only accessed atomically;
    // its pages are reserved, and nobody but the user can shorten the file.
    Some(unsafe { slice::from_raw_parts(place.cast(), bytes / WORD) })
}
