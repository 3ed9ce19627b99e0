//! Whether a process lives, and how it ended where the kernel still knows.

use std::os::fd::OwnedFd;

use super::proc_fs;
use crate::{
    ledger::{End, Identity},
    sys,
};

/// A watch on one process image. Holding it keeps the kernel's knowledge of how the process ended
/// (from Linux 6.15 on).
#[derive(Debug)]
pub struct Watch {
    pid: Option<u32>,
    start_ticks: u64,
    pidfd: Option<OwnedFd>,
    told: Option<End>,
}

impl Watch {
    /// A watch on the process that says it is `identity`. Its pid counts in its own pid namespace
    /// and is looked up in ours.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        let pid = proc_fs::find(identity);
        let mut watch = Self { pid, start_ticks: identity.start_ticks, pidfd: None, told: None };
        if let Some(pid) = pid {
            watch.pidfd = sys::pidfd_open(pid);
            // The pid may have become another process's before its descriptor was open.
            if !proc_fs::is_alive(pid, identity.start_ticks) {
                watch.pidfd = None;
            }
        }
        watch
    }

    /// The pid in our pid namespace, where the process was found there.
    #[must_use]
    pub const fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Whether the process lives. A zombie does not: it writes nothing any more.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.told.is_none() && self.pid.is_some_and(|pid| proc_fs::is_alive(pid, self.start_ticks))
    }

    /// Tells the watch what somebody else knows for sure: `waitid`, or that the process image was
    /// replaced by `exec`.
    pub fn tell(&mut self, end: End) {
        self.told.get_or_insert(end);
    }

    /// How the process ended; `exited` is the clean-exit word of its ledger. Never guessed: an end
    /// of which nobody knows the cause is [`End::Ended`].
    #[must_use]
    pub fn end(&self, exited: u64) -> End {
        if let Some(end) = self.told {
            return end;
        }
        if self.is_alive() {
            return End::Running;
        }
        let status = self.pidfd.as_ref().and_then(sys::pidfd_exit_status);
        let zombie = || proc_fs::zombie_status(self.pid?, self.start_ticks);
        match status.or_else(zombie) {
            Some(status) => sys::end_of_status(status),
            None if exited != 0 => End::Exited(None),
            None => End::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, process::Command};

    use super::*;
    use crate::ledger::Instance;

    fn identity(pid: u32) -> Identity {
        Identity {
            instance: Instance([1, 2]),
            pid,
            pid_namespace: proc_fs::own_namespace(),
            start_ticks: proc_fs::stat(pid).unwrap().start_ticks,
            started_monotonic: 0,
            started_realtime: 0,
            command: Vec::new(),
            executable: String::new(),
            environment: BTreeMap::new(),
            driver_version: 0,
        }
    }

    #[test]
    fn this_process_runs_and_one_of_another_start_time_does_not() {
        let mut me = identity(std::process::id());
        assert_eq!(Watch::new(&me).end(0), End::Running);
        me.start_ticks += 1;
        assert_eq!(Watch::new(&me).end(0), End::Ended);
        assert_eq!(Watch::new(&me).end(5), End::Exited(None));
    }

    #[test]
    fn a_zombie_tells_its_status() {
        for (script, end) in [("exit 3", End::Exited(Some(3))), ("kill -9 $$", End::Killed(9))] {
            let script = format!("read x; {script}");
            let mut child = Command::new("sh")
                .args(["-c", &script])
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let watch = Watch::new(&identity(child.id()));
            assert_eq!(watch.end(0), End::Running);
            drop(child.stdin.take());
            while watch.is_alive() {
                std::thread::yield_now();
            }
            assert_eq!(watch.end(0), end);
            child.wait().unwrap();
            // Reaped: only a kernel that keeps the status with the descriptor still knows.
            let after = watch.end(0);
            assert!(after == end || after == End::Ended, "{after:?}");
        }
    }

    #[test]
    fn what_was_told_wins() {
        let mut watch = Watch::new(&identity(std::process::id()));
        watch.tell(End::Killed(9));
        assert_eq!(watch.end(0), End::Killed(9));
        assert!(!watch.is_alive());
    }
}
