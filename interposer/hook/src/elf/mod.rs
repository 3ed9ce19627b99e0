//! Loaded objects and the symbols they export, read from memory.
//!
//! This is how the library finds functions without asking `dlsym`, which it interposes itself, and
//! without the loader's lock, which a thread may hold while it runs somebody's constructor. The
//! walk is `dl_iterate_phdr`: its lock is held only while the list of objects changes, and by the
//! C++ unwinder, so nobody waits for anything of ours while holding it. What runs between `fork` and
//! `exec`, where the thread that held it may be gone, reads the start of the list by hand: see `list`.

pub mod list;
mod tables;

use core::{
    ffi::{CStr, c_int, c_void},
    ops::ControlFlow,
    slice,
};

use libc::{Elf64_Phdr, PT_DYNAMIC, PT_LOAD, dl_phdr_info};

use tables::Tables;

/// A symbol's name with its hash.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    text: &'static str,
    hash: u32,
}

impl Name {
    /// The name `text`.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { text, hash: gnu_hash(text.as_bytes()) }
    }

    /// The name itself.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        self.text
    }
}

const fn gnu_hash(mut bytes: &[u8]) -> u32 {
    let mut hash: u32 = 5381;
    while let [first, rest @ ..] = bytes {
        hash = hash.wrapping_mul(33).wrapping_add(*first as u32);
        bytes = rest;
    }
    hash
}

/// One loaded object, for the length of a visit.
pub struct Object<'a> {
    base: usize,
    /// Path it was loaded from; empty for the program itself.
    pub path: &'a CStr,
    headers: &'a [Elf64_Phdr],
}

