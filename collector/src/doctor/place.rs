//! Where the processes record, and how much room there is.

use std::{
    ffi::{CStr, OsStr},
    fs::File,
    io::{
        ErrorKind::{QuotaExceeded, StorageFull},
        Read,
    },
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use wire::{
    control_group,
    header::Reason,
    layout::{FULL, PROFILES},
    room::{self, MANY, TOO_MANY},
};

use super::Check;
use crate::{
    present::text::bytes,
    session::job_folder::JobFolder,
    source::{refusal, rings},
    sys,
};

/// What helps against a file system that is too small.
const MORE_ROOM: &str = "give the container more (docker run --shm-size=1g), or point MEMTRACE_DIR at \
                         a larger tmpfs";

/// The folder of the user's rings, and one in it for the trial.
#[derive(Debug)]
pub struct Place {
    base: PathBuf,
    made: Result<JobFolder, Flaw>,
}

/// Why there is none.
#[derive(Debug)]
struct Flaw {
    sentence: String,
    /// Whether it is for want of room, and not of rights.
    is_full: bool,
}

impl Place {
    /// Makes both, as a job would.
    pub fn look(base: &Path) -> Self {
        let made = match refusal(base) {
            Some(refusal) => {
                let sentence = format!("{} {refusal}", base.display());
                Err(Flaw { sentence, is_full: false })
            }
            None => JobFolder::make(base).map_err(|error| Flaw {
                sentence: JobFolder::not_made(base, &error),
                is_full: matches!(error.kind(), StorageFull | QuotaExceeded),
            }),
        };
        Self { base: base.to_owned(), made }
    }

    /// The folder for the trial; it goes away with this value, or with [`JobFolder::discard`].
    pub fn folder(&self) -> Option<&JobFolder> {
        self.made.as_ref().ok()
    }

    /// What is to be said of it.
    pub fn checks(&self) -> Vec<Check> {
        if let Err(Flaw { sentence, is_full }) = &self.made {
            let advice = if *is_full {
                format!(
                    "there is no room: remove rings of processes that have ended ({}/*.ring) or \
                     other files there; or {MORE_ROOM}",
                    self.base.display()
                )
            } else {
                "MEMTRACE_DIR names a folder of your own, mode 700, by its absolute path, on a tmpfs"
                    .to_owned()
            };
            return vec![Check::fails("folder", sentence, advice)];
        }
        vec![self.kind(), room(&self.base)]
    }

    fn kind(&self) -> Check {
        let base = self.base.display();
        if sys::is_in_memory(&self.base).unwrap_or(true) {
            return Check::ok("folder", format!("{base}, in memory, private to you"));
        }
        Check::warning(
            "folder",
            format!(
                "{base} is not in memory: what processes record goes to a disk or over a network"
            ),
            "MEMTRACE_DIR names a folder on a tmpfs, such as /dev/shm/memtrace",
        )
    }
}

fn room(base: &Path) -> Check {
    let free = sys::free_bytes(base).unwrap_or(u64::MAX);
    let group = control_group::free(read).unwrap_or(u64::MAX);
    let there = rings(base).unwrap_or_default().iter().map(|ring| ring.size).sum();
    judge(&base.display().to_string(), free, group, there)
}

/// Says what ledger a process gets, of these bytes: free on the file system, left by the control
/// group, and in rings already.
fn judge(base: &str, free: u64, group: u64, rings: u64) -> Check {
    const NAME: &str = "room";
    let limit = if group < free {
        format!("{} left by the control group's limit", bytes(group))
    } else {
        format!("{} free", bytes(free))
    };
    let profile = room::profile(free, group, rings);
    let size = |number: usize| PROFILES.get(number).map_or(0, |layout| layout.bytes() as u64);
    let says = match profile {
        Ok(0) => {
            return Check::ok(
                NAME,
                format!("{limit}; each process that uses CUDA takes {}", bytes(size(0))),
            );
        }
        Ok(small) => format!(
            "{}: processes keep less history and fewer stacks, {} instead of {}",
            if rings > MANY {
                format!("{} of rings are there already", bytes(rings))
            } else {
                limit
            },
            bytes(size(small)),
            bytes(FULL.bytes() as u64),
        ),
        Err(Reason::TooManyRings) => format!(
            "{} of rings are there already: over {} no process records",
            bytes(rings),
            bytes(TOO_MANY)
        ),
        Err(_) => format!("{limit}: no process records"),
    };
    let advice = match profile {
        _ if rings > MANY => format!("remove rings of processes that have ended: {base}/*.ring"),
        _ if group < free => "raise the container's or the job's memory limit".to_owned(),
        _ => MORE_ROOM.to_owned(),
    };
    if profile.is_ok() {
        Check::warning(NAME, says, advice)
    } else {
        Check::fails(NAME, says, advice)
    }
}

/// Fills `buffer` from the file at `path`.
fn read(path: &CStr, buffer: &mut [u8]) -> Option<usize> {
    let mut file = File::open(OsStr::from_bytes(path.to_bytes())).ok()?;
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest).ok()? {
            0 => break,
            read => filled += read,
        }
    }
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Mark;

    const MIB: u64 = 1 << 20;

    #[test]
    fn docker_s_64_mb_give_small_ledgers_and_say_how_to_get_more() {
        let check = judge("/x", 64 * MIB, u64::MAX, 0);
        assert_eq!(check.mark, Mark::Warning);
        assert!(check.says.starts_with("64.0 MiB free: "), "{check:?}");
        assert!(check.says.ends_with(" MiB instead of 21.1 MiB"), "{check:?}");
        assert!(check.advice.unwrap().contains("--shm-size"));
        assert_eq!(judge("/x", 1 << 30, u64::MAX, 0).mark, Mark::Ok);
        assert_eq!(judge("/x", MIB, u64::MAX, 0).mark, Mark::Fails);
    }

    #[test]
    fn a_near_limit_of_the_control_group_is_named() {
        let check = judge("/x", 1 << 30, 4 * MIB, 0);
        assert!(check.mark == Mark::Fails && check.says.contains("control group"), "{check:?}");
        assert!(check.advice.unwrap().contains("memory limit"));
        assert_eq!(judge("/x", 1 << 30, 40 * MIB, 0).mark, Mark::Warning);
    }

    #[test]
    fn rings_of_the_past_are_in_the_way() {
        let check = judge("/x", 1 << 40, u64::MAX, TOO_MANY + 1);
        assert!(check.mark == Mark::Fails && check.advice.unwrap().contains("/x/*.ring"));
        let check = judge("/x", 1 << 40, u64::MAX, MANY + 1);
        assert!(check.mark == Mark::Warning && check.says.contains("rings"), "{check:?}");
    }

    #[test]
    fn a_folder_open_to_others_has_no_room_to_speak_of() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().unwrap();
        std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let place = Place::look(base.path());
        assert!(place.folder().is_none());
        let checks = place.checks();
        assert_eq!((checks.len(), checks[0].mark), (1, Mark::Fails));
        assert!(checks[0].says.contains("open to other users"), "{checks:?}");
        assert!(checks[0].advice.as_ref().unwrap().contains("mode 700"), "{checks:?}");
    }

    #[test]
    fn a_folder_without_room_wants_room_and_not_another_mode() {
        let made = Err(Flaw { sentence: "no space left".into(), is_full: true });
        let checks = Place { base: "/x".into(), made }.checks();
        let advice = checks[0].advice.as_ref().unwrap();
        assert!(advice.contains("/x/*.ring") && advice.contains("--shm-size"), "{advice}");
        assert!(!advice.contains("mode"), "{advice}");
    }
}
