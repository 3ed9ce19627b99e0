//! Processes that used CUDA and could not record: all they left is the name of a file.

use std::collections::BTreeMap;

use wire::{
    folder::Off,
    header::{Mode, Reason, mode_word},
};

use crate::{
    ledger::{Health, Identity, Instance},
    process::proc_fs,
};

/// Who it is, without a command, and the health of a ledger that never was.
#[must_use]
pub fn unrecorded(off: &Off) -> (Identity, Health) {
    let identity = Identity {
        instance: Instance(off.instance),
        pid: off.pid as u32,
        pid_namespace: off.pid_namespace,
        start_ticks: off.start_ticks,
        started_monotonic: 0,
        started_realtime: proc_fs::started_realtime(off.start_ticks),
        command: Vec::new(),
        executable: String::new(),
        environment: BTreeMap::new(),
        driver_version: 0,
    };
    let mode = mode_word(Mode::Off, Reason::None) | off.reason << 32;
    (identity, Health { mode, ..Health::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Losses, warnings::warnings};

    #[test]
    fn the_name_tells_why() {
        let reason = Reason::TooManyRings as u64;
        let off = Off { instance: [1, 2], pid: 7, start_ticks: 8, pid_namespace: 9, reason };
        let (identity, health) = unrecorded(&off);
        assert_eq!((identity.pid, identity.instance), (7, Instance([1, 2])));
        let text = warnings(&health, &Losses::default()).join(" ");
        assert!(text.contains("2 GiB of rings"), "{text}");
    }
}
