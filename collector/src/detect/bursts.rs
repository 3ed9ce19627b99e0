//! Bursts: much memory that one owner took at once, as a communication library does at the first
//! collective.
//!
//! Calls that follow one another are one burst. What was given back since is not in it: it tells where what
//! is held comes from.

use crate::state::Site;

/// A pause longer than this ends a burst, ns: what sets up a communicator or a workspace goes on without
/// one.
pub const DEFAULT_PAUSE: u64 = 1_000_000_000;
/// Less at once is no burst, bytes.
pub const DEFAULT_FLOOR: u64 = 256 << 20;

/// Memory that the driver gave in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taken {
    /// When, ns.
    pub time: u64,
    /// Bytes.
    pub bytes: u64,
    /// Who took it.
    pub site: Site,
}

/// Much memory taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// When its first call was made, ns.
    pub time: u64,
    /// Bytes.
    pub bytes: u64,
    /// In how many calls.
    pub calls: u64,
    /// The site that took most of it.
    pub site: Site,
}

/// The bursts in what one owner took and has, oldest first.
#[must_use]
pub fn bursts(mut taken: Vec<Taken>) -> Vec<Burst> {
    taken.sort_unstable();
    let together = |one: &Taken, next: &Taken| next.time - one.time <= DEFAULT_PAUSE;
    taken.chunk_by(together).filter_map(burst).collect()
}

fn burst(taken: &[Taken]) -> Option<Burst> {
    let bytes = taken.iter().fold(0, |sum: u64, one| sum.saturating_add(one.bytes));
    let mut by_site: Vec<(Site, u64)> = taken.iter().map(|one| (one.site, one.bytes)).collect();
    by_site.sort_unstable();
    let most = by_site.chunk_by(|one, next| one.0 == next.0).max_by_key(|of_site| {
        of_site.iter().fold(0, |sum: u64, (_, bytes)| sum.saturating_add(*bytes))
    });
    let (site, _) = *most?.first()?;
    let time = taken.first()?.time;
    (bytes >= DEFAULT_FLOOR).then_some(Burst { time, bytes, calls: taken.len() as u64, site })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const A: Site = Site { native: 1, python: 1 };
    const B: Site = Site { native: 2, python: 2 };

    fn taken(ms: u64, mib: u64, site: Site) -> Taken {
        Taken { time: ms * 1_000_000, bytes: mib * MIB, site }
    }

    #[test]
    fn calls_without_a_pause_are_one_burst_of_the_site_that_took_most() {
        let mut all: Vec<Taken> = (0..30).map(|i| taken(900 * i, 10, A)).collect();
        all.push(taken(1_000, 299, B));
        all.extend((0..30).map(|i| taken(40_000 + i, 10, B)));
        let [first, second] = bursts(all)[..] else { panic!("two bursts") };
        assert_eq!((first.time, first.bytes, first.calls), (0, 599 * MIB, 31));
        assert_eq!((first.site, second.site), (A, B));
        assert_eq!((second.time, second.calls), (40_000_000_000, 30));
    }

    #[test]
    fn little_or_what_comes_bit_by_bit_is_no_burst() {
        assert_eq!(bursts(vec![taken(0, 255, A)]), []);
        assert_eq!(bursts((0..100).map(|i| taken(i * 1_001, 10, A)).collect()), []);
        assert_eq!(bursts(Vec::new()), []);
    }
}
