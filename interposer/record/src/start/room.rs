//! How much room this process may take, so that tracing never takes what the job needs.

use core::ffi::CStr;
use wire::{
    control_group,
    folder::{RING_SUFFIX, RUN_PREFIX},
    header::Reason,
    room,
};

use super::folder::Folder;
use crate::sys::{self, Fd};

/// Number of the largest profile there is room for, or why there is none.
pub fn profile(folder: &Folder) -> Result<usize, Reason> {
    let read = |path: &CStr, buffer: &mut [u8]| sys::read_file(path, buffer).map(<[u8]>::len);
    room::profile(
        free_on_file_system(folder.fd()),
        control_group::free(read).unwrap_or(u64::MAX),
        occupied(folder.fd(), true),
    )
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
