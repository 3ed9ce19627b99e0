//! The system calls that `std` does not offer. The only unsafe code of the collector.
#![allow(unsafe_code)]

pub mod child;
pub mod cuda;
pub mod signal;

use std::{
    ffi::CString,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::ledger::End;

/// The effective user id.
#[must_use]
pub fn user() -> u32 {
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// Clock ticks of `/proc` in a second.
#[must_use]
pub fn ticks_per_second() -> u64 {
    // SAFETY: has no preconditions.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
}

/// `CLOCK_REALTIME`, ns.
#[must_use]
pub fn realtime() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// `CLOCK_MONOTONIC`, ns: the clock of the traced processes.
#[must_use]
pub fn monotonic() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `now` is as large as the call expects.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr()) };
    if result != 0 {
        return 0;
    }
    // SAFETY: the call succeeded, so it filled all of it.
    let now = unsafe { now.assume_init() };
    now.tv_sec
        .cast_unsigned()
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec.cast_unsigned())
}

/// Bytes a user may still write on the file system of `path`.
///
/// # Errors
/// The path cannot be looked at.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut room = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a NUL and `room` is as large as the call expects.
    let result = unsafe { libc::statvfs(path.as_ptr(), room.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it filled all of it.
    let room = unsafe { room.assume_init() };
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

/// Whether the file system of `path` keeps its files in memory.
///
/// # Errors
/// The path cannot be looked at.
pub fn is_in_memory(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut about = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path ends with a NUL and `about` is as large as the call expects.
    let result = unsafe { libc::statfs(path.as_ptr(), about.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it filled all of it.
    let about = unsafe { about.assume_init() };
    Ok([TMPFS, RAMFS].contains(&about.f_type))
}

const TMPFS: libc::__fsword_t = 0x0102_1994;
const RAMFS: libc::__fsword_t = 0x8584_58f6;

/// Whether the file at `path` gives a program rights that its user has not.
#[must_use]
pub fn has_capabilities(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let name = c"security.capability".as_ptr();
    // SAFETY: both strings end with a NUL; with a size of 0 nothing is written.
    unsafe { libc::getxattr(path.as_ptr(), name, std::ptr::null_mut(), 0) > 0 }
}

/// The effective group id.
#[must_use]
pub fn group() -> u32 {
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::getegid() }
}

/// A descriptor of the process `pid`; `None` if it is gone or the kernel has none to give.
#[must_use]
pub fn pidfd_open(pid: u32) -> Option<OwnedFd> {
    // SAFETY: takes two integers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: a descriptor that the kernel has just given to nobody but us.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `struct pidfd_info` of the kernel as it first was; a longer one is filled as far as this.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    /// pid, tgid, ppid, and eight user and group ids.
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// `_IOWR(0xff, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::c_ulong = 0xc000_ff0b | (size_of::<PidfdInfo>() as libc::c_ulong) << 16;
const _: () = assert!(size_of::<PidfdInfo>() == 64);

/// The wait status of a process that was reaped, from the descriptor that was opened while it
/// lived; `None` before that, and on kernels before 6.15.
#[must_use]
pub fn pidfd_exit_status(pidfd: &OwnedFd) -> Option<i32> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    let info_at: *mut PidfdInfo = &mut info;
    // SAFETY: `info` is as long as the request says and lives across the call.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, info_at) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

/// What a wait status says.
#[must_use]
pub fn end_of_status(status: i32) -> End {
    if libc::WIFSIGNALED(status) {
        End::Killed(libc::WTERMSIG(status))
    } else {
        End::Exited(Some(libc::WEXITSTATUS(status)))
    }
}
