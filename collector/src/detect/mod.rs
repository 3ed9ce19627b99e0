//! Detectors: small pure types over the history of the totals, or over the state of one moment.
//!
//! A detector of the first kind is fed while events are applied and asked with `check`, which answers
//! fine, a finding or not enough data yet; one of the second is a function. Time comes in with the
//! events.

pub mod creep;
pub mod fragmentation;
pub mod out_of_memory;
pub mod rate;
mod swing;
pub mod wrong_card;

#[cfg(test)]
mod creep_tests;
#[cfg(test)]
mod fragmentation_tests;
#[cfg(test)]
mod out_of_memory_tests;
