//! What `/proc` says. Everything here may be gone the moment after it was read.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt};

use crate::{
    ledger::{Identity, clean},
    sys,
};

/// The fields of `/proc/PID/stat` that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// State letter.
    pub state: char,
    /// Parent.
    pub parent: u32,
    /// Start time, clock ticks since boot.
    pub start_ticks: u64,
    /// Wait status, for a zombie whose status we may see; else 0.
    pub status: i32,
}

/// `/proc/PID/stat`.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    let fields = fields(pid)?;
    let field = |number: usize| fields.get(number - FIRST_FIELD).map(String::as_str);
    Some(Stat {
        state: field(3)?.chars().next()?,
        parent: field(4)?.parse().ok()?,
        start_ticks: field(22)?.parse().ok()?,
        status: field(52).and_then(|status| status.parse().ok()).unwrap_or(0),
    })
}

/// Number of the first of [`fields`], as proc(5) counts them.
const FIRST_FIELD: usize = 3;

/// The fields of `/proc/PID/stat` that follow the name.
fn fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and parentheses: what counts begins after the last one.
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// Whether the process with that pid and start time lives; a zombie does not.
#[must_use]
pub fn is_alive(pid: u32, start_ticks: u64) -> bool {
    stat(pid).is_some_and(|s| s.start_ticks == start_ticks && !matches!(s.state, 'Z' | 'X'))
}

/// The wait status of a zombie nobody has reaped yet.
#[must_use]
pub fn zombie_status(pid: u32, start_ticks: u64) -> Option<i32> {
    stat(pid).filter(|s| s.start_ticks == start_ticks && s.state == 'Z').map(|s| s.status)
}

/// Inode of our own pid namespace.
#[must_use]
pub fn own_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino())
}

/// Inode of the pid namespace that a system starts with: all processes are seen from there.
const INITIAL_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Whether a process of that pid namespace would be seen from here, if it ran: from a container one
/// sees no process of the container beside it. 0 stands for a namespace that is not known.
#[must_use]
pub fn sees(namespace: u64) -> bool {
    let own = own_namespace();
    let is_its = |pid: u32| {
        fs::metadata(format!("/proc/{pid}/ns/pid")).is_ok_and(|file| file.ino() == namespace)
    };
    [0, own].contains(&namespace) || own == INITIAL_NAMESPACE || pids().into_iter().any(is_its)
}

/// All pids there are.
#[must_use]
pub fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The pid, in our namespace, of the process that says it is `identity`, if it is there.
#[must_use]
pub fn find(identity: &Identity) -> Option<u32> {
    let same_start = |pid: u32| stat(pid).is_some_and(|s| s.start_ticks == identity.start_ticks);
    if identity.pid_namespace == own_namespace() {
        return Some(identity.pid).filter(|pid| same_start(*pid));
    }
    pids().into_iter().find(|pid| same_start(*pid) && innermost_pid(*pid) == Some(identity.pid))
}

/// The pid of a process in the innermost namespace it is in.
fn innermost_pid(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

/// A number that another program in the same process does not share: where the kernel put its
/// arguments. A title overwrites them in their place, and `exec` puts new ones elsewhere. `None`
/// where the process is not ours to know that.
#[must_use]
pub fn image(pid: u32) -> Option<u64> {
    fields(pid)?.get(48 - FIRST_FIELD)?.parse().ok().filter(|address| *address != 0)
}

/// The arguments of a process, or the title it gave itself; empty for a zombie.
#[must_use]
pub fn command(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments(&bytes)
}

/// Those of a process's variables that may be recorded, as they were when it started; none where
/// they cannot be read.
#[must_use]
pub fn environment(pid: u32) -> BTreeMap<String, String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let variables = bytes.split(|byte| *byte == 0).filter_map(|variable| {
        let (name, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
        let known = wire::text::ENVIRONMENT_NAMES.contains(&name);
        known.then(|| (name.to_owned(), clean(value.as_bytes())))
    });
    variables.collect()
}

/// Arguments each ended by a NUL; a title is padded with NULs.
#[must_use]
pub fn arguments(bytes: &[u8]) -> Vec<String> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if end == 0 {
        return Vec::new();
    }
    bytes[..end].split(|byte| *byte == 0).map(clean).collect()
}

/// `CLOCK_REALTIME` of a start time in clock ticks since boot, ns, to a hundredth of a second.
#[must_use]
pub fn started_realtime(start_ticks: u64) -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    let boot: u64 = boot.unwrap_or(0);
    let since_boot = start_ticks.saturating_mul(1_000_000_000 / sys::ticks_per_second());
    boot.saturating_mul(1_000_000_000).saturating_add(since_boot)
}

/// The pids of all descendants of `root`, `root` not among them.
#[must_use]
pub fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> =
        pids().into_iter().filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_by_pid_and_by_the_pid_of_its_namespace() {
        let me = std::process::id();
        let start = stat(me).unwrap().start_ticks;
        assert!(is_alive(me, start) && !is_alive(me, start + 1));
        assert_eq!(innermost_pid(me), Some(me));
        assert!(pids().contains(&me));
    }

    #[test]
    fn a_process_of_our_own_namespace_would_be_seen() {
        assert!(sees(own_namespace()) && sees(0));
        assert_eq!(sees(1), own_namespace() == INITIAL_NAMESPACE);
    }

    #[test]
    fn a_child_is_a_descendant_and_a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        assert!(descendants(std::process::id()).contains(&child.id()));
        while stat(child.id()).unwrap().state != 'Z' {
            std::thread::yield_now();
        }
        assert!(!is_alive(child.id(), stat(child.id()).unwrap().start_ticks));
        child.wait().unwrap();
    }

    #[test]
    fn another_program_in_the_same_process_is_another_image() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read x; exec sleep 100"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        while command(pid).first().map(String::as_str) != Some("sh") {
            std::thread::yield_now();
        }
        let before = (image(pid).unwrap(), stat(pid).unwrap().start_ticks);
        assert_eq!(image(pid), Some(before.0));
        drop(child.stdin.take());
        while command(pid).first().map(String::as_str) != Some("sleep") {
            std::thread::yield_now();
        }
        assert_ne!(image(pid), Some(before.0));
        assert_eq!(stat(pid).unwrap().start_ticks, before.1);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_padded_title_is_one_argument() {
        assert_eq!(arguments(b"sglang::detokenizer\0\0\0\0"), ["sglang::detokenizer"]);
        assert_eq!(arguments(b"a\0\0b\0"), ["a", "", "b"]);
        assert!(arguments(b"").is_empty());
    }
}
