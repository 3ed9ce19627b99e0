//! What memory is called in every process that shares it: [`wire::identity`] of what travels.

use core::{ffi::c_void, mem::MaybeUninit};

use wire::identity::{HANDLE_WORDS, identity};

use crate::abi::{FABRIC, FILE_DESCRIPTOR, IpcHandle};

/// No identity.
const NONE: u64 = 0;

/// The identity of 64 bytes that travel as they are; none without any.
///
/// # Safety
/// `handle` is null or points to 64 bytes.
#[must_use]
pub unsafe fn of_handle(handle: *const IpcHandle) -> u64 {
    if handle.is_null() {
        return NONE;
    }
    // SAFETY: the caller's promise.
    let handle = unsafe { handle.read_unaligned() };
    let mut words = [0; HANDLE_WORDS];
    for (word, bytes) in words.iter_mut().zip(handle.bytes().as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    identity(&words)
}

/// The identity of the handle that an export of this `kind` wrote to `out`.
///
/// # Safety
/// `out` is null or holds a handle of this kind.
#[must_use]
pub unsafe fn of_exported(kind: u32, out: *const c_void) -> u64 {
    match kind {
        _ if out.is_null() => NONE,
        // SAFETY: the caller's promise.
        FILE_DESCRIPTOR => of_descriptor(unsafe { out.cast::<i32>().read_unaligned() }),
        // SAFETY: the caller's promise.
        FABRIC => unsafe { of_handle(out.cast()) },
        _ => NONE,
    }
}

/// The identity of a handle that was imported: a descriptor comes in the pointer's place.
///
/// # Safety
/// `shared` is what the program passed as a handle of this kind.
#[must_use]
pub unsafe fn of_importable(kind: u32, shared: u64) -> u64 {
    match kind {
        FILE_DESCRIPTOR => i32::try_from(shared).map_or(NONE, of_descriptor),
        // SAFETY: the caller's promise.
        FABRIC => unsafe { of_handle(shared as *const IpcHandle) },
        _ => NONE,
    }
}

/// The identity of an open file, which keeps its number of no process: device, inode and position, all
/// of which go with it. Of anything but a regular file none, since all files of one device node share
/// device and inode.
#[must_use]
pub fn of_descriptor(fd: i32) -> u64 {
    let mut about = MaybeUninit::<libc::stat>::zeroed();
    // As a system call: libc's `fstat` is a symbol of glibc 2.33. SAFETY: `about` is as large as the
    // call expects.
    let result = unsafe { libc::syscall(libc::SYS_fstat, fd, about.as_mut_ptr()) };
    // SAFETY: zeroes are a valid value, and so is what the call wrote.
    let about = unsafe { about.assume_init() };
    if result != 0 || about.st_mode & libc::S_IFMT != libc::S_IFREG {
        return NONE;
    }
    // SAFETY: asks only, and moves nothing.
    let position = unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
    identity(&[about.st_dev, about.st_ino, position.max(0).cast_unsigned()])
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Seek, SeekFrom},
        os::fd::AsRawFd,
        ptr,
    };

    use super::*;

    #[test]
    fn a_handle_is_told_by_its_bytes() {
        let of = |byte: u8| {
            let handle = IpcHandle::new([byte; 64]);
            // SAFETY: a handle of our own.
            unsafe { of_handle(&raw const handle) }
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        // SAFETY: null is allowed.
        assert_eq!(unsafe { of_exported(FILE_DESCRIPTOR, ptr::null()) }, NONE);
    }

    #[test]
    fn an_open_file_is_the_same_under_each_number_and_another_where_it_was_opened_anew_elsewhere() {
        let path = std::env::current_exe().unwrap();
        let mut file = File::open(&path).unwrap();
        file.seek(SeekFrom::Start(4096)).unwrap();
        let copy = file.try_clone().unwrap();
        let fd = file.as_raw_fd();
        // SAFETY: the number of an open file.
        let exported = unsafe { of_exported(FILE_DESCRIPTOR, (&raw const fd).cast()) };
        assert_ne!(exported, NONE);
        // SAFETY: as above.
        let imported = unsafe { of_importable(FILE_DESCRIPTOR, copy.as_raw_fd() as u64) };
        assert_eq!(imported, exported);
        assert_ne!(of_descriptor(File::open(&path).unwrap().as_raw_fd()), exported);
    }

    #[test]
    fn a_device_node_and_what_is_not_open_have_no_identity() {
        assert_eq!(of_descriptor(File::open("/dev/null").unwrap().as_raw_fd()), NONE);
        assert_eq!(of_descriptor(-1), NONE);
        // SAFETY: no such kind is read.
        assert_eq!(unsafe { of_importable(2, 7) }, NONE);
    }
}
