//! A list of environment variables, read where it lies.

use core::{
    ffi::{CStr, c_char},
    slice,
};

/// Longer lists are not read: they would not be written anew either.
const MOST: usize = 4096;

/// Variables as `exec` takes them: C strings, the list ended by a null pointer.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    entries: &'a [*const c_char],
}

impl<'a> Environment<'a> {
    /// The list at `list`, null for an empty one. `None` if it has more than 4096 entries.
    ///
    /// # Safety
    /// The list and its strings are valid and do not change for `'a`.
    #[must_use]
    pub unsafe fn read(list: *const *const c_char) -> Option<Self> {
        if list.is_null() {
            return Some(Self { entries: &[] });
        }
        let mut length = 0;
        let mut at = list;
        // SAFETY: every entry up to the null pointer is part of the list.
        while !unsafe { at.read() }.is_null() {
            // SAFETY: at most one past the end, as the null pointer was not met yet.
            at = unsafe { at.add(1) };
            length += 1;
            if length > MOST {
                return None;
            }
        }
        // SAFETY: as many entries as were just read.
        Some(Self { entries: unsafe { slice::from_raw_parts(list, length) } })
    }

    /// The entries themselves.
    #[must_use]
    pub const fn entries(&self) -> &'a [*const c_char] {
        self.entries
    }

    /// The first entry of this name, the one that `getenv` finds.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<*const c_char> {
        self.entries.iter().copied().find(|entry| value(*entry, name).is_some())
    }

    /// What that entry says.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.entries.iter().find_map(|entry| value(*entry, name))
    }

    /// Place and value of the last entry of this name, the one that the loader goes by.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<(usize, &'a [u8])> {
        let place = self.entries.iter().rposition(|entry| value(*entry, name).is_some())?;
        Some((place, value(*self.entries.get(place)?, name)?))
    }
}

/// What an entry says if it is of this name. Only strings that an `Environment` holds come here.
fn value<'a>(entry: *const c_char, name: &str) -> Option<&'a [u8]> {
    // SAFETY: a string of an environment, valid as long as that.
    let entry = unsafe { CStr::from_ptr(entry) }.to_bytes();
    entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn an_entry_is_found_by_its_whole_name() {
        let list = [c"AB=1".as_ptr(), c"A".as_ptr(), c"A=2".as_ptr(), c"A=3".as_ptr(), ptr::null()];
        // SAFETY: a list of C strings with a null pointer at its end.
        let environment = unsafe { Environment::read(list.as_ptr()) }.unwrap();
        assert_eq!(environment.value("A"), Some(&b"2"[..]));
        assert_eq!(environment.entry("A"), Some(list[2]));
        assert_eq!(environment.last("A"), Some((3, &b"3"[..])));
        assert_eq!((environment.value("B"), environment.last("")), (None, None));
    }

    #[test]
    fn no_list_is_an_empty_one_and_an_endless_one_is_none() {
        // SAFETY: null is no list.
        assert!(unsafe { Environment::read(ptr::null()) }.unwrap().entries().is_empty());
        let long = vec![c"A=1".as_ptr(); MOST + 1];
        // SAFETY: longer than what is read of it.
        assert!(unsafe { Environment::read(long.as_ptr()) }.is_none());
    }
}
