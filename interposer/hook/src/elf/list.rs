//! The start of the loader's list of objects, read without any lock.
//!
//! After a fork of a process with several threads the lock of the list may be held by a thread that
//! does not exist any more, and a signal handler may have interrupted whoever held it. So what leads
//! to an exec reads the list as a debugger does, from the address that the loader leaves in the
//! program's dynamic section. It goes no further than to libc: the program, what is preloaded and
//! what they are linked to lie there for as long as the process runs, and what is opened and closed
//! later comes behind them.

use core::{
    ffi::{CStr, c_char},
    iter, ptr, slice,
};

use libc::{AT_PHDR, AT_PHNUM, Elf64_Phdr, PT_DYNAMIC, PT_PHDR};

use super::{
    Name,
    tables::{self, Tables},
};

const DT_DEBUG: u64 = 21;
/// Every libc has it, and it is what a program of any language begins with.
const LIBC: Name = Name::new("__libc_start_main");

/// One object of the list, as the loader keeps it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Entry {
    base: usize,
    path: *const c_char,
    dynamic: usize,
    next: *const Entry,
}

/// What the program's dynamic section leads to.
#[repr(C)]
struct Debug {
    version: usize,
    first: *const Entry,
}

/// The object whose dynamic section is at `dynamic`, one that stays loaded. `None` also if the list
/// cannot be found.
#[must_use]
pub fn find(dynamic: usize) -> Option<Entry> {
    let first = first()?;
    // SAFETY: the address that the loader wrote leads to the first entry, which is the program's.
    let first = unsafe { first.read() };
    first.and_behind().find(|entry| entry.dynamic == dynamic)
}

impl Entry {
    /// The path the object was loaded from, which is none for the program itself.
    #[must_use]
    pub fn path(&self) -> &'static CStr {
        if self.path.is_null() {
            return c"";
        }
        // SAFETY: a C string of the loader, of an object that stays.
        unsafe { CStr::from_ptr(self.path) }
    }

    /// Address of `name` in the first object behind this one, and no further than libc, that exports
    /// it.
    #[must_use]
    pub fn next(&self, name: &Name) -> Option<usize> {
        for entry in self.and_behind().skip(1) {
            let Some(tables) = Tables::read(entry.base, entry.dynamic) else { continue };
            let found = tables.find(name);
            if found.is_some() || tables.find(&LIBC).is_some() {
                return found;
            }
        }
        None
    }

    fn and_behind(self) -> impl Iterator<Item = Self> {
        iter::successors(Some(self), |entry| {
            // SAFETY: null, or the next entry, which the loader links in when it is complete.
            unsafe { entry.next.as_ref() }.copied()
        })
    }
}

fn first() -> Option<*const Entry> {
    // SAFETY: reads the auxiliary vector.
    let address = unsafe { libc::getauxval(AT_PHDR) } as usize;
    // SAFETY: as above.
    let count = unsafe { libc::getauxval(AT_PHNUM) } as usize;
    if address == 0 {
        return None;
    }
    let headers = ptr::with_exposed_provenance::<Elf64_Phdr>(address);
    // SAFETY: the kernel's word for where the program's headers are mapped.
    let headers = unsafe { slice::from_raw_parts(headers, count) };
    let of = |kind| headers.iter().find(|header| header.p_type == kind);
    let base = address.wrapping_sub(of(PT_PHDR)?.p_vaddr as usize);
    let mut at = base.wrapping_add(of(PT_DYNAMIC)?.p_vaddr as usize);
    loop {
        // SAFETY: the dynamic section of the program is mapped up to its DT_NULL.
        let [tag, value] = unsafe { tables::read::<[u64; 2]>(at) };
        match tag {
            0 => return None,
            DT_DEBUG => {
                let debug = ptr::with_exposed_provenance::<Debug>(value as usize);
                // SAFETY: null, or what the loader keeps for debuggers.
                let first = unsafe { debug.as_ref() }?.first;
                return (!first.is_null()).then_some(first);
            }
            _ => at = at.wrapping_add(16),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf;

    fn program() -> Entry {
        let inside = first as *const () as usize;
        let dynamic = elf::containing(inside, |object| object.dynamic()).flatten();
        find(dynamic.expect("the test is a dynamic program")).expect("a program is in the list")
    }

    #[test]
    fn finds_behind_the_program_what_the_loader_finds() {
        for name in [const { Name::new("execve") }, Name::new("posix_spawn"), Name::new("malloc")] {
            let inside = first as *const () as usize;
            let found = program().next(&name);
            assert!(found.is_some(), "{name:?}");
            assert_eq!(found, elf::find_after(inside, &name), "{name:?}");
        }
    }

    #[test]
    fn goes_no_further_than_to_libc() {
        // The loader itself exports it, and comes behind libc.
        const BEHIND: Name = Name::new("__tls_get_addr");
        assert!(elf::find_after(first as *const () as usize, &BEHIND).is_some());
        assert_eq!(program().next(&BEHIND), None);
    }

    #[test]
    fn knows_the_program_and_no_others_address() {
        assert_eq!(program().path(), c"");
        assert!(find(16).is_none());
    }
}
