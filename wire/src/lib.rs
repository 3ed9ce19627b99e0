//! Layout of the shared memory.
