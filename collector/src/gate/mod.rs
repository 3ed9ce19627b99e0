//! The gate: rules held against a run, for a job of CI that fails by them.
//!
//! ```text
//! rules ─────────────┐
//! Job ─▶ measure ────┼─▶ judge ─▶ outcome ─▶ text, junit, github
//!  └──▶ Report ──────┘
//! ```
//!
//! All of it is pure: it is given a job, the report about it and, where somebody drove the run, the waves
//! of requests that went out. Whether something leaks is for the report's findings to say; what is
//! measured beside them (`peak`, `growth`, `frag`, `trend`) needs no detector.

pub mod blame;
pub mod course;
pub mod github;
pub mod judge;
pub mod junit;
mod limits;
pub mod measure;
pub mod outcome;
pub mod presets;
pub mod rules;
pub mod text;
pub mod trend;
pub mod waves;
