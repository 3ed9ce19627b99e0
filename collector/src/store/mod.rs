//! The trace folder: `tail.bin`, live sets and side tables, written and read back.
