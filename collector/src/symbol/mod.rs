//! Names for stacks, outside the traced process.

pub mod build_id;
pub mod hash;
pub mod lines;
pub mod modules;
pub mod native;
pub mod owner;
pub mod place;
pub mod site;
