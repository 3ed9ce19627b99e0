//! How long a site's blocks lived: a histogram with four buckets to the octave.

/// Counts of completed lifetimes. A site uses few buckets, so only those are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Lifetimes {
    /// Bucket and count, by bucket.
    counts: Vec<(u8, u32)>,
    number: u64,
    longest: u64,
}

/// 0 to 3 have a bucket each; above, the leading bit and the two after it say which.
fn bucket(age: u64) -> u8 {
    match age.checked_ilog2().unwrap_or(0) {
        0 | 1 => age as u8,
        octave => (octave * 4 + (age >> (octave - 2) & 3) as u32) as u8,
    }
}

/// The longest lifetime in a bucket.
fn longest_in(bucket: u8) -> u64 {
    let (octave, quarter) = (u32::from(bucket) / 4, u64::from(bucket) % 4);
    match octave {
        0 | 1 => u64::from(bucket),
        _ => ((4 + quarter) << (octave - 2)) | ((1 << (octave - 2)) - 1),
    }
}

impl Lifetimes {
    pub fn add(&mut self, age: u64) {
        let bucket = bucket(age);
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(1),
            Err(at) => self.counts.insert(at, (bucket, 1)),
        }
        self.number += 1;
        self.longest = self.longest.max(age);
    }

    pub const fn number(&self) -> u64 {
        self.number
    }

    pub const fn longest(&self) -> u64 {
        self.longest
    }

    /// The lifetime that a share `share` of them does not exceed, to a quarter of an octave.
    pub fn quantile(&self, share: f64) -> u64 {
        let mut left = (self.number as f64 * share).ceil();
        for (bucket, count) in &self.counts {
            left -= f64::from(*count);
            if left <= 0.0 {
                return longest_in(*bucket).min(self.longest);
            }
        }
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_begins() {
        for octave in 0..63 {
            for age in [1_u64 << octave, (1 << octave) + 1, (1 << octave) / 4 * 7] {
                let end = longest_in(bucket(age));
                assert!(age <= end && end <= age + age / 4, "{age} {end}");
                assert!(bucket(end + 1) > bucket(end), "{end}");
            }
        }
        assert_eq!(longest_in(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn one_in_a_thousand_is_no_ordinary_lifetime() {
        let mut lifetimes = Lifetimes::default();
        (0..10_000).for_each(|_| lifetimes.add(1_000));
        (0..9).for_each(|_| lifetimes.add(1 << 40));
        assert_eq!(lifetimes.longest(), 1 << 40);
        assert_eq!(lifetimes.quantile(0.999), longest_in(bucket(1_000)));
        assert_eq!((lifetimes.quantile(1.0), lifetimes.number()), (1 << 40, 10_009));
    }
}
