//! Who holds how much of which card.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use crate::config::Config;
use crate::holds;
use crate::identity::Identity;
use crate::process::ProcessKey;
use crate::shared::{Guard, Layout, Shared, Slot};

/// The card has not that much left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// What one process holds of one card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Process id.
    pub pid: u32,
    /// Bytes, contexts included.
    pub bytes: u64,
}

/// The shared machine as one process sees it.
pub struct Machine {
    pub(crate) shared: Shared,
    name: String,
    /// Index of this process's slot; none for one that only looks.
    slot: Option<usize>,
}

impl Machine {
    /// Opens the machine to look at it. Holds nothing, and does not count as a user.
    pub fn observe(config: &Config) -> io::Result<Self> {
        Self::observe_in(Path::new("/dev/shm"), config)
    }

    /// Opens the machine to use it: the process gets a slot.
    ///
    /// # Errors
    /// Those of the file system, and `OutOfMemory` where 256 living processes hold all slots.
    pub fn join(config: &Config) -> io::Result<Self> {
        Self::join_in(Path::new("/dev/shm"), config)
    }

    fn observe_in(folder: &Path, config: &Config) -> io::Result<Self> {
        let shared = Shared::open(&folder.join(&config.name))?;
        let machine = Self { shared, name: config.name.clone(), slot: None };
        machine.settle_size(&machine.shared.lock(), config);
        Ok(machine)
    }

    fn join_in(folder: &Path, config: &Config) -> io::Result<Self> {
        let mut machine = Self::observe_in(folder, config)?;
        let own = ProcessKey::own();
        let guard = machine.shared.lock();
        reap(&guard);
        // A slot of the same process is what an earlier image left behind at `exec`.
        let free = position(&guard, |slot| key(slot) == Some(own))
            .or_else(|| position(&guard, |slot| key(slot).is_none()))
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let slot = &guard.slots[free];
        clear(slot);
        holds::close_all(&guard, own);
        slot.start.store(own.start, Relaxed);
        slot.pid.store(own.pid.into(), Relaxed);
        drop(guard);
        machine.slot = Some(free);
        Ok(machine)
    }

    /// While no living process uses the machine, whoever opens it decides what it looks like.
    fn settle_size(&self, guard: &Guard<'_>, config: &Config) {
        reap(guard);
        if guard.slots.iter().all(|slot| key(slot).is_none()) {
            guard.devices.store(config.devices as u64, Relaxed);
            guard.total.store(config.total_bytes, Relaxed);
        }
    }

    /// Number of cards.
    pub fn devices(&self) -> usize {
        self.shared.layout().devices.load(Relaxed) as usize
    }

    /// Bytes of each card.
    pub fn total_bytes(&self) -> u64 {
        self.shared.layout().total.load(Relaxed)
    }

    /// What the card calls itself.
    pub fn identity(&self, device: usize) -> Identity {
        Identity::new(&self.name, device)
    }

    /// Takes `bytes` of a card for this process.
    ///
    /// # Errors
    /// `OutOfMemory` where the living processes leave less than that.
    pub fn charge(&self, device: usize, bytes: u64) -> Result<(), OutOfMemory> {
        let guard = self.shared.lock();
        let total = self.total_bytes();
        let fits = |used: u64| used.checked_add(bytes).is_some_and(|sum| sum <= total);
        if !fits(sum(&guard, device)) {
            // The dead are looked for only when it matters: it costs a file read per process.
            reap(&guard);
            if !fits(sum(&guard, device)) {
                return Err(OutOfMemory);
            }
        }
        self.own_slot(&guard).used[device].fetch_add(bytes, Relaxed);
        Ok(())
    }

    /// Gives `bytes` of a card back.
    pub fn give_back(&self, device: usize, bytes: u64) {
        self.take_from_slot(&self.shared.lock(), device, bytes);
    }

    pub(crate) fn take_from_slot(&self, guard: &Guard<'_>, device: usize, bytes: u64) {
        let used = &self.own_slot(guard).used[device];
        let before = used.load(Relaxed);
        used.store(before.checked_sub(bytes).expect("more given back than taken"), Relaxed);
    }

