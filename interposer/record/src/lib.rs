//! The recorder of one traced process.
//!
//! [`start::start`] makes the process's file and a [`Ledger`] over it; from then on
//! [`Ledger::record`] is the one entry. It runs in somebody else's process: it takes no lock,
//! allocates nothing, starts no thread and prints nothing. What goes wrong becomes a counter in
//! the file, or the end of recording with a reason.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod clock;
mod counters;
pub mod guard;
pub mod ledger;
mod maps;
mod name;
pub mod once;
pub mod stack;
pub mod start;
mod sys;

pub use ledger::Ledger;
