//! Finding ring files.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use wire::folder::{Off, RING_SUFFIX, RUN_PREFIX};

use crate::{ledger::Instance, sys};

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

impl Found {
    /// The process image whose ring it is, by its name.
    #[must_use]
    pub fn instance(&self) -> Option<Instance> {
        let stem = self.path.file_name()?.to_str()?.strip_suffix(RING_SUFFIX)?;
        let (a, b) = stem.split_at_checked(16)?;
        Some(Instance([u64::from_str_radix(a, 16).ok()?, u64::from_str_radix(b, 16).ok()?]))
    }
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
    let mut found = files(folder, true)?;
    found.retain(|file| file.path.file_name().and_then(OsStr::to_str).is_some_and(is_ring_name));
    Ok(found)
}

/// What processes left that could not record, in `folder` and in the jobs' folders inside it, with
/// their files.
///
/// # Errors
/// As of [`rings`].
pub fn offs(folder: &Path) -> io::Result<Vec<(Off, Found)>> {
    let off = |file: Found| Some((Off::parse(file.path.file_name()?.to_str()?)?, file));
    Ok(files(folder, true)?.into_iter().filter_map(off).collect())
}

/// The user's plain files in a folder, by path.
fn files(folder: &Path, jobs: bool) -> io::Result<Vec<Found>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Not following links. An entry that vanished meanwhile is not there.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.uid() != sys::user() {
            continue;
        }
        let path = entry.path();
        if metadata.is_file() {
            found.push(Found { path, size: metadata.len(), modified: metadata.mtime() });
        } else if jobs && metadata.is_dir() && is_job_name(&entry.file_name()) {
            // A job that ends takes its folder away: what cannot be listed is not there.
            found.extend(files(&path, false).unwrap_or_default());
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn is_job_name(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(RUN_PREFIX))
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
    fn what_could_not_record_is_found_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let job = folder.path().join("run-abc");
        fs::create_dir(&job).unwrap();
        let off = Off { instance: [1, 2], pid: 7, start_ticks: 8, pid_namespace: 9, reason: 3 };
        fs::write(job.join(off.to_string()), "").unwrap();
        fs::write(job.join("x.off"), "").unwrap();
        let found: Vec<Off> = offs(folder.path()).unwrap().into_iter().map(|f| f.0).collect();
        assert_eq!(found, [off]);
    }

    #[test]
    fn a_folder_that_does_not_exist_holds_no_ring() {
        assert!(rings(Path::new("/nonexistent/memtrace")).unwrap().is_empty());
    }
}
