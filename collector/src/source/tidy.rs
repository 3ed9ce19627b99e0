//! Housekeeping: rings of dead processes do not stay for ever. A memory debugger must not leak
//! memory.

use std::{
    collections::HashSet,
    fs::{self, Metadata},
    io,
    path::Path,
    time::UNIX_EPOCH,
};

use wire::{
    control,
    folder::RUN_PREFIX,
    header,
    layout::SLOT_WORDS,
    outside,
    ring::{Read, judge},
};

use super::{Damage, Found, RingFile, offs, rings, unrecorded};
use crate::{
    process::{end::Watch, proc_fs},
    sys,
};

/// How long a dead process's ring stays, ns: a day, to be looked at.
const KEPT_FOR: u64 = 24 * 3_600 * SECOND;
/// How many rings of dead processes stay: 32 of the full profile are 676 MiB.
const KEPT: usize = 32;
/// How long the ring of a process stays that would not be seen from here if it ran, ns: a week
/// without a call of CUDA's.
const KEPT_UNSEEN_FOR: u64 = 7 * KEPT_FOR;
const SECOND: u64 = 1_000_000_000;

/// Removes rings of dead processes that are older than a day or beyond 32, oldest first, and what
/// else dead processes left in `folder`. A sentence about it, if anything was removed. The rings of
/// the container beside ours, whose processes may live, stay longer.
///
/// # Errors
/// The folder cannot be listed.
pub fn tidy(folder: &Path) -> io::Result<Option<String>> {
    tidy_where(folder, proc_fs::sees)
}

/// The same where only processes of the pid namespaces that `sees` knows would be seen.
fn tidy_where(folder: &Path, sees: impl Fn(u64) -> bool) -> io::Result<Option<String>> {
    let now = sys::realtime();
    let old = |seen: u64| now.saturating_sub(seen) > KEPT_FOR;
    let mut dead: Vec<(u64, Found)> = Vec::new();
    let mut unseen: Vec<Found> = Vec::new();
    for found in rings(folder)? {
        match last_seen_dead(&found) {
            Some((seen, namespace)) if sees(namespace) => dead.push((seen, found)),
            Some((seen, _)) if now.saturating_sub(seen) > KEPT_UNSEEN_FOR => unseen.push(found),
            _ => {}
        }
    }
    dead.sort_by_key(|(seen, found)| (std::cmp::Reverse(*seen), found.path.clone()));
    let gone = dead.iter().enumerate().filter(|(i, (seen, _))| *i >= KEPT || old(*seen));
    let gone: Vec<&Found> = gone.map(|(_, (_, found))| found).chain(&unseen).collect();
    let removed: Vec<&&Found> =
        gone.iter().filter(|found| fs::remove_file(&found.path).is_ok()).collect();
    for (off, found) in offs(folder)? {
        let dead = !Watch::new(&unrecorded(&off).0).is_alive();
        if dead && sees(off.pid_namespace) && old(modified(&found)) {
            let _ = fs::remove_file(&found.path);
        }
    }
    remove_empty(folder, old)?;
    let bytes: u64 = removed.iter().map(|found| found.size).sum();
    Ok((!removed.is_empty()).then(|| {
        format!(
            "{} rings of dead processes ({} MiB) were removed: older than 24 h, or beyond {KEPT}",
            removed.len(),
            bytes >> 20,
        )
    }))
}

/// When a sign of a dead process was seen last, ns of `CLOCK_REALTIME`, and its pid namespace, where
/// it is known; `None` if it lives.
fn last_seen_dead(found: &Found) -> Option<(u64, u64)> {
    let modified = modified(found);
    let ring = match RingFile::open(&found.path) {
        Ok(ring) => ring,
        // Nobody writes a file of another version or of random bytes that we could ask for; one
        // that was not finished for a day never will be.
        Err(Damage::NoPermission | Damage::Unreadable(_)) => return None,
        Err(_) => return Some((modified, 0)),
    };
    let identity = ring.identity().ok()?;
    if Watch::new(&identity).is_alive() {
        return None;
    }
    let exited = ring.health().ok()?.exited;
    let last = last_event(&ring).unwrap_or(0).max(exited);
    let last = if last == 0 { 0 } else { identity.realtime(last) };
    Some((last.max(identity.started_realtime).max(modified), identity.pid_namespace))
}

/// Time of the newest record, ns of `CLOCK_MONOTONIC`.
fn last_event(ring: &RingFile) -> Option<u64> {
    let position = ring.header_word(header::HEAD).ok()?.checked_sub(1)?;
    let slot = (position % ring.layout().slots as u64) as usize;
    let words: [u64; SLOT_WORDS] = ring.element(ring.at().ring + slot * SLOT_WORDS).ok()?;
    match judge(&words, position, ring.salt()) {
        Read::Record(record) => Some(record.time),
        _ => None,
    }
}

