//! The folder of rings: found or made, and refused unless it is private to the user.

use core::{ffi::CStr, fmt, sync::atomic::AtomicU64};
use wire::{control, folder::Off};

use super::mapping;
use crate::{
    name::Name,
    sys::{self, Fd},
};

/// The open folder.
pub struct Folder {
    fd: Fd,
}

/// `/dev/shm/memtrace-UID`.
struct Default(u32);

impl fmt::Display for Default {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/dev/shm/memtrace-{}", self.0)
    }
}

impl Folder {
    /// Opens `$MEMTRACE_DIR`, else the user's default folder, making it if it is not there. `None`
    /// if that is impossible, or if others could read or change what is in it.
    pub fn open() -> Option<Self> {
        // SAFETY: the call has no effect on memory and cannot fail.
        let user = unsafe { libc::geteuid() };
        // SAFETY: the name ends with NUL.
        let chosen = unsafe { libc::getenv(c"MEMTRACE_DIR".as_ptr()) };
        if chosen.is_null() {
            Self::at(Name::<64>::of(&Default(user))?.as_c_str(), user)
        } else {
            // SAFETY: `getenv` returned a string that ends with NUL.
            Self::at(unsafe { CStr::from_ptr(chosen) }, user)
        }
    }

    fn at(path: &CStr, user: u32) -> Option<Self> {
        // A relative path would mean another folder after each `chdir`.
        if path.to_bytes().first() != Some(&b'/') {
            return None;
        }
        sys::make_folder(path);
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let fd = sys::open(path, flags)?;
        let status = fd.status()?;
        (status.owner == user && status.mode & 0o077 == 0).then_some(Self { fd })
    }

    /// The folder itself.
    pub const fn fd(&self) -> &Fd {
        &self.fd
    }

    /// Leaves word of a process that cannot record.
    pub fn leave(&self, off: &Off) {
        if let Some(name) = Name::<128>::of(off) {
            self.fd.open_in(name.as_c_str(), libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL);
        }
    }

    /// The control page; all zero, which means "record everything", if it cannot be had.
    pub fn control(&self) -> &'static [AtomicU64] {
        static EVERYTHING: [AtomicU64; 1] = [const { AtomicU64::new(0) }];
        self.map_control().unwrap_or(&EVERYTHING)
    }

    fn map_control(&self) -> Option<&'static [AtomicU64]> {
        let name = Name::<16>::of(&control::FILE)?;
        let file = self.fd.open_in(name.as_c_str(), libc::O_RDWR | libc::O_CREAT)?;
        // Changes nothing where the page is there already; without it a read could fault.
        file.reserve(control::BYTES).then_some(())?;
        mapping::map(&file, control::BYTES, libc::PROT_READ)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{ffi::CString, fs, os::unix::fs::PermissionsExt, path::Path};

    fn c(path: &Path) -> CString {
        CString::new(path.to_str().unwrap()).unwrap()
    }

    #[test]
    fn only_a_folder_private_to_the_user_is_taken() {
        // SAFETY: the call has no effect on memory and cannot fail.
        let user = unsafe { libc::geteuid() };
        let base = std::env::temp_dir().join(format!("memtrace-folder-{}", std::process::id()));
        let private = base.join("private");
        fs::create_dir(&base).unwrap();
        assert!(Folder::at(&c(&private), user).is_some());
        assert!(Folder::at(&c(&private), user + 1).is_none(), "another owner");
        assert!(Folder::at(c"relative", user).is_none());
        std::os::unix::fs::symlink(&private, base.join("link")).unwrap();
        assert!(Folder::at(&c(&base.join("link")), user).is_none(), "a link");
        fs::set_permissions(&private, fs::Permissions::from_mode(0o710)).unwrap();
        assert!(Folder::at(&c(&private), user).is_none(), "open to the group");
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn a_process_that_cannot_record_leaves_word() {
        // SAFETY: the call has no effect on memory and cannot fail.
        let user = unsafe { libc::geteuid() };
        let base = std::env::temp_dir().join(format!("memtrace-off-{}", std::process::id()));
        let folder = Folder::at(&c(&base), user).unwrap();
        let off =
            Off { instance: [1, 2], pid: 3, start_ticks: u64::MAX, pid_namespace: 5, reason: 6 };
        folder.leave(&off);
        let names = fs::read_dir(&base).unwrap().map(|file| file.unwrap().file_name());
        let parsed = names.map(|name| Off::parse(name.to_str().unwrap()));
        assert_eq!(parsed.collect::<Vec<_>>(), [Some(off)]);
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn a_control_page_is_made_and_kept() {
        // SAFETY: the call has no effect on memory and cannot fail.
        let user = unsafe { libc::geteuid() };
        let base = std::env::temp_dir().join(format!("memtrace-control-{}", std::process::id()));
        let folder = Folder::at(&c(&base), user).unwrap();
        assert_eq!(folder.control().len(), control::BYTES / 8);
        let mut page = vec![0; control::BYTES];
        page[0] = 2;
        fs::write(base.join(control::FILE), page).unwrap();
        assert_eq!(folder.control()[0].load(std::sync::atomic::Ordering::Relaxed), 2);
        fs::remove_dir_all(&base).unwrap();
    }
}
