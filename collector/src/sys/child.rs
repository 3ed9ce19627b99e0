//! Children: our own, and those of others that fell to us as their reaper.

use std::{io, mem::MaybeUninit};

use crate::ledger::End;

/// A child that has ended and is not reaped yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its pid, which stays its own until it is reaped.
    pub pid: u32,
    /// How it ended.
    pub end: End,
}

/// Makes this process the reaper of its descendants: those whose parent dies become its children.
///
/// # Errors
/// The kernel refused.
pub fn become_reaper() -> io::Result<()> {
    // SAFETY: takes integers and touches no memory of ours.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A child that has ended, left unreaped so that `/proc` still knows it. With `block` it waits for
/// one; `None` if there is none (any more).
#[must_use]
pub fn ended(block: bool) -> Option<Ended> {
    let flags = libc::WEXITED | libc::WNOWAIT | if block { 0 } else { libc::WNOHANG };
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: `info` is as large as the call expects.
        let result = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) };
        if result != 0 {
            if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return None;
        }
        // SAFETY: it was zeroed, which is a valid value, and the call filled it.
        let info = unsafe { info.assume_init() };
        // SAFETY: `waitid` gives a record about a child, or leaves it zero.
        let pid = unsafe { info.si_pid() };
        // SAFETY: as above.
        let status = unsafe { info.si_status() };
        let end = match info.si_code {
            libc::CLD_EXITED => End::Exited(Some(status)),
            _ => End::Killed(status),
        };
        return u32::try_from(pid).ok().filter(|pid| *pid != 0).map(|pid| Ended { pid, end });
    }
}

/// Reaps a child that has ended.
pub fn reap(pid: u32) {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG;
    // SAFETY: `info` is as large as the call expects.
    unsafe { libc::waitid(libc::P_PID, pid, info.as_mut_ptr(), flags) };
}
