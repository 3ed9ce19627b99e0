//! Which process is it, and does it still live? Process ids are reused, so a process is its id
//! and its start time together.

/// A process, for as long as the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessKey {
    /// Process id.
    pub pid: u32,
    /// Clock ticks after boot, field 22 of `/proc/PID/stat`.
    pub start: u64,
}

impl ProcessKey {
    /// The calling process.
    pub fn own() -> Self {
        let pid = std::process::id();
        Self { pid, start: stat(pid).map_or(0, |(_, start)| start) }
    }

    /// False once the process has ended, even if its parent has not waited for it yet: a zombie
    /// holds no memory. One whose main thread alone has ended looks like a zombie, and holds it all.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| {
            start == self.start && (lives(state) || has_living_thread(self.pid))
        })
    }
}

const fn lives(state: u8) -> bool {
    !matches!(state, b'Z' | b'X' | b'x')
}

fn has_living_thread(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let state = |thread: std::fs::DirEntry| {
        parse_stat(&std::fs::read(thread.path().join("stat")).ok()?).map(|(state, _)| state)
    };
    threads.filter_map(state).any(lives)
}

/// State letter and start time of a process.
fn stat(pid: u32) -> Option<(u8, u64)> {
    parse_stat(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field is the command in brackets and may itself hold brackets and blanks, so the
/// fields are counted from the last closing one.
fn parse_stat(text: &[u8]) -> Option<(u8, u64)> {
    let after = text.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = std::str::from_utf8(text.get(after..)?).ok()?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_a_command_with_brackets_and_blanks() {
        let line = b"12 (a) S (b) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        assert_eq!(parse_stat(line), Some((b'Z', 777)));
    }

    #[test]
    fn the_calling_process_lives_and_an_impossible_one_does_not() {
        let own = ProcessKey::own();
        assert!(own.is_alive());
        assert!(!ProcessKey { start: own.start + 1, ..own }.is_alive());
    }

    #[test]
    fn a_process_whose_main_thread_has_ended_lives_with_its_others() {
        let script = "import ctypes, sys, threading; \
                      threading.Thread(target=sys.stdin.read).start(); \
                      ctypes.CDLL(None).syscall(60, 0)";
        let mut child = std::process::Command::new("python3")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("spawn");
        let key = ProcessKey { pid: child.id(), start: stat(child.id()).expect("stat").1 };
        while matches!(stat(child.id()), Some((state, _)) if state != b'Z') {
            std::thread::yield_now();
        }
        assert!(key.is_alive());
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert!(!key.is_alive());
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = std::process::Command::new("true").spawn().expect("spawn");
        let key = ProcessKey { pid: child.id(), start: stat(child.id()).expect("stat").1 };
        while matches!(stat(child.id()), Some((state, _)) if state != b'Z') {
            std::thread::yield_now();
        }
        assert!(!key.is_alive());
        child.wait().expect("wait");
    }
}
