//! Following a process from now on: what it holds already, and everything that comes after.

use std::path::Path;

use wire::header::Counter;

use super::{
    Damage, Drain, Drained, LiveSet, RingFile, TableReader,
    view::{Told, described},
};
use crate::{
    ledger::{Identity, Pairs, Step, Tables},
    process::{Detectors, Player, Process, end::Watch},
    symbol::owner::torch_stacks,
};

/// A process that is followed.
///
/// Its timeline begins with its live set of the moment that [`Follower::begin`] was called. So what the
/// detectors say is about what came after, whatever the process did before.
#[derive(Debug)]
pub struct Follower {
    ring: RingFile,
    identity: Identity,
    watch: Watch,
    drain: Drain,
    tables: TableReader,
    known: Tables,
    pairs: Pairs,
    player: Player<Detectors>,
    /// Slots drained since the begin.
    seen: u64,
    /// Slots that found no turn to be written, before the begin.
    dropped_before: u64,
}

impl Follower {
    /// Begins with the ring at `path`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn begin(path: &Path) -> Result<Self, Damage> {
        let ring = RingFile::open(path)?;
        let identity = ring.identity()?;
        let mut tables = TableReader::new(&ring);
        let health = ring.health()?;
        let known = Tables { apis: tables.apis(&ring)?, ..Tables::default() };
        let mut follower = Self {
            watch: Watch::new(&identity),
            // Before the live set is read: what comes meanwhile is in both, and counts once.
            drain: Drain::from(health.head),
            pairs: Pairs::default(),
            player: Player::default(),
            seen: 0,
            dropped_before: health.counter(Counter::DroppedBusy),
            ring,
            identity,
            tables,
            known,
        };
        follower.read_live()?;
        Ok(follower)
    }

    /// Reads what came since the last call; true if anything did.
    ///
    /// # Errors
    /// The ring cannot be read any more.
    pub fn step(&mut self) -> Result<bool, Damage> {
        let mut drained = Vec::new();
        let alive = self.watch.is_alive();
        let progress = self.drain.step(&self.ring, alive, |slot| drained.push(slot))?;
        for slot in &drained {
            if let Drained::Slot { record: Some(record), .. } = slot {
                self.tables.record(&self.ring, record)?;
            }
        }
        self.learn()?;
        for slot in drained {
            slot.steps(&mut self.pairs, |step| self.player.step(step));
        }
        if progress.lost > 0 {
            self.read_live()?;
        }
        self.seen = self.seen.saturating_add(progress.advanced);
        Ok(progress.advanced > 0)
    }

    /// Copies the tables as far as they are new. Before the events that need them: stacks tell what is
    /// PyTorch's own where no block does.
    fn learn(&mut self) -> Result<(), Damage> {
        let new = self.tables.take(&self.ring)?;
        if !new.is_empty() {
            self.known.add(new);
            self.player.learn(torch_stacks(&self.known));
            self.player.observer().learn(&self.known);
        }
        Ok(())
    }

    fn read_live(&mut self) -> Result<LiveSet, Damage> {
        let live = self.ring.live()?;
        for entry in &live.entries {
            self.tables.live(&self.ring, entry)?;
        }
        self.learn()?;
        self.player.step(Step::Live(&live.entries));
        Ok(live)
    }

    /// Who it is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its pid, in our pid namespace where it was found there.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.watch.pid().unwrap_or(self.identity.pid)
    }

    /// Whether it lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.watch.is_alive()
    }

    /// How many slots it has written since the begin.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// The process with all that was seen of it.
    ///
    /// # Errors
    /// The ring cannot be read any more.
    pub fn finish(mut self) -> Result<Process, Damage> {
        self.step()?;
        self.pairs.finish().iter().for_each(|event| self.player.step(Step::Event(event)));
        let live = self.read_live()?;
        let losses = self.drain.losses();
        let told = Told { known: self.known, player: self.player, live, losses };
        let mut process = described(&self.ring, &self.watch, told)?;
        if let Some(dropped) = process.health.counters.get_mut(Counter::DroppedBusy as usize) {
            *dropped = dropped.saturating_sub(self.dropped_before);
        }
        Ok(process)
    }
}

#[cfg(test)]
mod tests {
    use wire::record::Class;

    use super::*;
    use crate::{ledger::Gauges, source::fake::FakeRing};

    #[test]
    fn what_is_held_at_the_begin_counts_and_what_led_to_it_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let fake = FakeRing::new([1, 2]);
        let stack = fake.python_stack("forward");
        let segment = 0x7f00_0000_0000;
        fake.take(Class::Linear, segment, 2 << 20, 0);
        fake.take(Class::Block, segment, 512, stack);
        let mut follower = Follower::begin(&fake.save(folder.path())).unwrap();
        assert!(!follower.step().unwrap(), "nothing has come since");
        let late = fake.python_stack("late");
        fake.take(Class::Block, segment + 1024, 256, late);
        fake.save(folder.path());
        assert!(follower.step().unwrap());
        assert_eq!(follower.seen(), 1);
        let process = follower.finish().unwrap();
        let totals = process.played.state.totals(0);
        assert_eq!((totals.reserved(), totals.allocated), (2 << 20, 768));
        let reserved: Vec<_> =
            process.played.reserved[&0].points().map(|(_, bytes)| bytes).collect();
        assert_eq!(reserved, [2 << 20]);
        assert_eq!(process.tables.frames(stack).len() + process.tables.frames(late).len(), 2);
        assert_eq!(process.gauges, Vec::<Gauges>::new());
    }
}
