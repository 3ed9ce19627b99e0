//! The recorder of one traced process.
#![cfg_attr(not(test), no_std)]
