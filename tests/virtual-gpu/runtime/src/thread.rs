//! What the runtime keeps per thread: the chosen device, the last error, pending launch
//! configurations.
use crate::types::{Device, Dim3, Handle, SUCCESS, Status};
use std::cell::{Cell, RefCell};

/// What `<<<grid, block, shared, stream>>>` said, between the push and the pop around a kernel's
/// stub.
#[derive(Clone, Copy)]
pub struct LaunchConfiguration {
    pub grid: Dim3,
    pub block: Dim3,
    pub shared: usize,
    pub stream: Handle,
}

thread_local! {
    static DEVICE: Cell<Device> = const { Cell::new(0) };
    static LAST_ERROR: Cell<Status> = const { Cell::new(SUCCESS) };
    static CONFIGURATIONS: RefCell<Vec<LaunchConfiguration>> = const { RefCell::new(Vec::new()) };
}

/// The device this thread chose; 0 unless it did.
pub fn device() -> Device {
    DEVICE.get()
}

/// Chooses this thread's device.
pub fn set_device(device: Device) {
    DEVICE.set(device);
}

/// Keeps `status` as the last error, unless it is success, and hands it on.
pub fn note(status: Status) -> Status {
    if status != SUCCESS {
        LAST_ERROR.set(status);
    }
    status
}

/// The last error.
pub fn last_error() -> Status {
    LAST_ERROR.get()
}

/// The last error, which is then forgotten.
pub fn take_last_error() -> Status {
    LAST_ERROR.replace(SUCCESS)
}

/// Keeps a launch configuration until the kernel's stub asks for it.
pub fn push_configuration(configuration: LaunchConfiguration) {
    CONFIGURATIONS.with_borrow_mut(|stack| stack.push(configuration));
}

/// The innermost launch configuration.
pub fn pop_configuration() -> Option<LaunchConfiguration> {
    CONFIGURATIONS.with_borrow_mut(Vec::pop)
}