    /// Bytes of a card that living processes hold.
    pub fn used_bytes(&self, device: usize) -> u64 {
        let guard = self.shared.lock();
        reap(&guard);
        sum(&guard, device)
    }

    /// The living processes that hold memory of a card, in the order of their slots.
    pub fn processes(&self, device: usize) -> Vec<Usage> {
        let guard = self.shared.lock();
        reap(&guard);
        let held = |slot: &Slot| {
            let pid = key(slot)?.pid;
            let kept = holds::kept_on(&guard, device).filter(|&(told, _)| told == pid);
            let kept: u64 = kept.map(|(_, bytes)| bytes).sum();
            let usage = Usage { pid, bytes: slot.used[device].load(Relaxed) + kept };
            (usage.bytes > 0).then_some(usage)
        };
        guard.slots.iter().filter_map(held).collect()
    }

    fn own_slot<'a>(&self, guard: &'a Guard<'_>) -> &'a Slot {
        &guard.slots[self.slot.expect("only a process that joined holds memory")]
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(index) = self.slot {
            let guard = self.shared.lock();
            clear(&guard.slots[index]);
            holds::reap(&guard);
        }
    }
}

pub(crate) fn key(slot: &Slot) -> Option<ProcessKey> {
    let pid = slot.pid.load(Relaxed) as u32;
    (pid != 0).then(|| ProcessKey { pid, start: slot.start.load(Relaxed) })
}

fn position(layout: &Layout, wanted: impl Fn(&Slot) -> bool) -> Option<usize> {
    layout.slots.iter().position(wanted)
}

fn sum(layout: &Layout, device: usize) -> u64 {
    let held = |slot: &Slot| slot.used[device].load(Relaxed);
    let slots: u64 = layout.slots.iter().filter(|slot| key(slot).is_some()).map(held).sum();
    slots + holds::kept_on(layout, device).map(|(_, bytes)| bytes).sum::<u64>()
}

/// Frees the slots of processes that have ended: their memory comes back.
pub(crate) fn reap(layout: &Layout) {
    for slot in &layout.slots {
        if key(slot).is_some_and(|key| !key.is_alive()) {
            clear(slot);
        }
    }
    holds::reap(layout);
}

