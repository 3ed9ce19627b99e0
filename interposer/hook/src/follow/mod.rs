//! Following: a program that is started without the library gets it back.
//!
//! A launcher that sets `LD_PRELOAD` to something else, as some do for another library, loses ours
//! in all that it starts. So the environment that goes with an `exec` is looked at, and where its
//! list of libraries is another one, ours is put behind it.
//!
//! What runs here may run between `vfork` and `exec`, on the stack and in the memory of the parent,
//! or in a signal handler: it takes no lock, allocates nothing and leaves nothing behind. The list
//! it makes lies on the stack for the length of the call.

mod edit;
mod environment;

use core::{
    ffi::{CStr, c_char},
    mem::MaybeUninit,
};

use crate::guard::Errno;
use edit::Edit;
use environment::Environment;

/// Calls `exec` with the environment that a program shall be started with: the very list `given`,
/// or where the library at `library` has to be put back one that says so. `own` is the environment
/// of this process.
///
/// A list that would take more than 16 KiB, some 1,900 variables, is left as it is: the thread may
/// have little stack.
///
/// # Safety
/// Both lists are null or valid, as `exec` wants them.
pub unsafe fn with<R>(
    given: *const *const c_char,
    own: *const *const c_char,
    library: &CStr,
    exec: impl FnOnce(*const *const c_char) -> R,
) -> R {
    // SAFETY: the caller's promise.
    match unsafe { edit(given, own, library) } {
        None => exec(given),
        Some(edit) => match edit.words() {
            0..=128 => in_room::<128, R>(&edit, given, exec),
            129..=512 => in_room::<512, R>(&edit, given, exec),
            513..=2048 => in_room::<2048, R>(&edit, given, exec),
            _ => exec(given),
        },
    }
}

/// # Safety
/// As for [`with`]; the lists stay for `'a`.
unsafe fn edit<'a>(
    given: *const *const c_char,
    own: *const *const c_char,
    library: &'a CStr,
) -> Option<Edit<'a>> {
    // SAFETY: the caller's promise.
    let given = unsafe { Environment::read(given) }?;
    // SAFETY: as above.
    let own = || unsafe { Environment::read(own) };
    Edit::of(given, own, library).filter(|_| is_readable(library))
}

/// A function of its own, so that its frame is as large as the list needs and no larger.
#[inline(never)]
fn in_room<const WORDS: usize, R>(
    edit: &Edit<'_>,
    given: *const *const c_char,
    exec: impl FnOnce(*const *const c_char) -> R,
) -> R {
    let mut room = [const { MaybeUninit::uninit() }; WORDS];
    exec(edit.write(&mut room).unwrap_or(given))
}

/// The loader of a program that cannot find a library says so on the program's standard error.
fn is_readable(library: &CStr) -> bool {
    let _errno = Errno::keep();
    // SAFETY: a C string.
    unsafe { libc::access(library.as_ptr(), libc::R_OK) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{ffi::CString, ptr};

    fn library() -> CString {
        CString::new(std::env::current_exe().unwrap().to_str().unwrap()).unwrap()
    }

    /// What `LD_PRELOAD` of a child with `variables` more entries becomes, and whether the list is
    /// the very one given.
    fn started(library: &CStr, variables: usize) -> (String, bool) {
        let mut given = vec![c"A=1".as_ptr(); variables];
        given.extend([c"LD_PRELOAD=/a.so".as_ptr(), ptr::null()]);
        let look = |list: *const *const c_char| {
            // SAFETY: the given list, or the changed one.
            let read = unsafe { Environment::read(list) }.unwrap();
            let preload = read.value("LD_PRELOAD").unwrap();
            assert_eq!(read.entries().len(), variables + 1);
            (String::from_utf8(preload.to_vec()).unwrap(), ptr::eq(list, given.as_ptr()))
        };
        // SAFETY: a list of C strings with a null pointer at its end, and none.
        unsafe { with(given.as_ptr(), ptr::null(), library, look) }
    }

    #[test]
    fn the_list_is_made_for_environments_of_every_length_but_endless_ones() {
        let want = format!("/a.so:{}", library().to_str().unwrap());
        for variables in [0, 50, 120, 400, 1900] {
            assert_eq!(started(&library(), variables), (want.clone(), false), "{variables}");
        }
        for variables in [2047, 4090] {
            assert_eq!(started(&library(), variables), ("/a.so".to_owned(), true), "{variables}");
        }
    }

    #[test]
    fn a_library_that_the_child_would_not_find_is_not_put_back_and_errno_stays() {
        // SAFETY: always succeeds.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: this thread's `errno`.
        unsafe { *errno = 7 };
        assert_eq!(started(c"/nonexistent/libmemtrace.so", 0), ("/a.so".to_owned(), true));
        // SAFETY: as above.
        assert_eq!(unsafe { *errno }, 7);
    }

    #[test]
    fn nothing_to_be_done_leaves_the_very_list() {
        // SAFETY: null is no list.
        assert!(unsafe { with(ptr::null(), ptr::null(), &library(), |list| list.is_null()) });
    }
}
