//! How much room this process may take, so that tracing never takes what the job needs.

use core::ffi::CStr;
use wire::{
    folder::{RING_SUFFIX, RUN_PREFIX},
    header::Reason,
    layout::PROFILES,
};

use super::{control_group, folder::Folder};
use crate::sys::Fd;

/// A file takes at most this share of what is free.
const SHARE: u64 = 4;
/// With more than this in rings already, a process takes the small profile.
const MANY: u64 = 1 << 30;
/// With more than this, none.
const TOO_MANY: u64 = 2 << 30;

/// Number of the largest profile there is room for, or why there is none.
pub fn profile(folder: &Folder) -> Result<usize, Reason> {
    choose(
        free_on_file_system(folder.fd()),
        control_group::free().unwrap_or(u64::MAX),
        occupied(folder.fd(), true),
    )
}

fn choose(file_system: u64, control_group: u64, rings: u64) -> Result<usize, Reason> {
    if rings > TOO_MANY {
        return Err(Reason::TooManyRings);
    }
    let first = usize::from(rings > MANY);
    let fits = |free: u64| {
        PROFILES
            .iter()
            .enumerate()
            .skip(first)
            .find(|(_, layout)| layout.bytes() as u64 <= free / SHARE)
            .map(|(number, _)| number)
    };
    let by_file_system = fits(file_system).ok_or(Reason::NoRoom)?;
    let by_control_group = fits(control_group).ok_or(Reason::NoMemory)?;
    Ok(by_file_system.max(by_control_group))
}

fn free_on_file_system(folder: &Fd) -> u64 {
    // SAFETY: all-zero bytes are a valid `statvfs`.
    let mut room: libc::statvfs = unsafe { core::mem::zeroed() };
    // SAFETY: `room` is valid for writing.
    if unsafe { libc::fstatvfs(folder.raw(), &raw mut room) } != 0 {
        return 0;
    }
    room.f_bavail.saturating_mul(room.f_frsize)
}

/// Bytes of rings in the folder, and for the user's folder also in the jobs' subfolders.
fn occupied(folder: &Fd, with_subfolders: bool) -> u64 {
    // Offsets in `linux_dirent64`: length of the entry 16, name 19.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    // A descriptor of its own, so that reading the entries starts at the first.
    let Some(list) = folder.open_in(c".", libc::O_RDONLY | libc::O_DIRECTORY) else { return 0 };
    let mut sum = 0_u64;
    let mut buffer = [0; 2048];
    while let Some(filled) = list.entries(&mut buffer).filter(|filled| *filled > 0) {
        let mut rest = buffer.get(..filled).unwrap_or_default();
        while let Some([low, high]) = rest.get(LENGTH..).and_then(|at| at.first_chunk().copied()) {
            let length = usize::from(u16::from_le_bytes([low, high]));
            let Some((entry, after)) = rest.split_at_checked(length) else { break };
            rest = after;
            let Some(name) =
                entry.get(NAME..).and_then(|name| CStr::from_bytes_until_nul(name).ok())
            else {
                break;
            };
            if name.to_bytes().ends_with(RING_SUFFIX.as_bytes()) {
                sum = sum.saturating_add(folder.status_in(name).map_or(0, |file| file.occupied));
            } else if with_subfolders && name.to_bytes().starts_with(RUN_PREFIX.as_bytes()) {
                let below = folder.open_in(name, libc::O_RDONLY | libc::O_DIRECTORY);
                sum = sum.saturating_add(below.map_or(0, |below| occupied(&below, false)));
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;
    use wire::layout::{FULL, SMALL};

    #[test]
    fn a_quarter_of_what_is_free_decides() {
        let (full, small) = (FULL.bytes() as u64 * SHARE, SMALL.bytes() as u64 * SHARE);
        assert_eq!(choose(full, u64::MAX, 0), Ok(0));
        assert_eq!(choose(full - 1, u64::MAX, 0), Ok(1));
        assert_eq!(choose(small - 1, u64::MAX, 0), Err(Reason::NoRoom));
        assert_eq!(choose(u64::MAX, full - 1, 0), Ok(1));
        assert_eq!(choose(u64::MAX, small - 1, 0), Err(Reason::NoMemory));
    }

    #[test]
    fn rings_already_there_count() {
        assert_eq!(choose(u64::MAX, u64::MAX, MANY), Ok(0));
        assert_eq!(choose(u64::MAX, u64::MAX, MANY + 1), Ok(1));
        assert_eq!(choose(u64::MAX, u64::MAX, TOO_MANY + 1), Err(Reason::TooManyRings));
    }

    #[test]
    fn rings_in_the_jobs_subfolders_are_counted_too() {
        let base = std::env::temp_dir().join(format!("memtrace-room-{}", std::process::id()));
        std::fs::create_dir_all(base.join("run-1")).unwrap();
        for name in ["a.ring", "b.other", "run-1/c.ring"] {
            std::fs::write(base.join(name), vec![1; 8192]).unwrap();
        }
        let path = std::ffi::CString::new(base.to_str().unwrap()).unwrap();
        let folder = sys::open(&path, libc::O_RDONLY | libc::O_DIRECTORY).unwrap();
        assert_eq!(occupied(&folder, true), 16384);
        assert_eq!(occupied(&folder, false), 8192);
        std::fs::remove_dir_all(&base).unwrap();
    }
}
