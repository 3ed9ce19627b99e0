//! Virtual GPU: runtime.