/// Marks and folders of jobs that nobody uses any more.
fn remove_empty(folder: &Path, old: impl Fn(u64) -> bool) -> io::Result<()> {
    let is_old = |file: &Metadata| {
        let since = file.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        since.is_some_and(|since| old(since.as_nanos() as u64))
    };
    let used: HashSet<_> = rings(folder)?
        .into_iter()
        .chain(offs(folder)?.into_iter().map(|(_, found)| found))
        .filter_map(|found| found.path.parent().map(Path::to_owned))
        .collect();
    let marks = folder.join(outside::FILE);
    if !used.contains(folder) && fs::symlink_metadata(&marks).is_ok_and(|file| is_old(&file)) {
        // They are about processes of which nothing else is left.
        let _ = fs::remove_file(marks);
    }
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries.flatten() {
        let job = entry.file_name().to_str().is_some_and(|name| name.starts_with(RUN_PREFIX));
        if job && !used.contains(&entry.path()) && entry.metadata().is_ok_and(|m| is_old(&m)) {
            remove_rest(&entry.path());
        }
    }
    Ok(())
}

/// What the collector puts into a folder of rings.
pub const COLLECTORS: [&str; 3] = [control::FILE, outside::FILE, outside::DRAFT];

/// Removes a job's folder in which nothing else is left.
pub fn remove_rest(job: &Path) {
    for file in COLLECTORS {
        let _ = fs::remove_file(job.join(file));
    }
    let _ = fs::remove_dir(job);
}

fn modified(found: &Found) -> u64 {
    u64::try_from(found.modified).unwrap_or(0).saturating_mul(SECOND)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        path::PathBuf,
        time::{Duration, SystemTime},
    };

    use wire::record::{Class, Verb};

    use super::*;
    use crate::source::fake::{FakeRing, record};

    /// A ring whose last sign of life is `hours` old.
    fn ring(folder: &Path, instance: u64, hours: u64) -> PathBuf {
        let fake = FakeRing::new([instance, 0]);
        let then = sys::realtime() - hours * 3_600 * SECOND;
        fake.set(header::STARTED_REALTIME, then - 7);
        fake.set(header::STARTED_MONOTONIC, 1);
        let mut record = record(Verb::Alloc, Class::Block, 1, 1, 0);
        record.time = 8;
        fake.producer().publish(&record);
        let path = fake.save(folder);
        let long_ago = SystemTime::now() - Duration::from_secs(1_000 * 3_600);
        File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        path
    }

    #[test]
    fn a_day_old_ring_of_a_dead_process_goes_and_a_younger_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (old, young) = (ring(folder.path(), 1, 25), ring(folder.path(), 2, 23));
        let text = tidy(folder.path()).unwrap().unwrap();
        assert!(!old.exists() && young.exists());
        assert!(text.starts_with("1 rings"), "{text}");
        assert_eq!(tidy(folder.path()).unwrap(), None);
    }

    #[test]
    fn rings_of_a_container_beside_ours_stay_a_week_whatever_their_number() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> =
            (0..40).map(|i| ring(folder.path(), i + 1, if i < 2 { 169 } else { 167 })).collect();
        let text = tidy_where(folder.path(), |_| false).unwrap().unwrap();
        assert!(text.starts_with("2 rings"), "{text}");
        assert!(paths[..2].iter().all(|path| !path.exists()));
        assert!(paths[2..].iter().all(|path| path.exists()));
    }

    #[test]
    fn beyond_32_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> =
            (0..35).map(|i| ring(folder.path(), i + 1, if i < 3 { 20 } else { 2 })).collect();
        tidy(folder.path()).unwrap().unwrap();
        assert!(paths[..3].iter().all(|path| !path.exists()));
        assert!(paths[3..].iter().all(|path| path.exists()));
    }

    #[test]
    fn day_old_marks_go_with_the_last_ring_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let marks = [folder.path().join(outside::FILE), folder.path().join("run-1/marks")];
        fs::create_dir(folder.path().join("run-1")).unwrap();
        let age = |path: &Path, hours: u64| {
            let then = SystemTime::now() - Duration::from_secs(hours * 3_600);
            File::open(path).unwrap().set_modified(then).unwrap();
        };
        marks.iter().for_each(|path| fs::write(path, "").unwrap());
        let ring = ring(folder.path(), 1, 2);
        marks.iter().for_each(|path| age(path, 25));
        age(&folder.path().join("run-1"), 25);
        tidy(folder.path()).unwrap();
        assert!(marks[0].exists() && !marks[1].exists());
        assert!(!folder.path().join("run-1").exists());
        fs::remove_file(ring).unwrap();
        age(&marks[0], 23);
        tidy(folder.path()).unwrap();
        assert!(marks[0].exists());
        age(&marks[0], 25);
        tidy(folder.path()).unwrap();
        assert!(!marks[0].exists());
    }

    #[test]
    fn the_ring_of_a_living_process_stays_however_old() {
        let folder = tempfile::tempdir().unwrap();
        let fake = FakeRing::new([1, 0]);
        let me = std::process::id();
        fake.set(header::PID, me.into());
        fake.set(header::START_TICKS, proc_fs::stat(me).unwrap().start_ticks);
        fake.set(header::PID_NAMESPACE, proc_fs::own_namespace());
        fake.set(header::STARTED_REALTIME, 1);
        let path = fake.save(folder.path());
        let long_ago = SystemTime::now() - Duration::from_secs(1_000 * 3_600);
        File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(tidy(folder.path()).unwrap(), None);
        assert!(path.exists());
    }
}
