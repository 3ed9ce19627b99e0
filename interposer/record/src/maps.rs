//! `/proc/self/maps`, line by line, in a fixed buffer.

use crate::sys;

/// One mapping of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'b> {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// Whether its bytes can be executed.
    pub executable: bool,
    /// Offset of `start` in the file.
    pub offset: u64,
    /// Device number as `stat` gives it.
    pub device: u64,
    /// Inode; never 0 here.
    pub inode: u64,
    /// Path of the file, perhaps with ` (deleted)` behind it.
    pub path: &'b [u8],
}

/// Longest line: 73 bytes of numbers and a path.
const LONGEST: usize = 73 + 4096;

/// Calls `see` for every mapping of a file until it returns `false`.
pub fn each(see: impl FnMut(&Line<'_>) -> bool) {
    if let Some(file) = sys::open(c"/proc/self/maps", libc::O_RDONLY) {
        scan(|buffer| file.read(buffer), see);
    }
}

/// Takes what `read` gives apart into lines; it may end in the middle of one.
fn scan(mut read: impl FnMut(&mut [u8]) -> Option<usize>, mut see: impl FnMut(&Line<'_>) -> bool) {
    let mut buffer = [0; LONGEST];
    let mut filled = 0_usize;
    loop {
        match buffer.get_mut(filled..).and_then(&mut read) {
            None | Some(0) => return,
            Some(more) => filled = filled.saturating_add(more),
        }
        let mut done = 0_usize;
        let mut lines = buffer.get(..filled).unwrap_or_default();
        while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = lines.split_at_checked(end).unwrap_or_default();
            if parse(line).is_some_and(|line| !see(&line)) {
                return;
            }
            lines = rest.get(1..).unwrap_or_default();
            done = done.saturating_add(end).saturating_add(1);
        }
        if done == 0 && filled == LONGEST {
            return;
        }
        buffer.copy_within(done..filled, 0);
        filled = filled.saturating_sub(done);
    }
}

/// `start-end perms offset major:minor inode   path`; `None` if no file is mapped.
fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut rest = line;
    let mut field = || {
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let (field, after) = rest.split_at_checked(end)?;
        rest = after.get(1..)?;
        core::str::from_utf8(field).ok()
    };
    let (start, end) = field()?.split_once('-')?;
    let permissions = field()?;
    let offset = field()?;
    let (major, minor) = field()?.split_once(':')?;
    let inode = field()?.parse().ok().filter(|inode| *inode != 0)?;
    let hex = |digits| u64::from_str_radix(digits, 16).ok();
    let number = |digits| u32::from_str_radix(digits, 16).ok();
    Some(Line {
        start: hex(start)?,
        end: hex(end)?,
        executable: permissions.as_bytes().get(2) == Some(&b'x'),
        offset: hex(offset)?,
        device: libc::makedev(number(major)?, number(minor)?),
        inode,
        path: rest.trim_ascii_start(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let text = b"7f10-7f20 r-xp 00001000 fe:01 1234                  /usr/lib/a b.so (deleted)";
        assert_eq!(
            parse(text),
            Some(Line {
                start: 0x7f10,
                end: 0x7f20,
                executable: true,
                offset: 0x1000,
                device: libc::makedev(0xfe, 1),
                inode: 1234,
                path: b"/usr/lib/a b.so (deleted)",
            })
        );
        assert_eq!(parse(b"7f10-7f20 rw-p 00000000 00:00 0                  [heap]"), None);
        assert_eq!(parse(b"7f10-7f20 rw-p 00000000 00:00 0 "), None);
    }

    #[test]
    fn lines_are_put_together_from_any_pieces() {
        let text = b"10-20 r-xp 00000000 00:01 5 /a\n20-30 rw-p 00000000 00:00 0 \n30-40 r--p 00000010 00:01 6 /b\n";
        for piece in 1..text.len() {
            let (mut rest, mut seen) = (&text[..], vec![]);
            let read = |buffer: &mut [u8]| {
                let length = piece.min(rest.len()).min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                rest = &rest[length..];
                Some(length)
            };
            scan(read, |line| {
                seen.push((line.start, line.executable, line.inode, line.path.to_vec()));
                true
            });
            let wanted = [(0x10, true, 5, b"/a".to_vec()), (0x30, false, 6, b"/b".to_vec())];
            assert_eq!(seen, wanted, "in pieces of {piece}");
        }
    }

    #[test]
    fn every_mapping_of_a_file_is_seen() {
        let mut seen = Vec::new();
        each(|line| {
            seen.push((line.start, line.end));
            true
        });
        let text = std::fs::read_to_string("/proc/self/maps").unwrap();
        for line in text.lines().filter(|line| line.contains("/libc.so")) {
            let (start, rest) = line.split_once('-').unwrap();
            let (end, _) = rest.split_once(' ').unwrap();
            let hex = |digits| u64::from_str_radix(digits, 16).unwrap();
            assert!(seen.contains(&(hex(start), hex(end))), "{line}");
        }
        assert!(seen.len() > 5);
    }
}
