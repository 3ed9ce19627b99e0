//! How large requests were: the size that nearly all of them do not exceed.

/// Parts of a power of two.
const PARTS: u32 = 8;
/// Bins for every size there is.
const BINS: usize = 64 * PARTS as usize;
/// Of so many requests one is larger.
pub const DEFAULT_LARGER: u64 = 100;

/// Sizes of requests, each known to an eighth; of each bin the greatest is known exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// How many, and the greatest, by bin; empty before the first.
    bins: Vec<(u64, u64)>,
    count: u64,
}

impl Requests {
    /// A request of so many bytes.
    pub fn push(&mut self, bytes: u64) {
        if self.bins.is_empty() {
            self.bins.resize(BINS, (0, 0));
        }
        if let Some((count, greatest)) = self.bins.get_mut(bin(bytes)) {
            *count += 1;
            *greatest = bytes.max(*greatest);
            self.count += 1;
        }
    }

    /// The size that 99 of 100 do not exceed; `None` before the first.
    #[must_use]
    pub fn nearly_all(&self) -> Option<u64> {
        let mut larger = 0;
        for (count, greatest) in self.bins.iter().rev().filter(|(count, _)| *count > 0) {
            larger += count;
            if larger > self.count / DEFAULT_LARGER {
                return Some(*greatest);
            }
        }
        None
    }
}

/// By the highest bit, and the three bits after it.
fn bin(bytes: u64) -> usize {
    let power = bytes.max(1).ilog2();
    let part = match power {
        3.. => (bytes >> (power - 3)) & u64::from(PARTS - 1),
        _ => 0,
    };
    (power * PARTS) as usize + part as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_may_be_larger() {
        let mut requests = Requests::default();
        assert_eq!(requests.nearly_all(), None);
        (0..99).for_each(|_| requests.push(5000));
        requests.push(1 << 40);
        assert_eq!(requests.nearly_all(), Some(5000));
        (0..2).for_each(|_| requests.push(70_000));
        assert_eq!(requests.nearly_all(), Some(70_000));
    }

    #[test]
    fn any_size_has_its_bin_and_sizes_an_eighth_apart_have_two() {
        for bytes in [0, 1, 7, 8, 1 << 20, u64::MAX] {
            let mut requests = Requests::default();
            requests.push(bytes);
            assert_eq!(requests.nearly_all(), Some(bytes));
        }
        assert!(bin(1 << 20) < bin((1 << 20) + (1 << 17)));
        assert_eq!(bin(u64::MAX), BINS - 1);
    }
}
