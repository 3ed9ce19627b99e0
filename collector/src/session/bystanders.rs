//! Processes of the job that never used CUDA.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    ledger::{End, Identity, Instance},
    process::{Bystander, end::Watch, proc_fs, redact, role},
};

/// Processes that are followed at most; each costs a descriptor.
const MOST: usize = 512;
/// Looking at all processes takes at most one part in so many of the thread's time.
const REST: u32 = 50;

/// The descendants of this process, seen from time to time. One that lives shorter than that is
/// not seen.
#[derive(Debug, Default)]
pub struct Bystanders {
    seen: BTreeMap<(u32, u64), Seen>,
    next: Option<Instant>,
}

/// One of them.
#[derive(Debug)]
struct Seen {
    bystander: Bystander,
    watch: Watch,
    /// The variables it was started with. A title may overwrite them, so the last there were count.
    environment: BTreeMap<String, String>,
}

impl Bystanders {
    /// Looks for new ones, and at the titles of those that are there; where there are so many
    /// processes that it takes long, not each time it is asked.
    pub fn look(&mut self) {
        let begin = Instant::now();
        if self.next.is_some_and(|next| begin < next) {
            return;
        }
        self.look_at_all();
        self.next = Some(begin + begin.elapsed() * REST);
    }

    fn look_at_all(&mut self) {
        for pid in proc_fs::descendants(std::process::id()) {
            let Some(stat) = proc_fs::stat(pid) else { continue };
            let command = proc_fs::command(pid);
            let key = (pid, stat.start_ticks);
            if !role::is_telling(&command)
                || (self.seen.len() >= MOST && !self.seen.contains_key(&key))
            {
                continue;
            }
            let seen = self.seen.entry(key).or_insert_with(|| first_seen(key));
            let environment = proc_fs::environment(pid);
            if !environment.is_empty() {
                seen.environment = environment;
            }
            seen.bystander.role = role::role(&command, &seen.environment);
            seen.bystander.command = redact::command_line(&command);
        }
    }

    /// Takes note of how the one with that pid and start time ended.
    pub fn tell(&mut self, key: (u32, u64), end: End) {
        if let Some(seen) = self.seen.get_mut(&key) {
            seen.watch.tell(end);
        }
    }

    /// Whether all of them have ended.
    #[must_use]
    pub fn are_gone(&self) -> bool {
        self.seen.keys().all(|(pid, start_ticks)| !proc_fs::is_alive(*pid, *start_ticks))
    }

    /// All of them as they are now, but for those in `traced`, which recorded.
    #[must_use]
    pub fn finish(self, traced: &[(u32, u64)]) -> Vec<Bystander> {
        let others = self.seen.into_iter().filter(|(key, _)| !traced.contains(key));
        others.map(|(_, seen)| Bystander { end: seen.watch.end(0), ..seen.bystander }).collect()
    }
}

fn first_seen((pid, start_ticks): (u32, u64)) -> Seen {
    let started_realtime = proc_fs::started_realtime(start_ticks);
    let identity = Identity {
        instance: Instance([0, 0]),
        pid,
        pid_namespace: proc_fs::own_namespace(),
        start_ticks,
        started_monotonic: 0,
        started_realtime,
        command: Vec::new(),
        executable: String::new(),
        environment: BTreeMap::new(),
        driver_version: 0,
    };
    let (command, role, end) = (String::new(), None, End::Running);
    let bystander = Bystander { pid, start_ticks, started_realtime, command, role, end };
    Seen { bystander, watch: Watch::new(&identity), environment: BTreeMap::new() }
}
