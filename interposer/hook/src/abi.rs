//! The few types and numbers of `cuda.h` that the hooks touch.

/// `CUresult`.
pub type Status = i32;
/// `CUDA_SUCCESS`.
pub const SUCCESS: Status = 0;
/// `CUDA_ERROR_OUT_OF_MEMORY`.
pub const OUT_OF_MEMORY: Status = 2;
/// `CUDA_ERROR_NOT_INITIALIZED`: what an exported hook answers when there is no driver to call.
pub const NOT_INITIALIZED: Status = 3;
/// `CUDA_ERROR_NOT_FOUND`.
pub const NOT_FOUND: Status = 500;

/// `CUipcMemHandle`, passed by value.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct IpcHandle([u8; 64]);

impl IpcHandle {
    /// A handle of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

/// `CUmemLocation`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Location {
    /// `CUmemLocationType`.
    pub kind: u32,
    /// A device's ordinal, or a NUMA node's number.
    pub id: i32,
}

impl Location {
    const DEVICE: u32 = 1;

    /// The device's ordinal, if this is a place on a device.
    #[must_use]
    pub fn device(&self) -> Option<u8> {
        if self.kind == Self::DEVICE { ordinal(self.id) } else { None }
    }
}

/// `CUmemAllocationProp`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AllocationProp {
    /// `CUmemAllocationType`.
    pub kind: u32,
    /// `CUmemAllocationHandleType`.
    pub handle_types: u32,
    /// Where the memory lies.
    pub location: Location,
    /// `win32HandleMetaData`.
    pub win32: usize,
    /// `allocFlags`.
    pub flags: u64,
}

/// The beginning of `CUmemPoolProps`, which is all that is read.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PoolProps {
    /// `CUmemAllocationType`.
    pub kind: u32,
    /// `CUmemAllocationHandleType`.
    pub handle_types: u32,
    /// Where the memory lies.
    pub location: Location,
}

const _: () = assert!(size_of::<AllocationProp>() == 32);

/// `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`.
pub const FILE_DESCRIPTOR: u32 = 1;
/// `CU_MEM_HANDLE_TYPE_FABRIC`.
pub const FABRIC: u32 = 8;
/// `CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT`.
pub const POOL_RESERVED: u32 = 5;
/// `CU_MEMPOOL_ATTR_USED_MEM_CURRENT`.
pub const POOL_USED: u32 = 7;
/// `CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE`.
pub const POINTER_POOL: u32 = 17;
/// `CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM`.
pub const PER_THREAD: u64 = 2;

/// A `CUdevice` as the ordinal that events carry; `None` if it is none they can.
#[must_use]
pub fn ordinal(device: i32) -> Option<u8> {
    u8::try_from(device).ok().filter(|device| *device < wire::device::UNKNOWN)
}
