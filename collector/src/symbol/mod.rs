//! Names for stacks, outside the traced process.

pub mod lines;
