//! Detectors: small pure types over the history of the totals and of the sites, or over the state of
//! one moment.
//!
//! A detector of the first kind is fed while events are applied and asked with `check` or `look`,
//! which answer fine, a finding or not enough data yet; one of the second is a function. Time comes in
//! with the events.

mod births;
pub mod bursts;
pub mod creep;
pub mod dead_holder;
pub mod fragmentation;
pub mod growth;
pub mod incomplete_release;
pub mod ipc_pin;
pub mod jumps;
pub mod known;
pub mod leak;
mod lifetimes;
pub mod out_of_memory;
pub mod rate;
pub mod requests;
pub mod retained;
mod stretch;
mod swing;
pub mod tables;
pub mod thresholds;
mod trend;
pub mod untracked;
mod valleys;
pub mod wrong_card;

#[cfg(test)]
mod creep_tests;
#[cfg(test)]
mod fragmentation_tests;
#[cfg(test)]
mod growth_tests;
#[cfg(test)]
mod leak_tests;
#[cfg(test)]
mod out_of_memory_tests;
