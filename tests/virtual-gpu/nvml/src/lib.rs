//! Virtual GPU: nvml.
