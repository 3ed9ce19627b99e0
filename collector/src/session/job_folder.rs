//! The folder of a job's rings.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use wire::{control, folder::RUN_PREFIX};

use crate::{
    source::{COLLECTORS, remove_rest},
    sys,
};

/// The other user who may own the folder of rings: it may be `/dev/shm` itself.
const ROOT: u32 = 0;

/// A folder of its own for the rings of one job, private to the user. Goes away with this value,
/// unless rings are left in it.
#[derive(Debug)]
pub struct JobFolder {
    path: PathBuf,
}

impl JobFolder {
    /// Makes the folder in `base`, the folder of all the user's rings, and the control page in it.
    ///
    /// # Errors
    /// One sentence.
    pub fn create(base: &Path) -> Result<Self, String> {
        Self::make(base).map_err(|error| Self::not_made(base, &error))
    }

    /// That there is none in `base`, in one sentence.
    pub(crate) fn not_made(base: &Path, error: &io::Error) -> String {
        format!("no folder for rings can be made in {}: {error}", base.display())
    }

    /// As [`Self::create`].
    pub(crate) fn make(base: &Path) -> io::Result<Self> {
        // A relative path would mean another folder after each `chdir` of the job.
        let base = std::path::absolute(base)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&base)?;
        let owner = fs::metadata(&base)?.uid();
        if owner != sys::user() && owner != ROOT {
            return Err(io::Error::other("it belongs to another user"));
        }
        let path = base.join(format!("{RUN_PREFIX}{:016x}", random()?));
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Self { path };
        folder.write_control()?;
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes all that is in it, rings too.
    pub fn discard(&self) {
        let _ = fs::remove_dir_all(&self.path);
    }

    fn write_control(&self) -> io::Result<()> {
        let path = self.path.join(control::FILE);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        io::Write::write_all(&mut file, &[0; control::BYTES])
    }
}

impl Drop for JobFolder {
    fn drop(&mut self) {
        let is_ours = |name: OsString| COLLECTORS.iter().any(|file| name == *file);
        let only_ours = fs::read_dir(&self.path)
            .is_ok_and(|mut all| all.all(|e| e.is_ok_and(|e| is_ours(e.file_name()))));
        // A ring that is left belongs to a process that still runs, or could not be stored.
        if only_ours {
            remove_rest(&self.path);
        }
    }
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use wire::outside;

    #[test]
    fn it_is_private_and_goes_away_unless_a_ring_is_left() {
        let base = tempfile::tempdir().unwrap();
        let (one, two) =
            (JobFolder::create(base.path()).unwrap(), JobFolder::create(base.path()).unwrap());
        let (a, b) = (one.path().to_owned(), two.path().to_owned());
        assert_ne!(a, b);
        assert_eq!(fs::metadata(&a).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(a.join("control")).unwrap().len(), 4096);
        fs::write(a.join(outside::FILE), "").unwrap();
        fs::write(b.join("x.ring"), "").unwrap();
        drop((one, two));
        assert!(!a.exists() && b.exists());
    }

    #[test]
    fn what_was_only_tried_leaves_nothing() {
        let base = tempfile::tempdir().unwrap();
        let folder = JobFolder::create(base.path()).unwrap();
        fs::write(folder.path().join("x.ring"), "").unwrap();
        folder.discard();
        assert!(!folder.path().exists());
    }

    #[test]
    fn a_base_that_cannot_be_made_is_a_sentence() {
        let text = JobFolder::create(Path::new("/proc/nothing")).unwrap_err();
        assert!(text.contains("/proc/nothing"), "{text}");
    }
}
