//! Reads a log of calls back: the independent truth for tests.

use std::io;
use std::path::Path;

/// One call of the driver that touched memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Position among the process's calls, from 0, without gaps.
    pub seq: u64,
    /// Unsuffixed name, as in `cuMemAlloc`; or one of the log's own words, see the README.
    pub name: String,
    /// `CLOCK_MONOTONIC` in ns when the call was done.
    pub time_ns: u64,
    /// Kernel's number of the calling thread.
    pub tid: u64,
    /// The driver's status: 0 is success.
    pub result: i32,
    args: Vec<(String, u64)>,
}

impl Call {
    /// Value of an argument, none where the line has no such key.
    pub fn arg(&self, key: &str) -> Option<u64> {
        self.args.iter().find(|(name, _)| name == key).map(|&(_, value)| value)
    }
}

/// Reads all complete lines of a log; of a process that was killed within a call, that call's
/// line may be missing.
///
/// # Errors
/// Those of the file system, and `InvalidData` naming the line that is not of the format.
pub fn read_log(path: &Path) -> io::Result<Vec<Call>> {
    parse(&std::fs::read(path)?).map_err(|line| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {line}", path.display()))
    })
}

fn parse(bytes: &[u8]) -> Result<Vec<Call>, String> {
    // The file is grown ahead of use: from the first zero on there is nothing yet.
    let written = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let complete = bytes[..written].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let text = String::from_utf8_lossy(&bytes[..complete]);
    text.lines().map(|line| parse_line(line).ok_or_else(|| format!("no call: {line:?}"))).collect()
}

fn parse_line(line: &str) -> Option<Call> {
    let mut words = line.split(' ');
    let mut call = Call {
        seq: words.next()?.parse().ok()?,
        name: words.next()?.to_owned(),
        time_ns: 0,
        tid: 0,
        result: -1,
        args: Vec::new(),
    };
    for word in words {
        let (key, value) = word.split_once('=')?;
        match key {
            "result" => call.result = value.parse().ok()?,
            "t" => call.time_ns = value.parse().ok()?,
            "tid" => call.tid = value.parse().ok()?,
            _ => call.args.push((key.to_owned(), parse_number(value)?)),
        }
    }
    (call.result >= 0).then_some(call)
}

fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_write::{CallLog, dec, hex};

    fn scratch(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("vgpu-log-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn what_was_recorded_is_read_back() {
        let folder = scratch("back");
        let mut log = CallLog::create(&folder).expect("create");
        log.record("cuMemAlloc", &[hex("dptr", 0x7f00_0000), dec("size", 512)], 0);
        log.record("cuMemFree", &[hex("dptr", 1)], 1);
        let path = folder.join(format!("calls.{}.log", std::process::id()));
        for dropped in [false, true] {
            let calls = read_log(&path).expect("read");
            assert_eq!(calls.len(), 2, "log dropped: {dropped}");
            assert_eq!(calls[0].arg("dptr"), Some(0x7f00_0000));
            assert_eq!(calls[0].arg("size"), Some(512));
            assert_eq!((calls[1].seq, calls[1].result), (1, 1));
            assert!(calls[1].time_ns >= calls[0].time_ns && calls[0].tid > 0);
            if !dropped {
                drop(std::mem::replace(&mut log, CallLog::create(&folder).expect("create")));
            }
        }
        std::fs::remove_dir_all(&folder).expect("remove");
    }

    #[test]
    fn a_log_grows_past_its_first_step() {
        let folder = scratch("grow");
        let mut log = CallLog::create(&folder).expect("create");
        for number in 0..100_000 {
            log.record("cuMemAlloc", &[dec("size", number)], 0);
        }
        let path = folder.join(format!("calls.{}.log", std::process::id()));
        let calls = read_log(&path).expect("read");
        assert_eq!(calls.len(), 100_000);
        assert!(calls.iter().enumerate().all(|(at, call)| call.arg("size") == Some(at as u64)));
        std::fs::remove_dir_all(&folder).expect("remove");
    }

    #[test]
    fn an_unfinished_line_is_left_out_and_a_foreign_one_is_an_error() {
        let calls = parse(b"0 a t=1 tid=1 result=0\n1 b t=2 tid=1 resul\0\0").expect("parse");
        assert_eq!(calls.len(), 1);
        assert!(parse(b"hello\n").is_err());
        assert!(parse(b"0 a t=1 tid=1\n").is_err(), "no result");
    }
}