/// Process id first: whoever looks without the lock then skips the slot.
fn clear(slot: &Slot) {
    slot.pid.store(0, Relaxed);
    for used in &slot.used {
        used.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const MIB: u64 = 1 << 20;

    /// A machine of its own for each test, and its file removed at the end.
    struct Scratch(Config);

    impl Scratch {
        fn new(devices: usize, total_mib: u64) -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut config = Config::from_lookup(|_| None);
            config.name = format!("vgpu-test-{}-{number}", std::process::id());
            config.devices = devices;
            config.total_bytes = total_mib * MIB;
            Self(config)
        }

        fn join(&self) -> Machine {
            Machine::join(&self.0).expect("join")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(Path::new("/dev/shm").join(&self.0.name));
        }
    }

    /// Runs `body` in a forked child and returns its process id; the child then waits for SIGKILL.
    fn forked(body: impl FnOnce()) -> libc::pid_t {
        let mut pipe = [0; 2];
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
        // SAFETY: the child only touches its own machine and then waits to be killed.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            body();
            // SAFETY: one byte from a live buffer.
            unsafe { libc::write(pipe[1], [1u8].as_ptr().cast(), 1) };
            loop {
                // SAFETY: takes nothing.
                unsafe { libc::pause() };
            }
        }
        // SAFETY: closed once; without it a child that died early would leave the read waiting.
        unsafe { libc::close(pipe[1]) };
        let mut byte = 0u8;
        // SAFETY: room for one byte.
        let got = unsafe { libc::read(pipe[0], (&raw mut byte).cast(), 1) };
        assert_eq!(got, 1, "the child did its part");
        pid
    }

    fn kill(pid: libc::pid_t) {
        // SAFETY: our own child.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        // SAFETY: as above; the status is not wanted.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    }

    #[test]
    fn a_card_holds_its_size_and_not_a_byte_more() {
        let scratch = Scratch::new(2, 100);
        let machine = scratch.join();
        assert_eq!(machine.charge(0, 100 * MIB), Ok(()));
        assert_eq!(machine.charge(0, 1), Err(OutOfMemory));
        assert_eq!(machine.charge(1, 1), Ok(()), "the other card is empty");
        assert_eq!(machine.charge(1, u64::MAX), Err(OutOfMemory), "no wrap-around");
        machine.give_back(0, MIB);
        assert_eq!(machine.charge(0, MIB), Ok(()));
    }

    #[test]
    fn memory_of_a_killed_process_comes_back() {
        let scratch = Scratch::new(1, 100);
        let machine = scratch.join();
        let child = forked(|| {
            let machine = scratch.join();
            machine.charge(0, 80 * MIB).expect("fits");
            std::mem::forget(machine);
        });
        assert_eq!(machine.used_bytes(0), 80 * MIB);
        assert_eq!(machine.processes(0), [Usage { pid: child as u32, bytes: 80 * MIB }]);
        assert_eq!(machine.charge(0, 50 * MIB), Err(OutOfMemory));
        kill(child);
        assert_eq!(machine.charge(0, 50 * MIB), Ok(()));
        assert_eq!(machine.used_bytes(0), 50 * MIB);
    }

    #[test]
    fn what_is_freed_while_another_has_it_open_stays_until_that_one_lets_go() {
        let scratch = Scratch::new(1, 100);
        let machine = scratch.join();
        let owner = ProcessKey::own();
        machine.charge(0, 60 * MIB).expect("fits");
        assert!(!machine.keep(0, 60 * MIB, 7), "nobody has it open");
        let child = forked(|| {
            let machine = scratch.join();
            let first = machine.hold(owner, 7).expect("room");
            machine.hold(owner, 7).expect("room");
            machine.let_go(first);
            std::mem::forget(machine);
        });
        assert!(machine.is_held(7) && !machine.is_held(8));
        assert!(machine.keep(0, 60 * MIB, 7));
        let own = Usage { pid: owner.pid, bytes: 60 * MIB };
        assert_eq!((machine.used_bytes(0), machine.processes(0)), (60 * MIB, vec![own]));
        assert_eq!(machine.charge(0, 50 * MIB), Err(OutOfMemory));
        drop(machine);
        let machine = Machine::observe(&scratch.0).expect("observe");
        let held = Usage { pid: child as u32, bytes: 60 * MIB };
        assert_eq!(machine.processes(0), [held], "the holder has it after its owner's end");
        kill(child);
        assert_eq!(machine.used_bytes(0), 0);
    }

    #[test]
    fn a_lock_survives_the_death_of_its_owner() {
        let scratch = Scratch::new(1, 100);
        let machine = scratch.join();
        let child = forked(|| {
            let machine = scratch.join();
            std::mem::forget(machine.shared.lock());
            std::mem::forget(machine);
        });
        kill(child);
        assert_eq!(machine.charge(0, MIB), Ok(()));
    }

    #[test]
    fn the_first_living_process_decides_the_size() {
        let scratch = Scratch::new(1, 100);
        let first = scratch.join();
        let mut other = scratch.0.clone();
        other.total_bytes = MIB;
        let second = Machine::observe(&other).expect("observe");
        assert_eq!(second.total_bytes(), 100 * MIB);
        drop(first);
        let third = Machine::observe(&other).expect("observe");
        assert_eq!(third.total_bytes(), MIB);
    }

    #[test]
    fn a_file_of_another_layout_is_made_anew() {
        let scratch = Scratch::new(1, 100);
        let path = Path::new("/dev/shm").join(&scratch.0.name);
        std::fs::write(&path, b"something else").expect("write");
        assert_eq!(scratch.join().charge(0, MIB), Ok(()));
    }
}
