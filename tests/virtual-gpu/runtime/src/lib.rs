//! The CUDA runtime of the virtual GPU: `libcudart.so.13`.
//!
//! The real runtime refuses a driver that is not NVIDIA's, so PyTorch runs on this one. It reaches
//! the driver by the real one's path: `dlopen("libcuda.so.1")`, `dlsym` of two names, everything
//! else through `cuGetProcAddress`. So a library that hooks the driver sees what it would see in
//! production. Each function here does what the real one asks of the driver and no more; kernels
//! never run.
//!
//! Not defined here: about 300 exports that no client of ours imports. `tests/virtual-gpu/build`
//! makes each a weak stub that answers "not supported".
#![allow(non_snake_case, reason = "the names are CUDA's")]

mod capture;
mod context;
mod copy;
mod device;
mod driver;
mod entry;
mod error;
mod event;
mod export;
mod graph;
mod ipc;
mod kernel;
mod library;
mod memory;
mod pointer;
mod pool;
mod properties;
mod stream;
mod symbol;
mod thread;
mod types;
