//! The hook table and what each hook does, without the linkage.
//!
//! `table` is the one list of hooked names. Each name has a *behaviour*: an ordinary function that
//! takes the real function as an argument, makes the real call, tells the recorder, and returns the
//! real result. The shim crate adds the entries under which programs find them.
#![cfg_attr(not(test), no_std)]

pub mod abi;
pub mod array;
pub mod c10;
pub mod call;
pub mod capture;
pub mod checkpoint;
pub mod context;
pub mod context_end;
pub mod driver;
pub mod elf;
pub mod event;
pub mod external;
pub mod follow;
pub mod graph;
mod guard;
pub mod hooks;
pub mod host;
pub mod init;
pub mod ipc;
pub mod linear;
pub mod linkage;
pub mod loader;
pub mod mark;
pub mod module;
pub mod multicast;
pub mod nvtx;
pub mod pool;
pub mod pool_block;
pub mod pool_import;
pub mod pool_place;
pub mod resolver;
pub mod share;
pub mod sparse;
pub mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod trouble;
pub mod vmm;
