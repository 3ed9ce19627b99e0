//! Reads the ledgers of all traced processes and says what is wrong.
//!
//! The folders are the pipeline:
//!
//! ```text
//! source ─▶ state ─▶ detect ─▶ present
//!    └────▶ store ──┘            ▲
//! process (who, role, end) ──────┤
//! phase (what happened when) ────┤
//! sharing (who holds whose memory) ┤
//! symbol (stacks, sites) ────────┘
//!
//! gate: holds the report, and what is measured beside it, against a user's rules
//! outside: marks that others set, on their way into a process's timeline
//!
//! doctor: whether tracing works on this system, and what to do where it does not
//!
//! session: runs a job, drains its processes into a store while they live
//! ```
//!
//! `state` and `detect` know no file, no clock and no text; `present` turns what they hold into
//! one structure that the command, the JSON and later views all show.
#![deny(unsafe_code)]

pub mod detect;
pub mod doctor;
pub mod gate;
pub mod ledger;
pub mod nvml;
pub mod outside;
pub mod phase;
pub mod present;
pub mod process;
pub mod session;
pub mod sharing;
pub mod source;
pub mod state;
pub mod store;
pub mod symbol;
mod sys;
