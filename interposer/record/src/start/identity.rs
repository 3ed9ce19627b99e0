//! Who this process is.

use core::ffi::CStr;

use crate::{clock, sys};

/// What tells this process image from all others.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Random name.
    pub instance: [u64; 2],
    /// Process id as the process sees it.
    pub pid: u64,
    /// Start time in clock ticks since boot, 0 if it cannot be read.
    pub start_ticks: u64,
    /// Inode of the pid namespace, 0 if it cannot be read.
    pub pid_namespace: u64,
}

impl Identity {
    /// The identity of the calling process.
    pub fn read() -> Self {
        // SAFETY: the call has no effect on memory and cannot fail.
        let pid = unsafe { libc::getpid() } as u64;
        let mut buffer = [0; 1024];
        let stat = sys::read_file(c"/proc/self/stat", &mut buffer);
        Self {
            instance: instance(pid),
            pid,
            start_ticks: stat.and_then(start_ticks).unwrap_or(0),
            pid_namespace: inode(c"/proc/self/ns/pid").unwrap_or(0),
        }
    }
}

/// A random 128-bit name; before the kernel has randomness to give, one made of time and pid.
fn instance(pid: u64) -> [u64; 2] {
    let mut halves = [[0; 8]; 2];
    if sys::random(halves.as_flattened_mut()) {
        halves.map(u64::from_le_bytes)
    } else {
        [wire::mix(clock::realtime()), wire::mix(clock::monotonic() ^ pid << 40)]
    }
}

/// Field 22. The second field is the program's name in brackets and may hold anything, so the
/// count begins after the last bracket.
fn start_ticks(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let field = stat.get(end..)?.split(|byte| *byte == b' ').nth(20)?;
    core::str::from_utf8(field).ok()?.parse().ok()
}

fn inode(path: &CStr) -> Option<u64> {
    Some(sys::open(path, libc::O_RDONLY)?.status()?.inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_program_name() {
        let stat = b"7 (a) 1 (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert_eq!(start_ticks(stat), Some(4242));
        assert_eq!(start_ticks(b"7 (a"), None);
    }

    #[test]
    fn two_readings_differ_in_the_instance_only() {
        let (a, b) = (Identity::read(), Identity::read());
        assert_ne!(a.instance, b.instance);
        assert_eq!((a.pid, a.start_ticks), (u64::from(std::process::id()), b.start_ticks));
        assert!(a.start_ticks > 0 && a.pid_namespace > 0);
    }
}
