//! The least of a figure in each of many windows: what is left when requests have given back theirs.

/// Valleys kept; past it each two become one.
const KEPT: usize = 128;

/// The valleys of a figure that keeps its value until told another.
#[derive(Clone, Debug)]
pub(super) struct Valleys {
    width: u64,
    /// Which window the first valley is of; the others follow it without a break.
    first: u64,
    valleys: Vec<u64>,
    last: u64,
}

impl Valleys {
    pub const fn new(width: u64) -> Self {
        Self { width, first: 0, valleys: Vec::new(), last: 0 }
    }

    /// The figure is `value` from `at` on. A moment before the last one counts as the last.
    pub fn push(&mut self, at: u64, value: u64) {
        if self.valleys.is_empty() {
            self.first = at / self.width;
            self.valleys.push(value);
        }
        while (at / self.width).saturating_sub(self.first) >= KEPT as u64 {
            self.widen();
        }
        let window = (at / self.width).saturating_sub(self.first) as usize;
        if window >= self.valleys.len() {
            self.valleys.resize(window + 1, self.last);
        }
        if let Some(valley) = self.valleys.last_mut() {
            *valley = (*valley).min(value);
        }
        self.last = value;
    }

    fn widen(&mut self) {
        let odd = (self.first % 2) as usize;
        let (alone, rest) = self.valleys.split_at(odd.min(self.valleys.len()));
        let pairs = rest.chunks(2).map(|pair| pair.iter().copied().min().unwrap_or(0));
        self.valleys = alone.iter().copied().chain(pairs).collect();
        (self.width, self.first) = (self.width * 2, self.first / 2);
    }

    pub const fn width(&self) -> u64 {
        self.width
    }

    /// Where the first valley's window begins.
    pub const fn begin(&self) -> u64 {
        self.first * self.width
    }

    /// The valleys whose windows are over.
    pub fn over(&self) -> &[u64] {
        self.valleys.split_last().map_or(&[], |(_, over)| over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_without_news_has_the_value_before_it() {
        let mut valleys = Valleys::new(10);
        for (at, value) in [(3, 9), (5, 7), (9, 8), (38, 2), (39, 5), (41, 6)] {
            valleys.push(at, value);
        }
        assert_eq!(valleys.over(), [7, 8, 8, 2]);
        valleys.push(50, 6);
        assert_eq!(valleys.over(), [7, 8, 8, 2, 5]);
    }

    #[test]
    fn valleys_are_bounded_and_keep_the_least() {
        let mut valleys = Valleys::new(10);
        for at in 70..100_000 {
            valleys.push(at, if at == 777 { 5 } else { 100 + at % 10 });
            assert!(valleys.valleys.len() <= KEPT);
        }
        assert_eq!(valleys.over().iter().filter(|valley| **valley == 5).count(), 1);
        assert!(valleys.over().iter().all(|valley| [5, 100].contains(valley)));
        let over = valleys.over();
        assert_eq!(over[((777 - valleys.begin()) / valleys.width()) as usize], 5);
        assert!(over.len() >= KEPT / 2 - 2);
    }
}
