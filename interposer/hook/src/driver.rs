//! Questions to the driver itself: which device, how much a pool holds.
//!
//! The functions are libcuda's own, found by the symbol walk when recording starts. Each question
//! answers `None` when its function is missing or fails, and an out-parameter is read only after
//! success.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::{
    abi::{self, AllocationProp, ArrayRequirements, NOT_FOUND, SUCCESS, Status},
    elf::{self, Name, Object},
};

macro_rules! functions {
    ($($field:ident = $symbol:ident($($arg:ident: $type:ty),*);)*) => {
        /// The driver's functions; 0 for those not found.
        #[derive(Debug)]
        pub struct Driver { $($field: AtomicUsize,)* }

        impl Driver {
            /// With no function found.
            #[must_use]
            pub const fn new() -> Self {
                Self { $($field: AtomicUsize::new(0),)* }
            }

            /// Takes what `object` exports, in place of nothing.
            fn take(&self, object: &Object<'_>) {
                $(
                    if self.$field.load(Relaxed) == 0
                        && let Some(address) = object.symbol(&const { Name::new(stringify!($symbol)) })
                    {
                        self.$field.store(address, Relaxed);
                    }
                )*
            }

            /// Puts a function of a test in place of the driver's.
            #[cfg(test)]
            pub fn set(&self, symbol: &str, address: usize) {
                match symbol {
                    $(stringify!($symbol) => self.$field.store(address, Relaxed),)*
                    _ => panic!("{symbol} is no function of the driver that is used here"),
                }
            }

            $(fn $field(&self, $($arg: $type),*) -> Status {
                let address = self.$field.load(Relaxed);
                if address == 0 {
                    return NOT_FOUND;
                }
                // SAFETY: the address is that of the exported function, whose type this is.
                let real = unsafe {
                    core::mem::transmute::<usize, unsafe extern "C" fn($($type),*) -> Status>(address)
                };
                // SAFETY: only pointers to our own locals are passed.
                unsafe { real($($arg),*) }
            })*
        }
    };
}

functions! {
    version_fn = cuDriverGetVersion(out: *mut i32);
    device_fn = cuCtxGetDevice(out: *mut i32);
    context_fn = cuCtxGetCurrent(out: *mut u64);
    uuid_fn = cuDeviceGetUuid(out: *mut [u64; 2], device: i32);
    uuid_v2_fn = cuDeviceGetUuid_v2(out: *mut [u64; 2], device: i32);
    total_fn = cuDeviceTotalMem_v2(out: *mut u64, device: i32);
    free_fn = cuMemGetInfo_v2(free: *mut u64, total: *mut u64);
    range_fn = cuMemGetAddressRange_v2(base: *mut u64, size: *mut u64, address: u64);
    pointer_fn = cuPointerGetAttribute(out: *mut u64, attribute: u32, address: u64);
    pool_of_device_fn = cuDeviceGetMemPool(out: *mut u64, device: i32);
    pool_fn = cuMemPoolGetAttribute(pool: u64, attribute: u32, out: *mut u64);
    array_fn = cuArrayGetMemoryRequirements(out: *mut ArrayRequirements, array: u64, device: i32);
    mipmapped_fn = cuMipmappedArrayGetMemoryRequirements(out: *mut ArrayRequirements, array: u64, device: i32);
    graph_fn = cuDeviceGetGraphMemAttribute(device: i32, attribute: u32, out: *mut u64);
    handle_fn = cuMemGetAllocationPropertiesFromHandle(out: *mut AllocationProp, handle: u64);
    capturing_fn = cuStreamIsCapturing(stream: u64, out: *mut u32);
    capturing_ptsz_fn = cuStreamIsCapturing_ptsz(stream: u64, out: *mut u32);
    stream_device_fn = cuStreamGetDevice(stream: u64, out: *mut i32);
    stream_device_ptsz_fn = cuStreamGetDevice_ptsz(stream: u64, out: *mut i32);
    primary_fn = cuDevicePrimaryCtxGetState(device: i32, flags: *mut u32, active: *mut i32);
}

fn answer<T>(status: Status, value: T) -> Option<T> {
    (status == SUCCESS).then_some(value)
}

impl Driver {
    /// Finds the functions among the objects after the one that contains `inside`: in libcuda if
    /// it goes by its name, else wherever they are defined first.
    pub fn resolve(&self, inside: usize) {
        for any in [false, true] {
            elf::each_after(inside, |object| {
                if any || object.file_name().starts_with(b"libcuda.so") {
                    self.take(object);
                }
                core::ops::ControlFlow::Continue(())
            });
        }
    }

