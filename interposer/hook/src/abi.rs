//! The few types and numbers of `cuda.h` that the hooks touch.

/// `CUresult`.
pub type Status = i32;
/// `CUDA_SUCCESS`.
pub const SUCCESS: Status = 0;
/// `CUDA_ERROR_INVALID_VALUE`.
pub const INVALID_VALUE: Status = 1;
/// `CUDA_ERROR_OUT_OF_MEMORY`.
pub const OUT_OF_MEMORY: Status = 2;
/// `CUDA_ERROR_NOT_INITIALIZED`: what an exported hook answers when there is no driver to call.
pub const NOT_INITIALIZED: Status = 3;
/// `CUDA_ERROR_INVALID_HANDLE`.
pub const INVALID_HANDLE: Status = 400;
/// `CUDA_ERROR_NOT_FOUND`.
pub const NOT_FOUND: Status = 500;
/// `CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED`.
pub const HOST_MEMORY_NOT_REGISTERED: Status = 713;

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

/// `CUarrayMapInfo`: memory for a region of a sparse array, or none any more.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ArrayMapInfo {
    /// `CUresourcetype`.
    pub resource_kind: u32,
    /// The array, or the mipmapped one.
    pub array: u64,
    /// `CUarraySparseSubresourceType`.
    pub subresource_kind: u32,
    /// Pairs of 32 bits: level and layer, x and y, z and width, height and depth. In the tail of small
    /// levels: layer and nothing, then offset and bytes, of 64 bits.
    pub subresource: [u64; 4],
    /// `CUmemOperationType`.
    pub operation: u32,
    /// `CUmemHandleType`.
    pub handle_kind: u32,
    /// The memory, to map.
    pub handle: u64,
    /// Where in the memory.
    pub offset: u64,
    /// A bit for the one device.
    pub devices: u32,
    /// 0.
    pub flags: u32,
    /// 0.
    pub reserved: [u32; 2],
}

/// The beginning of `CUmulticastObjectProp`, which is all that is read.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MulticastProp {
    /// Devices that will take part.
    pub devices: u32,
    /// Bytes that may be bound on each.
    pub size: u64,
}

/// `CUDA_ARRAY_DESCRIPTOR`, whose lengths have 32 bits or 64.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ArrayDescriptor<W> {
    /// Elements in a row.
    pub width: W,
    /// Rows; 0 for one row.
    pub height: W,
    /// `CUarray_format`.
    pub format: u32,
    /// Channels of an element.
    pub channels: u32,
}

/// `CUDA_ARRAY3D_DESCRIPTOR`, whose lengths have 32 bits or 64.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Array3dDescriptor<W> {
    /// Elements in a row.
    pub width: W,
    /// Rows; 0 for one row.
    pub height: W,
    /// Slices, or layers; 0 for one.
    pub depth: W,
    /// `CUarray_format`.
    pub format: u32,
    /// Channels of an element.
    pub channels: u32,
    /// `CUDA_ARRAY3D_*`.
    pub flags: u32,
}

/// `CUDA_ARRAY_MEMORY_REQUIREMENTS`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct ArrayRequirements {
    /// Bytes.
    pub size: u64,
    /// Bytes.
    pub alignment: u64,
    reserved: [u32; 4],
}

/// `CUDA_EXTERNAL_MEMORY_HANDLE_DESC` as far as it is read.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ExternalHandle {
    /// `CUexternalMemoryHandleType`.
    pub kind: u32,
    /// A file descriptor, or pointers.
    pub handle: [u64; 2],
    /// Bytes.
    pub size: u64,
}

/// `CUDA_EXTERNAL_MEMORY_BUFFER_DESC` as far as it is read.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ExternalBuffer {
    /// Where in the memory it begins.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// `CUDA_MEM_ALLOC_NODE_PARAMS`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AllocNode {
    /// Where the memory will lie.
    pub pool: PoolProps,
    rest_of_pool: [u64; 9],
    accesses: usize,
    accesses_count: u64,
    /// Bytes.
    pub size: u64,
    /// The address it will have, which the call writes.
    pub address: u64,
}

/// `CUgraphNodeParams` as far as it is read.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct NodeParams {
    /// `CUgraphNodeType`.
    pub kind: u32,
    reserved: [u32; 3],
    /// What the node is told, if it is [`ALLOC_NODE`].
    pub alloc: AllocNode,
}

const _: () = assert!(size_of::<ArrayRequirements>() == 32);
const _: () = assert!(core::mem::offset_of!(ExternalHandle, size) == 24);
const _: () = assert!(size_of::<AllocNode>() == 120);
const _: () = assert!(core::mem::offset_of!(AllocNode, size) == 104);
const _: () = assert!(core::mem::offset_of!(NodeParams, alloc) == 16);

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
/// `CU_MEMPOOL_ATTR_RELEASE_THRESHOLD`.
pub const POOL_THRESHOLD: u32 = 4;
/// `CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT`.
pub const GRAPH_USED: u32 = 0;
/// `CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT`.
pub const GRAPH_RESERVED: u32 = 2;
/// `CU_GRAPH_NODE_TYPE_MEM_ALLOC`.
pub const ALLOC_NODE: u32 = 10;
/// `CUDA_ARRAY3D_LAYERED`: the depth counts layers.
pub const ARRAY_LAYERED: u32 = 1;
/// `CUDA_ARRAY3D_CUBEMAP`: the depth counts faces.
pub const ARRAY_CUBEMAP: u32 = 4;
/// `CUDA_ARRAY3D_SPARSE` and `CUDA_ARRAY3D_DEFERRED_MAPPING`: memory comes, if any, by mapping.
pub const ARRAY_WITHOUT_MEMORY: u32 = 0x40 | 0x80;
/// `CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL`.
pub const POINTER_DEVICE: u32 = 9;
/// `CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE`.
pub const POINTER_POOL: u32 = 17;
/// `CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM`.
pub const PER_THREAD: u64 = 2;

/// What the program put at `from` for the driver to read; `None` if it put nothing.
///
/// # Safety
/// `from` is null, or the driver read a `T` there.
#[must_use]
pub unsafe fn read<T: Copy>(from: *const T) -> Option<T> {
    // SAFETY: the caller's promise.
    (!from.is_null()).then(|| unsafe { from.read_unaligned() })
}

/// A `CUdevice` as the ordinal that events carry; `None` if it is none they can.
#[must_use]
pub fn ordinal(device: i32) -> Option<u8> {
    u8::try_from(device).ok().filter(|device| *device < wire::device::UNKNOWN)
}
