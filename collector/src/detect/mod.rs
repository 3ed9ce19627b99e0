//! Detectors: small pure types over the history of the totals.
//!
//! A detector is fed while events are applied and asked with `check`, which answers fine, a finding
//! or not enough data yet. Time comes in with the events.

pub mod creep;
mod swing;

#[cfg(test)]
mod creep_tests;
