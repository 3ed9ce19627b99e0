//! File descriptors that carry something to another process: what they stand for is written in
//! them, because nothing else of the sender's travels along.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

use crate::error::{Code, Outcome};

/// The only type of handle that there is here, in the driver's numbers.
pub const FILE_DESCRIPTOR: i32 = 1;

/// A file of some words, the first of which says what kind of thing it stands for.
pub fn carrying(words: &[u64]) -> Outcome<File> {
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"vgpu-handle".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(Code::OPERATING_SYSTEM);
    }
    // SAFETY: just opened, and nobody else's.
    let file = unsafe { File::from_raw_fd(fd) };
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    file.write_all_at(&bytes, 0).map_err(|_| Code::OPERATING_SYSTEM)?;
    Ok(file)
}

/// The words that `carrying` wrote, if the first of them is `magic`.
pub fn carried<const N: usize>(file: &File, magic: u64) -> io::Result<[u64; N]> {
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, index as u64 * 8)?;
        *word = u64::from_ne_bytes(bytes);
    }
    if words.first() == Some(&magic) { Ok(words) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The caller's descriptor, which stays the caller's, as a file of our own.
pub fn copied(fd: i32) -> Outcome<File> {
    // SAFETY: fcntl checks the descriptor itself.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(Code::INVALID_VALUE);
    }
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { File::from_raw_fd(copy) })
}
