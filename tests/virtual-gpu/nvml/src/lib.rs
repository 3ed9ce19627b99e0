//! `libnvidia-ml.so.1` of the virtual GPU: reads the accounting that the driver writes.
//!
//! Results go where the caller points. A null pointer is "invalid argument", any other is taken
//! at its word, as in every C interface.

mod card;
mod ffi;
mod memory;
mod processes;
mod state;
mod system;
mod topology;
