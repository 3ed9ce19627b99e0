//! The hook table and what each hook does, without the linkage.
#![cfg_attr(not(test), no_std)]

pub mod event;
