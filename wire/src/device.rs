//! The devices section: what each CUDA ordinal of the process is, and its gauges.
//!
//! Gauges are kept by the recorder with one atomic add each, so that totals and peaks are exact
//! even when nobody drains the ring. Word offsets count from the device's first word.

/// First half of the UUID, as `cuDeviceGetUuid_v2` gives it; both halves 0 until known.
pub const UUID_0: usize = 0;
/// Second half of the UUID.
pub const UUID_1: usize = 1;
/// Memory of the device in bytes.
pub const TOTAL: usize = 2;
/// Bytes the process took from the driver: linear, VMM handles, pools, arrays, graphs.
pub const RESERVED: usize = 3;
/// Greatest value of [`RESERVED`].
pub const RESERVED_PEAK: usize = 4;
/// `CLOCK_MONOTONIC` of that greatest value, in nanoseconds.
pub const RESERVED_PEAK_TIME: usize = 5;
/// Bytes in blocks: what PyTorch reported last, or the sum of stream-ordered allocations.
pub const ALLOCATED: usize = 6;
/// Greatest value of [`ALLOCATED`].
pub const ALLOCATED_PEAK: usize = 7;
/// `CLOCK_MONOTONIC` of that greatest value, in nanoseconds.
pub const ALLOCATED_PEAK_TIME: usize = 8;
/// What PyTorch's allocator last reported as reserved.
pub const TORCH_RESERVED: usize = 9;
/// Greatest value of [`TORCH_RESERVED`].
pub const TORCH_RESERVED_PEAK: usize = 10;
/// Bytes in stream-ordered allocations now.
pub const POOL_ALLOCATED: usize = 11;

/// The device of events whose device is not known.
pub const UNKNOWN: u8 = 63;

/// First word of `device` in the devices section.
#[must_use]
pub const fn at(device: u8) -> usize {
    (device & 63) as usize * crate::layout::DEVICE_WORDS
}
