//! Why processes do not write to a folder of rings. They can leave no word of it: the folder is
//! where they would leave it.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use crate::sys;

/// What a process finds wrong with the folder. Each reads as the second half of a sentence that
/// begins with the folder's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It would be another folder after each `chdir`.
    #[error("is not an absolute path, so no process records there")]
    Relative,
    /// A process makes the folder, but not the ones above it.
    #[error("does not exist and cannot be made, as what it lies in is no folder")]
    NoParent,
    /// A file, or a link, wherever it leads.
    #[error("is not a folder, so no process records there")]
    NotAFolder,
    /// Somebody else could change what is in it.
    #[error("belongs to another user, so your processes do not record there")]
    NotYours,
    /// Others can read or change what is in it.
    #[error("is open to other users (mode {0:o}), so no process records there")]
    Open(u32),
}

/// What keeps the user's processes from recording in `folder`, by the rules that they go by
/// themselves. A folder that does not exist yet, but can be made, keeps nobody.
#[must_use]
pub fn refusal(folder: &Path) -> Option<Refusal> {
    if !folder.is_absolute() {
        return Some(Refusal::Relative);
    }
    let metadata = match fs::symlink_metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = folder.parent().is_some_and(Path::is_dir);
            return (!parent).then_some(Refusal::NoParent);
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Some(Refusal::NoParent);
        }
        // What cannot be looked at is told of when it is listed.
        Err(_) => return None,
    };
    let mode = metadata.permissions().mode() & 0o7777;
    if !metadata.is_dir() {
        Some(Refusal::NotAFolder)
    } else if metadata.uid() != sys::user() {
        Some(Refusal::NotYours)
    } else if mode & 0o077 != 0 {
        Some(Refusal::Open(mode))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_private_folder_and_one_that_can_be_made_are_taken() {
        let base = tempfile::tempdir().unwrap();
        with_mode(base.path(), 0o700);
        assert_eq!(refusal(base.path()), None);
        assert_eq!(refusal(&base.path().join("new")), None);
    }

    #[test]
    fn what_the_recorder_refuses_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let at = |name| base.path().join(name);
        fs::create_dir(at("open")).unwrap();
        with_mode(&at("open"), 0o710);
        fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink(base.path(), at("link")).unwrap();
        assert_eq!(refusal(&at("open")), Some(Refusal::Open(0o710)));
        assert_eq!(refusal(&at("file")), Some(Refusal::NotAFolder));
        assert_eq!(refusal(&at("link")), Some(Refusal::NotAFolder));
        assert_eq!(refusal(&at("missing/rings")), Some(Refusal::NoParent));
        assert_eq!(refusal(&at("file/rings")), Some(Refusal::NoParent));
        assert_eq!(refusal(Path::new("rings")), Some(Refusal::Relative));
    }

    #[test]
    fn another_users_folder_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let path = if sys::user() == 0 {
            std::os::unix::fs::chown(base.path(), Some(1), None).unwrap();
            base.path()
        } else {
            Path::new("/")
        };
        assert_eq!(refusal(path), Some(Refusal::NotYours));
    }
}
