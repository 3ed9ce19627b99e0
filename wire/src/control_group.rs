//! What the process's control group leaves: memory of tmpfs files is charged to the group, and
//! past its limit the kernel kills.
//!
//! Both sides ask: the recorder before it takes room, the collector to tell what it will find. How a
//! file is read is left to them.

use core::ffi::CStr;

/// Longest path of a group's file that is looked at.
const PATH: usize = 1280;

/// One of the two forms that control groups have.
struct Hierarchy {
    root: &'static [u8],
    /// Whether a line of `/proc/self/cgroup` is about this hierarchy.
    is_named: fn(&[u8]) -> bool,
    limit: &'static CStr,
    used: &'static CStr,
    /// Fields of `memory.stat`: the page cache, which the kernel drops before it kills. A job that
    /// read its model from disk has all its group's memory in there.
    cache: [&'static [u8]; 2],
}

const HIERARCHIES: [Hierarchy; 2] = [
    Hierarchy {
        root: b"/sys/fs/cgroup",
        is_named: |names| names.is_empty(),
        limit: c"/memory.max",
        used: c"/memory.current",
        cache: [b"inactive_file ", b"active_file "],
    },
    Hierarchy {
        root: b"/sys/fs/cgroup/memory",
        is_named: |names| names.split(|byte| *byte == b',').any(|name| name == b"memory"),
        limit: c"/memory.limit_in_bytes",
        used: c"/memory.usage_in_bytes",
        cache: [b"total_inactive_file ", b"total_active_file "],
    },
];

/// Bytes that the process's group and the groups above it leave; `None` without a limit. `read`
/// fills a buffer from a file and says with how many bytes; `None` if there is no such file.
pub fn free(mut read: impl FnMut(&CStr, &mut [u8]) -> Option<usize>) -> Option<u64> {
    let mut buffer = [0; 2048];
    let length = read(c"/proc/self/cgroup", &mut buffer)?;
    let lines = buffer.get(..length)?;
    let free = |kind: &Hierarchy| kind.free(kind.root, kind.group(lines)?, &mut read);
    HIERARCHIES.iter().filter_map(free).min()
}

/// How a file is read: see [`free`].
type Read<'r> = &'r mut dyn FnMut(&CStr, &mut [u8]) -> Option<usize>;

impl Hierarchy {
    /// The group's path in a text of lines `number:names:path`.
    fn group<'l>(&self, lines: &'l [u8]) -> Option<&'l [u8]> {
        lines.split(|byte| *byte == b'\n').find_map(|line| {
            let mut parts = line.splitn(3, |byte| *byte == b':');
            let _number = parts.next()?;
            (self.is_named)(parts.next()?).then_some(parts.next()?)
        })
    }

    /// The least of what `group` and those above it leave, up to the root. In a container the path
    /// may be the host's, and only the root be there: it is then the container's own group.
    fn free(&self, root: &[u8], group: &[u8], file: Read<'_>) -> Option<u64> {
        let mut path = [0; PATH];
        let mut end = root.len().checked_add(group.len())?;
        path.get_mut(..root.len())?.copy_from_slice(root);
        path.get_mut(root.len()..end)?.copy_from_slice(group);
        let mut least = None;
        while end >= root.len() {
            if let Some(free) = self.free_in(&mut path, end, file) {
                least = Some(least.unwrap_or(u64::MAX).min(free));
            }
            let slash =
                path.get(..end).and_then(|path| path.iter().rposition(|byte| *byte == b'/'));
            match slash {
                Some(slash) => end = slash,
                None => break,
            }
        }
        least
    }

    /// What the one group leaves whose path is the first `end` bytes.
    fn free_in(&self, path: &mut [u8; PATH], end: usize, file: Read<'_>) -> Option<u64> {
        let mut buffer = [0; 4096];
        let limit = number(read(path, end, self.limit, &mut buffer, file)?)?;
        let used = number(read(path, end, self.used, &mut buffer, file)?)?;
        let stat = read(path, end, c"/memory.stat", &mut buffer, file).unwrap_or_default();
        let cache = self.cache.iter().filter_map(|name| {
            number(stat.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(*name))?)
        });
        Some(limit.saturating_sub(used.saturating_sub(cache.fold(0, u64::saturating_add))))
    }
}

/// Reads the file `name` of the group whose path is the first `end` bytes.
fn read<'b>(
    path: &mut [u8],
    end: usize,
    name: &CStr,
    buffer: &'b mut [u8],
    file: Read<'_>,
) -> Option<&'b [u8]> {
    let name = name.to_bytes_with_nul();
    path.get_mut(end..end.checked_add(name.len())?)?.copy_from_slice(name);
    let length = file(CStr::from_bytes_until_nul(path).ok()?, buffer)?;
    buffer.get(..length)
}

/// A decimal number; `None` for `max`, which is no limit.
fn number(text: &[u8]) -> Option<u64> {
    core::str::from_utf8(text).ok()?.trim_ascii().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, fs, io::Read as _, vec::Vec};

    fn from_disk(path: &CStr, buffer: &mut [u8]) -> Option<usize> {
        let mut text = Vec::new();
        fs::File::open(path.to_str().ok()?).ok()?.read_to_end(&mut text).ok()?;
        buffer.get_mut(..text.len())?.copy_from_slice(&text);
        Some(text.len())
    }

    #[test]
    fn groups_are_found_in_both_forms() {
        let lines = b"4:cpu,memory:/job/a\n2:cpuset:/\n0::/user.slice\n";
        let [new, old] = &HIERARCHIES;
        assert_eq!(new.group(lines), Some(&b"/user.slice"[..]));
        assert_eq!(old.group(lines), Some(&b"/job/a"[..]));
        assert_eq!(old.group(b"0::/user.slice\n"), None);
    }

    #[test]
    fn the_tightest_group_counts_and_the_page_cache_does_not() {
        let root = std::env::temp_dir().join(format!("memtrace-group-{}", std::process::id()));
        let [new, _] = &HIERARCHIES;
        let base = root.to_str().unwrap_or_default().as_bytes();
        let free = || new.free(base, b"/job/a", &mut from_disk);
        let put = |group: &str, limit: &str, used: &str, stat: &str| {
            let folder = root.join(group);
            assert!(fs::create_dir_all(&folder).is_ok());
            let files = [("memory.max", limit), ("memory.current", used), ("memory.stat", stat)];
            for (name, text) in files {
                assert!(fs::write(folder.join(name), text).is_ok());
            }
        };
        put("", "max\n", "900\n", "");
        assert_eq!(free(), None);
        put("job", "1000\n", "900\n", "anon 1\ninactive_file 300\nactive_file 50\n");
        assert_eq!(free(), Some(450));
        put("job/a", "max\n", "900\n", "");
        assert_eq!(free(), Some(450));
        put("job/a", "500\n", "200\n", "anon 1\n");
        assert_eq!(free(), Some(300));
        assert!(fs::remove_dir_all(root).is_ok());
    }
}
