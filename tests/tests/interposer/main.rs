//! `libmemtrace.so` in real processes: tiny programs, each one trap, run with and without it.
//!
//! The driver, PyTorch's two libraries and the recorder are a page of C each (`c/`), compiled here,
//! so that every event can be compared and none of this needs a GPU, a virtual one, or PyTorch. A
//! program writes what it sees to stdout: with the library preloaded that must not change.

mod following;
mod host;
mod life;
mod linkage;
mod lookup;
mod torch;
mod workshop;
