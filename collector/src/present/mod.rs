//! Views: pure functions from what is known to one serialisable report, and its text.

pub mod build;
pub mod report;
pub mod text;