/// Visits the loaded objects in load order, the program first, until `visit` breaks.
pub fn each(mut visit: impl FnMut(&Object<'_>) -> ControlFlow<()>) {
    let mut visit: &mut dyn FnMut(&Object<'_>) -> ControlFlow<()> = &mut visit;
    // SAFETY: `step` gets back the pointer it expects, and only during this call.
    unsafe { libc::dl_iterate_phdr(Some(step), (&raw mut visit).cast()) };
}

/// A number that grows with every object that is loaded.
#[must_use]
pub fn loads() -> u64 {
    let mut loads = 0;
    // SAFETY: `count` gets back the pointer it expects, and only during this call.
    unsafe { libc::dl_iterate_phdr(Some(count), (&raw mut loads).cast()) };
    loads
}

unsafe extern "C" fn count(info: *mut dl_phdr_info, _: usize, loads: *mut c_void) -> c_int {
    // SAFETY: `dl_iterate_phdr` passes a valid description.
    let adds = unsafe { (*info).dlpi_adds };
    // SAFETY: `loads` passed a pointer to its own number.
    unsafe { *loads.cast::<u64>() = adds };
    1
}

unsafe extern "C" fn step(info: *mut dl_phdr_info, _: usize, visit: *mut c_void) -> c_int {
    // SAFETY: `dl_iterate_phdr` passes a valid description.
    let info = unsafe { &*info };
    if info.dlpi_phdr.is_null() || info.dlpi_name.is_null() {
        return 0;
    }
    // SAFETY: the headers of a loaded object stay mapped while the loader's list is held.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    // SAFETY: a C string of the loader, as above.
    let path = unsafe { CStr::from_ptr(info.dlpi_name) };
    // SAFETY: `each` passed a pointer to its own `visit`.
    let visit = unsafe { &mut *visit.cast::<&mut dyn FnMut(&Object<'_>) -> ControlFlow<()>>() };
    c_int::from(visit(&Object { base: info.dlpi_addr as usize, path, headers }).is_break())
}

/// Visits the objects loaded after the one that contains `inside`.
pub fn each_after(inside: usize, mut visit: impl FnMut(&Object<'_>) -> ControlFlow<()>) {
    let mut passed = false;
    each(|object| {
        if passed {
            return visit(object);
        }
        passed = object.contains(inside);
        ControlFlow::Continue(())
    });
}

/// Address of `name` in the first object after the one that contains `inside` which exports it.
#[must_use]
pub fn find_after(inside: usize, name: &Name) -> Option<usize> {
    let mut found = None;
    each_after(inside, |object| {
        found = object.symbol(name);
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

/// What `look` makes of the object that contains `address`; `None` if there is none.
pub fn containing<T>(address: usize, look: impl FnOnce(&Object<'_>) -> T) -> Option<T> {
    let mut look = Some(look);
    let mut seen = None;
    each(|object| {
        if !object.contains(address) {
            return ControlFlow::Continue(());
        }
        seen = look.take().map(|look| look(object));
        ControlFlow::Break(())
    });
    seen
}

impl Object<'_> {
    /// Whether `address` lies in one of the object's segments.
    #[must_use]
    pub fn contains(&self, address: usize) -> bool {
        self.headers.iter().filter(|header| header.p_type == PT_LOAD).any(|header| {
            let start = self.base.wrapping_add(header.p_vaddr as usize);
            address.wrapping_sub(start) < header.p_memsz as usize
        })
    }

    /// First address of the object's segments, and one past the last.
    #[must_use]
    pub fn bounds(&self) -> (usize, usize) {
        let segments = self.headers.iter().filter(|header| header.p_type == PT_LOAD);
        segments.fold((usize::MAX, 0), |(first, end), header| {
            let start = self.base.wrapping_add(header.p_vaddr as usize);
            (first.min(start), end.max(start.wrapping_add(header.p_memsz as usize)))
        })
    }

    /// Last part of the path.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.path.to_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// Address of the exported symbol `name`. Indirect functions (IFUNC) are not found.
    #[must_use]
    pub fn symbol(&self, name: &Name) -> Option<usize> {
        self.tables()?.find(name)
    }

    /// Whether some exported symbol is at `address`.
    #[must_use]
    pub fn exports(&self, address: usize) -> bool {
        self.tables().is_some_and(|tables| tables.exports(address))
    }

    fn tables(&self) -> Option<Tables> {
        Tables::read(self.base, self.dynamic()?)
    }

    /// Address of the object's dynamic section.
    #[must_use]
    pub fn dynamic(&self) -> Option<usize> {
        let header = self.headers.iter().find(|header| header.p_type == PT_DYNAMIC)?;
        Some(self.base.wrapping_add(header.p_vaddr as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside() -> usize {
        gnu_hash as *const () as usize
    }

    #[test]
    fn finds_what_dlsym_finds_in_every_object() {
        for name in [
            "malloc",
            "free",
            "getauxval",
            "dlsym",
            "dlopen",
            "pthread_create",
            "environ",
            "read",
            "write",
            "open",
            "close",
            "fork",
            "execve",
            "waitpid",
            "socket",
            "exit",
            "qsort",
            // There are two of each, and the older one does something else.
            "posix_spawn",
            "glob",
            "pthread_cond_init",
        ] {
            let text = std::ffi::CString::new(name).unwrap();
            // SAFETY: a C string and a pseudo-handle.
            let want = unsafe { libc::dlsym(libc::RTLD_DEFAULT, text.as_ptr()) } as usize;
            let name = Name { text: name, hash: gnu_hash(name.as_bytes()) };
            let mut found = vec![];
            each(|object| {
                found.extend(object.symbol(&name));
                ControlFlow::Continue(())
            });
            assert!(found.contains(&want), "{name:?}: {found:x?} lacks {want:x}");
        }
    }

    #[test]
    fn a_name_nobody_exports_is_not_found() {
        const NAME: Name = Name::new("memtrace_has_no_such_name");
        each(|object| {
            assert_eq!(object.symbol(&NAME), None);
            ControlFlow::Continue(())
        });
    }

    #[test]
    fn the_program_contains_its_own_functions_and_libc_comes_after_it() {
        assert_eq!(containing(inside(), |object| object.path.is_empty()), Some(true));
        assert_eq!(containing(16, |_| ()), None);
        let dlsym = find_after(inside(), &Name::new("dlsym")).expect("libc exports dlsym");
        let file = containing(dlsym, |object| object.file_name().to_vec()).unwrap();
        assert!(file.starts_with(b"libc.so") || file.starts_with(b"libdl.so"), "{file:?}");
    }
}