    /// Driver version, as 13020.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        let mut version = 0;
        let status = self.version_fn(&raw mut version);
        answer(status, u64::try_from(version).ok()?)
    }

    /// Ordinal of the current context's device.
    #[must_use]
    pub fn device(&self) -> Option<u8> {
        let mut device = 0;
        let status = self.device_fn(&raw mut device);
        answer(status, abi::ordinal(device)?)
    }

    /// The current context.
    #[must_use]
    pub fn context(&self) -> Option<u64> {
        let mut context = 0;
        let status = self.context_fn(&raw mut context);
        answer(status, context)
    }

    /// UUID of a device.
    #[must_use]
    pub fn uuid(&self, device: u8) -> Option<[u64; 2]> {
        let mut uuid = [0; 2];
        let status = match self.uuid_v2_fn(&raw mut uuid, device.into()) {
            NOT_FOUND => self.uuid_fn(&raw mut uuid, device.into()),
            status => status,
        };
        answer(status, uuid)
    }

    /// Memory of a device in bytes.
    #[must_use]
    pub fn total(&self, device: u8) -> Option<u64> {
        let mut total = 0;
        let status = self.total_fn(&raw mut total, device.into());
        answer(status, total)
    }

    /// Free bytes of the current device.
    #[must_use]
    pub fn free(&self) -> Option<u64> {
        let (mut free, mut total) = (0, 0);
        let status = self.free_fn(&raw mut free, &raw mut total);
        answer(status, free)
    }

    /// The allocation that `address` lies in: its first byte, and its bytes.
    #[must_use]
    pub fn range_of(&self, address: u64) -> Option<(u64, u64)> {
        let (mut base, mut size) = (0, 0);
        let status = self.range_fn(&raw mut base, &raw mut size, address);
        answer(status, (base, size))
    }

    /// The pool that stream-ordered memory at `address` comes from.
    #[must_use]
    pub fn pool_of(&self, address: u64) -> Option<u64> {
        let mut pool = 0;
        let status = self.pointer_fn(&raw mut pool, abi::POINTER_POOL, address);
        answer(status, pool).filter(|pool| *pool != 0)
    }

    /// The device that memory at `address` lies on.
    #[must_use]
    pub fn address_device(&self, address: u64) -> Option<u8> {
        // The driver writes 32 bits.
        let mut device = 0;
        let status = self.pointer_fn(&raw mut device, abi::POINTER_DEVICE, address);
        answer(status, abi::ordinal(device as i32)?)
    }

    /// The current pool of a device.
    #[must_use]
    pub fn pool_of_device(&self, device: u8) -> Option<u64> {
        let mut pool = 0;
        let status = self.pool_of_device_fn(&raw mut pool, device.into());
        answer(status, pool)
    }

    /// A 64-bit attribute of a pool.
    #[must_use]
    pub fn pool_attribute(&self, pool: u64, attribute: u32) -> Option<u64> {
        let mut value = 0;
        let status = self.pool_fn(pool, attribute, &raw mut value);
        answer(status, value)
    }

    /// Bytes that an array on `device` takes, as drivers tell them of few kinds of arrays.
    #[must_use]
    pub fn array_size(&self, array: u64, mipmapped: bool, device: u8) -> Option<u64> {
        let mut needs = ArrayRequirements::default();
        let status = if mipmapped {
            self.mipmapped_fn(&raw mut needs, array, device.into())
        } else {
            self.array_fn(&raw mut needs, array, device.into())
        };
        answer(status, needs.size)
    }

    /// A 64-bit attribute of a device's memory for graphs.
    #[must_use]
    pub fn graph_attribute(&self, device: u8, attribute: u32) -> Option<u64> {
        let mut value = 0;
        let status = self.graph_fn(device.into(), attribute, &raw mut value);
        answer(status, value)
    }

    /// Where the memory of a handle lies.
    #[must_use]
    pub fn handle_device(&self, handle: u64) -> Option<u8> {
        let place = abi::Location { kind: 0, id: 0 };
        let mut prop =
            AllocationProp { kind: 0, handle_types: 0, location: place, win32: 0, flags: 0 };
        let status = self.handle_fn(&raw mut prop, handle);
        answer(status, prop)?.location.device()
    }

    /// Whether calls on `stream` are captured now; `per_thread` says whose default stream 0 is.
    #[must_use]
    pub fn capturing(&self, stream: u64, per_thread: bool) -> Option<bool> {
        let mut capture = 0;
        let status = if per_thread {
            self.capturing_ptsz_fn(stream, &raw mut capture)
        } else {
            self.capturing_fn(stream, &raw mut capture)
        };
        answer(status, capture != 0)
    }

    /// The device of `stream`, which drivers before CUDA 12.8 do not tell; `per_thread` as above.
    #[must_use]
    pub fn stream_device(&self, stream: u64, per_thread: bool) -> Option<u8> {
        let mut device = 0;
        let status = if per_thread {
            self.stream_device_ptsz_fn(stream, &raw mut device)
        } else {
            self.stream_device_fn(stream, &raw mut device)
        };
        answer(status, abi::ordinal(device)?)
    }

    /// Whether a device's primary context is active.
    #[must_use]
    pub fn primary_active(&self, device: i32) -> Option<bool> {
        let (mut flags, mut active) = (0, 0);
        let status = self.primary_fn(device, &raw mut flags, &raw mut active);
        answer(status, active != 0)
    }
}

impl Default for Driver {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn device_three(out: *mut i32) -> Status {
        // SAFETY: the question passes a valid pointer.
        unsafe { *out = 3 };
        SUCCESS
    }

    extern "C" fn device_fails(out: *mut i32) -> Status {
        // SAFETY: as above.
        unsafe { *out = 3 };
        201
    }

    #[test]
    fn a_missing_function_and_a_failure_answer_nothing() {
        let driver = Driver::new();
        assert_eq!(driver.device(), None);
        driver.set("cuCtxGetDevice", device_fails as *const () as usize);
        assert_eq!(driver.device(), None);
        driver.set("cuCtxGetDevice", device_three as *const () as usize);
        assert_eq!(driver.device(), Some(3));
    }

    #[test]
    fn without_a_driver_nothing_is_found() {
        let driver = Driver::new();
        driver.resolve(Driver::resolve as *const () as usize);
        assert_eq!(driver.version(), None);
        assert_eq!(driver.uuid(0), None);
    }
}
