//! Views: pure functions from what is known to one serialisable report, and its text.

pub mod build;
pub mod diff;
pub mod report;
pub mod text;

/// The sum of amounts that may be anything a process said; it ends at the greatest number.
fn total(amounts: impl IntoIterator<Item = u64>) -> u64 {
    amounts.into_iter().fold(0, u64::saturating_add)
}
