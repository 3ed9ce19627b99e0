//! Names for stacks, outside the traced process.
