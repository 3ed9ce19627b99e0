//! Address ranges that do not overlap, each with something said about it.

use std::collections::BTreeMap;

/// One range and what is said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span<T> {
    pub start: u64,
    pub size: u64,
    pub value: T,
}

impl<T> Span<T> {
    /// Whether it covers `address`, which is not below its start. (Its end may be the end of all
    /// addresses, and cannot be written down then.)
    fn reaches(&self, address: u64) -> bool {
        address - self.start < self.size
    }
}

/// Something that began at a moment, ns.
pub(super) trait Born {
    fn birth(&self) -> u64;
}

/// Ranges by start. Whoever hands out addresses never hands out the same byte twice, so a new
/// range that overlaps an old one proves that the old one's end was missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranges<T>(BTreeMap<u64, Span<T>>);

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Ranges<T> {
    /// Adds a range and returns those it proves to be gone.
    pub fn insert(&mut self, start: u64, size: u64, value: T) -> Vec<Span<T>> {
        let gone: Vec<u64> = self.over(start, size.max(1)).map(|span| span.start).collect();
        let gone = gone.into_iter().filter_map(|start| self.remove(start)).collect();
        self.0.insert(start, Span { start, size, value });
        gone
    }

    /// Whether a byte of `start..start + size` is known to be something that was born after `birth`:
    /// then whatever was there before is gone already.
    pub fn is_past(&self, start: u64, size: u64, birth: u64) -> bool
    where
        T: Born,
    {
        self.over(start, size.max(1)).any(|span| span.value.birth() > birth)
    }

    /// Takes out the range that begins at `start`.
    pub fn remove(&mut self, start: u64) -> Option<Span<T>> {
        self.0.remove(&start)
    }

    /// Takes out the range that begins at `start`, if it is the one meant.
    pub fn remove_if(&mut self, start: u64, meant: impl Fn(&T) -> bool) -> Option<Span<T>> {
        self.0.get(&start).filter(|span| meant(&span.value))?;
        self.remove(start)
    }

    /// The range that begins at `start`.
    pub fn get_mut(&mut self, start: u64) -> Option<&mut T> {
        self.0.get_mut(&start).map(|span| &mut span.value)
    }

    /// The range that covers `address`.
    pub fn at(&self, address: u64) -> Option<&Span<T>> {
        let below = self.0.range(..=address).next_back();
        below.map(|(_, span)| span).filter(|span| span.reaches(address))
    }

    /// The range that covers `address`.
    pub fn at_mut(&mut self, address: u64) -> Option<&mut Span<T>> {
        let (_, span) = self.0.range_mut(..=address).next_back()?;
        span.reaches(address).then_some(span)
    }

    /// The ranges that share a byte with `start..start + size`, in order, and the empty ones that
    /// begin there.
    pub fn over(&self, start: u64, size: u64) -> impl Iterator<Item = &Span<T>> {
        let first = self.at(start).map_or(start, |span| span.start);
        let last = size.checked_sub(1).map(|size| start.saturating_add(size));
        last.into_iter().flat_map(move |last| self.0.range(first..=last)).map(|(_, span)| span)
    }

    /// All ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = &Span<T>> {
        self.0.values()
    }

    /// All ranges in order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Span<T>> {
        self.0.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(ranges: &Ranges<char>, start: u64, size: u64) -> Vec<u64> {
        ranges.over(start, size).map(|span| span.start).collect()
    }

    #[test]
    fn ranges_are_found_by_any_byte_of_theirs() {
        let mut ranges = Ranges::default();
        ranges.insert(100, 50, 'a');
        ranges.insert(150, 10, 'b');
        assert_eq!(ranges.at(99), None);
        assert_eq!(ranges.at(149).map(|span| span.value), Some('a'));
        assert_eq!(ranges.at(150).map(|span| span.value), Some('b'));
        assert_eq!(ranges.at(160), None);
        assert!(starts(&ranges, 0, 100).is_empty());
        assert_eq!(starts(&ranges, 0, 101), [100]);
        assert_eq!(starts(&ranges, 149, 2), [100, 150]);
        assert!(starts(&ranges, 160, 10).is_empty());
    }

    #[test]
    fn a_new_range_puts_out_those_it_overlaps_and_no_others() {
        let mut ranges = Ranges::default();
        for (start, value) in [(0, 'a'), (10, 'b'), (20, 'c'), (30, 'd')] {
            ranges.insert(start, 10, value);
        }
        let gone = ranges.insert(15, 10, 'x');
        assert_eq!(gone.iter().map(|span| span.value).collect::<String>(), "bc");
        assert_eq!(ranges.iter().map(|span| span.value).collect::<String>(), "axd");
    }

    #[test]
    fn a_range_up_to_the_end_of_the_address_space_does_not_overflow() {
        let mut ranges = Ranges::default();
        ranges.insert(u64::MAX, u64::MAX, 'a');
        assert!(ranges.at(u64::MAX).is_some());
        assert_eq!(starts(&ranges, 1, u64::MAX), [u64::MAX]);
    }
}
