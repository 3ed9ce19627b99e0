//! Views: pure functions from what is known to one serialisable report, and its text.

pub mod report;
pub mod text;
