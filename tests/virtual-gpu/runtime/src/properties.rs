//! `cudaDeviceProp` of CUDA 13, from the driver's attributes.
use crate::driver::Driver;
use crate::export::with_driver;
use crate::types::{Device, Out, Status};
use std::ffi::{c_char, c_int, c_uint};
use std::mem::offset_of;

/// `cudaDeviceProp`. The limits of textures and surfaces stay zero: nothing here uses them.
#[repr(C)]
struct Properties {
    name: [c_char; 256],
    uuid: [u8; 16],
    luid: [u8; 8],
    luid_device_node_mask: c_uint,
    total_global_memory: usize,
    shared_memory_per_block: usize,
    registers_per_block: c_int,
    warp_size: c_int,
    memory_pitch: usize,
    max_threads_per_block: c_int,
    max_threads_dimension: [c_int; 3],
    max_grid_size: [c_int; 3],
    total_constant_memory: usize,
    major: c_int,
    minor: c_int,
    texture_alignment: usize,
    texture_pitch_alignment: usize,
    multiprocessor_count: c_int,
    integrated: c_int,
    can_map_host_memory: c_int,
    texture_and_surface_limits: [c_int; 39],
    surface_alignment: usize,
    concurrent_kernels: c_int,
    ecc_enabled: c_int,
    pci_bus_id: c_int,
    pci_device_id: c_int,
    pci_domain_id: c_int,
    tcc_driver: c_int,
    async_engine_count: c_int,
    unified_addressing: c_int,
    memory_bus_width: c_int,
    l2_cache_size: c_int,
    persisting_l2_cache_max_size: c_int,
    max_threads_per_multiprocessor: c_int,
    stream_priorities_supported: c_int,
    global_l1_cache_supported: c_int,
    local_l1_cache_supported: c_int,
    shared_memory_per_multiprocessor: usize,
    registers_per_multiprocessor: c_int,
    managed_memory: c_int,
    is_multi_gpu_board: c_int,
    multi_gpu_board_group_id: c_int,
    host_native_atomic_supported: c_int,
    pageable_memory_access: c_int,
    concurrent_managed_access: c_int,
    compute_preemption_supported: c_int,
    can_use_host_pointer_for_registered_memory: c_int,
    cooperative_launch: c_int,
    shared_memory_per_block_optin: usize,
    pageable_memory_access_uses_host_page_tables: c_int,
    direct_managed_memory_access_from_host: c_int,
    max_blocks_per_multiprocessor: c_int,
    access_policy_max_window_size: c_int,
    reserved_shared_memory_per_block: usize,
    host_register_supported: c_int,
    sparse_array_supported: c_int,
    host_register_read_only_supported: c_int,
    timeline_semaphore_interop_supported: c_int,
    memory_pools_supported: c_int,
    gpu_direct_rdma_supported: c_int,
    gpu_direct_rdma_flush_writes_options: c_uint,
    gpu_direct_rdma_writes_ordering: c_int,
    memory_pool_supported_handle_types: c_uint,
    deferred_mapping_array_supported: c_int,
    ipc_event_supported: c_int,
    cluster_launch: c_int,
    unified_function_pointers: c_int,
    device_numa_config: c_int,
    device_numa_id: c_int,
    mps_enabled: c_int,
    host_numa_id: c_int,
    gpu_pci_device_id: c_uint,
    gpu_pci_subsystem_id: c_uint,
    host_numa_multinode_ipc_supported: c_int,
    reserved: [c_int; 56],
}

// The offsets that `driver_types.h` of CUDA 13.2 gives.
const _: () = assert!(size_of::<Properties>() == 1008);
const _: () = assert!(offset_of!(Properties, total_global_memory) == 288);
const _: () = assert!(offset_of!(Properties, major) == 360);
const _: () = assert!(offset_of!(Properties, multiprocessor_count) == 384);
const _: () = assert!(offset_of!(Properties, surface_alignment) == 552);
const _: () = assert!(offset_of!(Properties, shared_memory_per_multiprocessor) == 624);
const _: () = assert!(offset_of!(Properties, shared_memory_per_block_optin) == 672);
const _: () = assert!(offset_of!(Properties, memory_pools_supported) == 720);
const _: () = assert!(offset_of!(Properties, reserved) == 784);

/// The value of one device attribute, by the driver's number for it.
fn attribute(driver: &Driver, device: Device, number: c_int) -> Result<c_int, Status> {
    let mut value = 0;
    // SAFETY: a local for the result.
    unsafe { driver.cuDeviceGetAttribute(&mut value, number, device) }?;
    Ok(value)
}

fn read(driver: &Driver, device: Device) -> Result<Box<Properties>, Status> {
    // SAFETY: numbers and arrays of numbers only.
    let mut found: Box<Properties> = Box::new(unsafe { std::mem::zeroed() });
    // SAFETY: the length is the buffer's.
    unsafe { driver.cuDeviceGetName(found.name.as_mut_ptr(), found.name.len() as c_int, device) }?;
    // SAFETY: a place of 16 bytes.
    unsafe { driver.cuDeviceGetUuid(&mut found.uuid, device) }?;
    // SAFETY: a place for the result.
    unsafe { driver.cuDeviceTotalMem(&mut found.total_global_memory, device) }?;

    let number = |attribute_number| attribute(driver, device, attribute_number);
    let size =
        |attribute_number| number(attribute_number).map(|value| value.unsigned_abs() as usize);
    found.max_threads_per_block = number(1)?;
    found.max_threads_dimension = [number(2)?, number(3)?, number(4)?];
    found.max_grid_size = [number(5)?, number(6)?, number(7)?];
    found.shared_memory_per_block = size(8)?;
    found.total_constant_memory = size(9)?;
    found.warp_size = number(10)?;
    found.memory_pitch = size(11)?;
    found.registers_per_block = number(12)?;
    found.texture_alignment = size(14)?;
    found.multiprocessor_count = number(16)?;
    found.integrated = number(18)?;
    found.can_map_host_memory = number(19)?;
    found.surface_alignment = size(30)?;
    found.concurrent_kernels = number(31)?;
    found.ecc_enabled = number(32)?;
    found.pci_bus_id = number(33)?;
    found.pci_device_id = number(34)?;
    found.memory_bus_width = number(37)?;
    found.l2_cache_size = number(38)?;
    found.max_threads_per_multiprocessor = number(39)?;
    found.async_engine_count = number(40)?;
    found.unified_addressing = number(41)?;
    found.pci_domain_id = number(50)?;
    found.texture_pitch_alignment = size(51)?;
    found.major = number(75)?;
    found.minor = number(76)?;
    found.stream_priorities_supported = number(78)?;
    found.shared_memory_per_multiprocessor = size(81)?;
    found.registers_per_multiprocessor = number(82)?;
    found.managed_memory = number(83)?;
    found.concurrent_managed_access = number(89)?;
    found.can_use_host_pointer_for_registered_memory = number(91)?;
    found.cooperative_launch = number(95)?;
    found.shared_memory_per_block_optin = size(97)?;
    found.host_register_supported = number(99)?;
    found.max_blocks_per_multiprocessor = number(106)?;
    found.reserved_shared_memory_per_block = size(111)?;
    found.memory_pools_supported = number(115)?;
    found.memory_pool_supported_handle_types = number(119)?.unsigned_abs();
    found.cluster_launch = number(120)?;
    found.ipc_event_supported = number(125)?;
    found.unified_function_pointers = number(129)?;
    Ok(found)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaGetDeviceProperties(
    properties: Out<Properties>,
    device: Device,
) -> Status {
    with_driver(|driver| properties.set(*read(driver, device)?))
}
