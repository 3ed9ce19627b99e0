//! System calls, made directly.
//!
//! glibc's own wrappers are not used where they are cancellation points (a cancelled thread would
//! be unwound through the recorder) or newer than glibc 2.17 (the library would not load).

use core::{
    ffi::{CStr, c_long},
    mem::MaybeUninit,
};

/// A file descriptor, closed when it goes.
#[derive(Debug)]
pub struct Fd(i32);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own.
        unsafe { libc::syscall(libc::SYS_close, self.0) };
    }
}

/// What is known of a file.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// Owner.
    pub owner: u32,
    /// Type and permissions.
    pub mode: u32,
    /// Inode.
    pub inode: u64,
    /// Bytes that the file occupies.
    pub occupied: u64,
}

fn status(raw: &libc::stat) -> Status {
    Status {
        owner: raw.st_uid,
        mode: raw.st_mode,
        inode: raw.st_ino,
        occupied: (raw.st_blocks as u64).saturating_mul(512),
    }
}

/// The result of a system call, `None` for an error.
fn ok(result: c_long) -> Option<usize> {
    usize::try_from(result).ok()
}

/// Opens a file by path.
pub fn open(path: &CStr, flags: i32) -> Option<Fd> {
    // SAFETY: the path ends with NUL; the call has no other effect on memory.
    let fd = unsafe {
        libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC, 0)
    };
    Some(Fd(i32::try_from(ok(fd)?).ok()?))
}

/// Makes a folder that only its owner may use.
pub fn make_folder(path: &CStr) -> bool {
    // SAFETY: the path ends with NUL; the call has no other effect on memory.
    let result = unsafe { libc::syscall(libc::SYS_mkdirat, libc::AT_FDCWD, path.as_ptr(), 0o700) };
    result == 0
}

impl Fd {
    /// The number, for calls this module has no function for.
    pub const fn raw(&self) -> i32 {
        self.0
    }

    /// Opens a file in this folder; if it is made, only its owner may use it.
    pub fn open_in(&self, name: &CStr, flags: i32) -> Option<Self> {
        let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW;
        // SAFETY: the name ends with NUL; the call has no other effect on memory.
        let fd = unsafe { libc::syscall(libc::SYS_openat, self.0, name.as_ptr(), flags, 0o600) };
        Some(Self(i32::try_from(ok(fd)?).ok()?))
    }

    /// Removes a file of this folder.
    pub fn remove_in(&self, name: &CStr) {
        // SAFETY: the name ends with NUL; the call has no other effect on memory.
        unsafe { libc::syscall(libc::SYS_unlinkat, self.0, name.as_ptr(), 0) };
    }

    /// Owner, permissions and size of the file itself.
    pub fn status(&self) -> Option<Status> {
        self.stat(c"", libc::AT_EMPTY_PATH)
    }

    /// The same of a file in this folder, links not followed.
    pub fn status_in(&self, name: &CStr) -> Option<Status> {
        self.stat(name, libc::AT_SYMLINK_NOFOLLOW)
    }

    fn stat(&self, name: &CStr, flags: i32) -> Option<Status> {
        let mut raw = MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: the name ends with NUL and `raw` is valid for writing.
        let result = unsafe {
            libc::syscall(libc::SYS_newfstatat, self.0, name.as_ptr(), raw.as_mut_ptr(), flags)
        };
        ok(result)?;
        // SAFETY: all bytes of `raw` are initialised; any bits are a valid `stat`.
        Some(status(unsafe { raw.assume_init_ref() }))
    }

    /// Reads into `buffer`; 0 at the end of the file.
    pub fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        // SAFETY: `buffer` is valid for writing as many bytes as are asked for.
        let result =
            unsafe { libc::syscall(libc::SYS_read, self.0, buffer.as_mut_ptr(), buffer.len()) };
        ok(result)
    }

    /// Reads entries of this folder into `buffer`, as `linux_dirent64`; 0 at the end.
    pub fn entries(&self, buffer: &mut [u8]) -> Option<usize> {
        // SAFETY: `buffer` is valid for writing as many bytes as are asked for.
        let result = unsafe {
            libc::syscall(libc::SYS_getdents64, self.0, buffer.as_mut_ptr(), buffer.len())
        };
        ok(result)
    }

    /// Reserves the first `bytes` of the file, so that writing there cannot fail later.
    pub fn reserve(&self, bytes: usize) -> bool {
        // Past the process's limit the kernel would not only refuse, but also send SIGXFSZ.
        if largest_file() < bytes as u64 {
            return false;
        }
        // SAFETY: the call has no effect on memory.
        let result = unsafe { libc::syscall(libc::SYS_fallocate, self.0, 0, 0, bytes) };
        result == 0
    }
}

/// Bytes that files of this process may have (`RLIMIT_FSIZE`).
fn largest_file() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writing.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
    if result == 0 { limit.rlim_cur } else { 0 }
}

/// Reads the beginning of a file into `buffer` and returns what was read.
pub fn read_file<'b>(path: &CStr, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let file = open(path, libc::O_RDONLY)?;
    let mut filled = 0_usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            read => filled = filled.saturating_add(read),
        }
    }
    buffer.get(..filled)
}

/// Fills `buffer` with random bytes without waiting; `false` if the kernel cannot.
pub fn random(buffer: &mut [u8]) -> bool {
    // SAFETY: `buffer` is valid for writing as many bytes as are asked for.
    let result = unsafe {
        libc::syscall(libc::SYS_getrandom, buffer.as_mut_ptr(), buffer.len(), libc::GRND_NONBLOCK)
    };
    ok(result) == Some(buffer.len())
}

/// The calling thread's kernel id.
pub fn thread_id() -> u32 {
    // SAFETY: the call has no effect on memory and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_past_the_processs_limit_is_refused_without_a_signal() {
        let folder = open(c"/dev/shm", libc::O_RDONLY | libc::O_DIRECTORY).unwrap();
        let name = c"memtrace-test-limit";
        let file = folder.open_in(name, libc::O_RDWR | libc::O_CREAT).unwrap();
        folder.remove_in(name);
        // SAFETY: the child makes system calls only.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
            // SAFETY: `limit` is valid for reading.
            unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
            let right = file.reserve(4096) && !file.reserve(4097);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!right)) };
        }
        let mut status = 0;
        // SAFETY: `status` is valid for writing.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0);
    }
}
