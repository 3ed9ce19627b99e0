//! Process images that were replaced by `exec`: their successor has the same pid and start time.

use std::collections::HashMap;

use crate::ledger::{Identity, Instance};

/// The instances among `identities` that a later one has replaced.
#[must_use]
pub fn replaced<'a>(identities: impl Iterator<Item = &'a Identity>) -> Vec<Instance> {
    let mut last: HashMap<(u64, u32, u64), &Identity> = HashMap::new();
    let mut replaced = Vec::new();
    for identity in identities {
        let key = (identity.pid_namespace, identity.pid, identity.start_ticks);
        match last.get_mut(&key) {
            None => {
                last.insert(key, identity);
            }
            Some(before) => {
                let mut earlier = identity;
                if before.started_monotonic <= identity.started_monotonic {
                    earlier = std::mem::replace(before, identity);
                }
                replaced.push(earlier.instance);
            }
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn identity(instance: u64, pid: u32, started_monotonic: u64) -> Identity {
        Identity {
            instance: Instance([instance, 0]),
            pid,
            pid_namespace: 1,
            start_ticks: 5,
            started_monotonic,
            started_realtime: 0,
            command: Vec::new(),
            executable: String::new(),
            environment: BTreeMap::new(),
            driver_version: 0,
        }
    }

    #[test]
    fn of_images_of_one_process_only_the_last_is_there() {
        let all = [identity(1, 7, 20), identity(2, 7, 10), identity(3, 8, 0), identity(4, 7, 30)];
        let mut gone = replaced(all.iter());
        gone.sort_unstable();
        assert_eq!(gone, [Instance([1, 0]), Instance([2, 0])]);
    }
}
