//! Names for stacks, outside the traced process.

pub mod lines;
pub mod modules;
pub mod owner;
