//! `libcuda.so.1` of the virtual GPU.
//!
//! Allocations, frees, mappings, copies and fills are real: device memory is a sparse file mapped
//! into the process, and every byte of it is charged to the machine that all processes share.
//! Kernels do nothing. What is modelled and what is not: `tests/virtual-gpu/README.md`.
//!
//! ```text
//!   export table ──▶ behaviour (one module per area) ──▶ Driver: one state, one lock
//!        │                                                   │
//!   cuGetProcAddress                                machine: accounting, log of calls
//! ```
//!
//! Each module ends with the table of what it exports; `export` turns a row into a symbol and a
//! line for `cuGetProcAddress`.

// The signatures are CUDA's.
#![allow(clippy::too_many_arguments)]

mod arena;
mod array;
mod capture;
mod context;
mod copy;
mod descriptor;
mod device;
mod driver;
mod error;
mod event;
mod exchange;
mod export;
mod external;
mod ffi;
mod fill;
mod graph;
mod graph_memory;
mod graph_node;
mod graph_query;
mod host;
mod init;
mod ipc;
mod launch;
mod legacy;
mod linear;
mod memory;
mod module;
mod multicast;
mod physical;
mod pointer;
mod pool;
mod pool_query;
mod pool_share;
mod proc_address;
mod ranges;
mod sharing;
mod sparse;
mod store;
mod stream;
mod tensor_map;
mod vmm;
mod vmm_share;
