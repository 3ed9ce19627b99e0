//! Jumps of what is untracked: from one reading to the next it is much more than it ever was.
//!
//! Contexts, code and local memory are taken by no call that can be seen. When they were can be seen
//! to the second, and what the program did in that second beside it; nothing more is claimed. Only
//! what rises above all that was there before is a jump: a reserve that the driver shrinks by itself
//! is known to have shrunk later than it did, and looks like a dip.

/// Least rise, bytes: channels, and rounding of what is tracked, stay below.
pub const DEFAULT_JUMP: u64 = 16 << 20;

/// One rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// The last reading before it, `CLOCK_MONOTONIC`, ns.
    pub from: u64,
    /// The first after it.
    pub until: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The jumps of one device of one process.
#[derive(Clone, Debug)]
pub struct Jumps {
    last: u64,
    most: u64,
    jumps: Vec<Jump>,
}

impl Jumps {
    /// Of a process that began at `time`, when nothing was held for it.
    #[must_use]
    pub const fn new(time: u64) -> Self {
        Self { last: time, most: 0, jumps: Vec::new() }
    }

    /// At `time`, `CLOCK_MONOTONIC` ns, `untracked` bytes were explained by no call. Times rise.
    pub fn push(&mut self, time: u64, untracked: u64) {
        let from = std::mem::replace(&mut self.last, time);
        let bytes = untracked.saturating_sub(self.most);
        if bytes < DEFAULT_JUMP {
            return;
        }
        self.most = untracked;
        match self.jumps.last_mut() {
            // It goes on: one jump that two readings saw.
            Some(jump) if jump.until == from => {
                jump.until = time;
                jump.bytes += bytes;
            }
            _ => self.jumps.push(Jump { from, until: time, bytes }),
        }
    }

    /// The jumps, oldest first.
    #[must_use]
    pub fn seen(&self) -> &[Jump] {
        &self.jumps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn jumps(readings: &[(u64, u64)]) -> Vec<(u64, u64, u64)> {
        let mut jumps = Jumps::new(5);
        readings.iter().for_each(|(time, mib)| jumps.push(*time, mib * MIB));
        jumps.seen().iter().map(|jump| (jump.from, jump.until, jump.bytes / MIB)).collect()
    }

    #[test]
    fn a_rise_lies_between_the_readings_around_it_and_the_first_begins_with_the_process() {
        assert_eq!(jumps(&[(10, 400), (11, 400), (12, 464)]), [(5, 10, 400), (11, 12, 64)]);
    }

    #[test]
    fn a_rise_that_two_readings_saw_is_one() {
        assert_eq!(jumps(&[(10, 20), (11, 100), (12, 200), (13, 201)]), [(5, 12, 200)]);
    }

    #[test]
    fn little_is_no_jump_and_neither_is_what_comes_back() {
        assert_eq!(jumps(&[(10, 15), (11, 100), (12, 20), (13, 100)]), [(10, 11, 100)]);
        // Little by little, until it is much more than before.
        assert_eq!(
            jumps(&[(10, 100), (11, 108), (12, 115), (13, 117)]),
            [(5, 10, 100), (12, 13, 17)]
        );
    }
}
