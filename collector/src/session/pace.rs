//! How long to wait before draining again, and before looking around.

use std::time::Duration;

/// Shortest wait: draining more often costs more than it saves.
const LEAST: Duration = Duration::from_millis(5);
/// Longest wait, and the wait where there is nothing to drain: how late a new process is found, and
/// how much is lost if we are killed.
pub const IDLE: Duration = Duration::from_millis(50);
/// How often gauges, titles and the process tree are looked at, and NVML asked.
pub const LOOK: Duration = Duration::from_secs(1);
/// Events per second that a process may begin with out of the blue, without losing any.
const BURST: f64 = 1_500_000.0;
/// How full a ring may get until the next drain, at the rate seen.
const SHARE: f64 = 0.25;

/// The wait that lets a ring of `slots` fill by a quarter, when `events` came in the last `took`.
#[must_use]
pub fn wait(slots: usize, events: u64, took: Duration) -> Duration {
    let rate = events as f64 / took.as_secs_f64().max(1e-6);
    let seconds = (slots as f64 / BURST).min(slots as f64 * SHARE / rate.max(1e-6));
    Duration::from_secs_f64(seconds).clamp(LEAST, IDLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_the_events_the_sooner_the_next_drain() {
        let second = Duration::from_secs(1);
        let burst = wait(65_536, 0, second);
        assert!(burst > LEAST && burst < IDLE);
        assert_eq!(wait(65_536, 10, second), burst);
        assert_eq!(wait(65_536, 819_200, second), Duration::from_millis(20));
        assert_eq!(wait(65_536, 1 << 40, second), LEAST);
        assert_eq!(wait(4_096, 10, second), LEAST);
    }
}
