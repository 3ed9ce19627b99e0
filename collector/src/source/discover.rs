//! Finding ring files.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use wire::folder::{RING_SUFFIX, RUN_PREFIX};

use crate::sys;

/// A file with the name of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// When it was last written to through a file descriptor, seconds since 1970; stores through
    /// the mapping need not show.
    pub modified: i64,
}

/// The folder of the user's rings: `$MEMTRACE_DIR`, else `/dev/shm/memtrace-UID`.
#[must_use]
pub fn user_folder() -> PathBuf {
    match std::env::var_os("MEMTRACE_DIR") {
        Some(folder) if !folder.is_empty() => folder.into(),
        _ => format!("/dev/shm/memtrace-{}", sys::user()).into(),
    }
}

/// The rings in `folder` and in the jobs' folders inside it, by path. Files of other users and
/// links are passed over: whoever may write to the folder may not choose what we read.
///
/// # Errors
/// The folder cannot be listed. A folder that does not exist holds no ring and is no error.
pub fn rings(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    list(folder, &mut found, true)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn list(folder: &Path, found: &mut Vec<Found>, jobs: bool) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        // Not following links. An entry that vanished meanwhile is not there.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.uid() != sys::user() {
            continue;
        }
        if metadata.is_file() && is_ring_name(name) {
            found.push(Found {
                path: entry.path(),
                size: metadata.len(),
                modified: metadata.mtime(),
            });
        } else if jobs && metadata.is_dir() && name.starts_with(RUN_PREFIX) {
            // A job that ends takes its folder away: what cannot be listed is not there.
            let _ = list(&entry.path(), found, false);
        }
    }
    Ok(())
}

fn is_ring_name(name: &str) -> bool {
    name.strip_suffix(RING_SUFFIX)
        .is_some_and(|stem| stem.len() == 32 && stem.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fake::FakeRing;

    #[test]
    fn rings_of_the_folder_and_of_its_jobs_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let job = folder.path().join("run-abc");
        let other = folder.path().join("other");
        for sub in [&job, &other] {
            fs::create_dir(sub).unwrap();
        }
        let a = FakeRing::new([1, 0]).save(folder.path());
        let b = FakeRing::new([2, 0]).save(&job);
        FakeRing::new([3, 0]).save(&other);
        fs::write(folder.path().join("control"), [0; 4096]).unwrap();
        fs::write(folder.path().join("zz.ring"), [0; 10]).unwrap();
        std::os::unix::fs::symlink(&a, folder.path().join(format!("{:032x}.ring", 9))).unwrap();
        let found: Vec<_> = rings(folder.path()).unwrap().into_iter().map(|f| f.path).collect();
        assert_eq!(found, [a, b]);
    }

    #[test]
    fn a_folder_that_does_not_exist_holds_no_ring() {
        assert!(rings(Path::new("/nonexistent/memtrace")).unwrap().is_empty());
    }
}
