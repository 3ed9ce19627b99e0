//! The hook table: the one list from which everything else about the hooked names comes.
//!
//! A row of `driver` is an exported symbol of libcuda, the first driver version that has it (as
//! `cuGetProcAddress` counts), and the function that says what its hook does, with the arguments of
//! the real one. The row's number, the entries of the shim, the name that `cuGetProcAddress` knows
//! it by and its stream flavour follow from that. A row of `torch` is a function of libc10.so.

use crate::elf::Name;

/// Hands the table to the macro `$with`.
#[macro_export]
macro_rules! hooks {
    ($with:ident) => {
        $with! {
            driver {
                cuInit 2000 => init::init(flags: u32);
                cuGetProcAddress 11030 => resolver::get_proc_address(name: *const core::ffi::c_char, function: *mut usize, version: i32, flags: u64);
                cuGetProcAddress_v2 12000 => resolver::get_proc_address_v2(name: *const core::ffi::c_char, function: *mut usize, version: i32, flags: u64, found: *mut u32);

                cuMemAlloc 2000 => linear::alloc(out: *mut u32, size: u32);
                cuMemAlloc_v2 3020 => linear::alloc(out: *mut u64, size: u64);
                cuMemAllocPitch 2000 => linear::alloc_pitch(out: *mut u32, pitch: *mut u32, width: u32, height: u32, element: u32);
                cuMemAllocPitch_v2 3020 => linear::alloc_pitch(out: *mut u64, pitch: *mut u64, width: u64, height: u64, element: u32);
                cuMemAllocManaged 6000 => linear::alloc_managed(out: *mut u64, size: u64, flags: u32);
                cuMemFree 2000 => linear::free(address: u32);
                cuMemFree_v2 3020 => linear::free(address: u64);

                cuMemAllocHost 2000 => host::alloc(out: *mut u64, size: u32);
                cuMemAllocHost_v2 3020 => host::alloc(out: *mut u64, size: u64);
                cuMemHostAlloc 2020 => host::alloc_flags(out: *mut u64, size: u64, flags: u32);
                cuMemFreeHost 2000 => host::free(address: u64);
                cuMemHostRegister 4000 => host::register(address: u64, size: u64, flags: u32);
                cuMemHostRegister_v2 6050 => host::register(address: u64, size: u64, flags: u32);
                cuMemHostUnregister 4000 => host::free(address: u64);

                cuMemAllocAsync 11020 => pool_block::alloc(out: *mut u64, size: u64, stream: u64);
                cuMemAllocAsync_ptsz 11020 => pool_block::alloc(out: *mut u64, size: u64, stream: u64);
                cuMemAllocFromPoolAsync 11020 => pool_block::alloc_from(out: *mut u64, size: u64, pool: u64, stream: u64);
                cuMemAllocFromPoolAsync_ptsz 11020 => pool_block::alloc_from(out: *mut u64, size: u64, pool: u64, stream: u64);
                cuMemFreeAsync 11020 => pool_block::free(address: u64, stream: u64);
                cuMemFreeAsync_ptsz 11020 => pool_block::free(address: u64, stream: u64);
                cuMemPoolCreate 11020 => pool::create(out: *mut u64, props: *const $crate::abi::PoolProps);
                cuMemPoolDestroy 11020 => pool::destroy(pool: u64);
                cuMemPoolTrimTo 11020 => pool::trim(pool: u64, keep: u64);
                cuMemPoolExportToShareableHandle 11020 => pool::export(out: *mut core::ffi::c_void, pool: u64, kind: u32, flags: u64);
                cuMemPoolExportPointer 11020 => pool::export_pointer(out: *mut $crate::abi::IpcHandle, address: u64);
                cuMemPoolGetAttribute 11020 => pool::get_attribute(pool: u64, attribute: u32, value: *mut u64);
                cuMemPoolSetAttribute 11020 => pool_place::set_attribute(pool: u64, attribute: u32, value: *const u64);
                cuMemPoolImportFromShareableHandle 11020 => pool_import::import(out: *mut u64, shared: u64, kind: u32, flags: u64);
                cuMemPoolImportPointer 11020 => pool_import::import_pointer(out: *mut u64, pool: u64, shared: *mut $crate::abi::IpcHandle);
                cuDeviceGetDefaultMemPool 11020 => pool_place::of_device(out: *mut u64, device: i32);
                cuDeviceGetMemPool 11020 => pool_place::of_device(out: *mut u64, device: i32);
                cuDeviceSetMemPool 11020 => pool_place::set_of_device(device: i32, pool: u64);
                cuMemGetDefaultMemPool 13000 => pool_place::of_location(out: *mut u64, place: *const $crate::abi::Location, kind: u32);
                cuMemGetMemPool 13000 => pool_place::of_location(out: *mut u64, place: *const $crate::abi::Location, kind: u32);
                cuMemSetMemPool 13000 => pool_place::set_of_location(place: *const $crate::abi::Location, kind: u32, pool: u64);

                cuMemCreate 10020 => vmm::create(out: *mut u64, size: u64, props: *const $crate::abi::AllocationProp, flags: u64);
                cuMemRelease 10020 => vmm::release(handle: u64);
                cuMemMap 10020 => vmm::map(address: u64, size: u64, offset: u64, handle: u64, flags: u64);
                cuMemUnmap 10020 => vmm::unmap(address: u64, size: u64);
                cuMemAddressReserve 10020 => vmm::reserve(out: *mut u64, size: u64, alignment: u64, wish: u64, flags: u64);
                cuMemAddressFree 10020 => vmm::unreserve(address: u64, size: u64);
                cuMemRetainAllocationHandle 11000 => vmm::retain(out: *mut u64, address: u64);
                cuMemExportToShareableHandle 10020 => vmm::export(out: *mut core::ffi::c_void, handle: u64, kind: u32, flags: u64);
                cuMemGetHandleForAddressRange 11070 => vmm::export_range(out: *mut core::ffi::c_void, address: u64, size: u64, kind: u32, flags: u64);
                cuMemImportFromShareableHandle 10020 => vmm::import(out: *mut u64, shared: u64, kind: u32);

                cuMulticastCreate 12010 => multicast::create(out: *mut u64, props: *const $crate::abi::MulticastProp);
                cuMulticastBindMem 12010 => multicast::bind_mem(object: u64, offset: u64, memory: u64, memory_offset: u64, size: u64, flags: u64);
                cuMulticastBindMem_v2 13010 => multicast::bind_mem_on(object: u64, device: i32, offset: u64, memory: u64, memory_offset: u64, size: u64, flags: u64);
                cuMulticastBindAddr 12010 => multicast::bind_addr(object: u64, offset: u64, address: u64, size: u64, flags: u64);
                cuMulticastBindAddr_v2 13010 => multicast::bind_addr_on(object: u64, device: i32, offset: u64, address: u64, size: u64, flags: u64);
                cuMulticastUnbind 12010 => multicast::unbind(object: u64, device: i32, offset: u64, size: u64);
                cuLogicalEndpointBindMem 13030 => multicast::endpoint_bind_mem(id: u32, device: i32, offset: u64, memory: u64, memory_offset: u64, size: u64, flags: u64);
                cuLogicalEndpointBindAddr 13030 => multicast::endpoint_bind_addr(id: u32, device: i32, offset: u64, address: u64, size: u64, flags: u64);
                cuLogicalEndpointUnbind 13030 => multicast::endpoint_unbind(id: u32, device: i32, offset: u64, size: u64);
                cuLogicalEndpointDestroy 13030 => multicast::endpoint_destroy(id: u32);

                cuArrayCreate 2000 => array::create(out: *mut u64, descriptor: *const $crate::abi::ArrayDescriptor<u32>);
                cuArrayCreate_v2 3020 => array::create(out: *mut u64, descriptor: *const $crate::abi::ArrayDescriptor<u64>);
                cuArray3DCreate 2000 => array::create_3d(out: *mut u64, descriptor: *const $crate::abi::Array3dDescriptor<u32>);
                cuArray3DCreate_v2 3020 => array::create_3d(out: *mut u64, descriptor: *const $crate::abi::Array3dDescriptor<u64>);
                cuArrayDestroy 2000 => array::destroy(array: u64);
                cuMipmappedArrayCreate 5000 => array::create_mipmapped(out: *mut u64, descriptor: *const $crate::abi::Array3dDescriptor<u64>, levels: u32);
                cuMipmappedArrayDestroy 5000 => array::destroy(array: u64);
                cuMemMapArrayAsync 11010 => sparse::map(infos: *const $crate::abi::ArrayMapInfo, count: u32, stream: u64);
                cuMemMapArrayAsync_ptsz 11010 => sparse::map(infos: *const $crate::abi::ArrayMapInfo, count: u32, stream: u64);

                cuIpcGetMemHandle 4010 => ipc::export(out: *mut $crate::abi::IpcHandle, address: u64);
                cuIpcOpenMemHandle 4010 => ipc::open(out: *mut u64, handle: $crate::abi::IpcHandle, flags: u32);
                cuIpcOpenMemHandle_v2 11000 => ipc::open(out: *mut u64, handle: $crate::abi::IpcHandle, flags: u32);
                cuIpcCloseMemHandle 4010 => ipc::close(address: u64);

                cuImportExternalMemory 10000 => external::import(out: *mut u64, handle: *const $crate::abi::ExternalHandle);
                cuExternalMemoryGetMappedBuffer 10000 => external::map_buffer(out: *mut u64, memory: u64, buffer: *const $crate::abi::ExternalBuffer);
                cuExternalMemoryGetMappedMipmappedArray 10000 => external::map_array(out: *mut u64, memory: u64, array: usize);
                cuDestroyExternalMemory 10000 => external::destroy(memory: u64);
                cuGraphicsResourceGetMappedPointer 3000 => external::mapped_pointer(out: *mut u32, size: *mut u32, resource: u64);
                cuGraphicsResourceGetMappedPointer_v2 3020 => external::mapped_pointer(out: *mut u64, size: *mut u64, resource: u64);
                cuGraphicsUnmapResources 3000 => external::unmap(count: u32, resources: *mut u64, stream: u64);
                cuGraphicsUnmapResources_ptsz 7000 => external::unmap(count: u32, resources: *mut u64, stream: u64);
                cuGraphicsUnregisterResource 3000 => external::unregister(resource: u64);

                cuCtxDestroy 2000 => context_end::destroy(context: u64);
                cuCtxDestroy_v2 4000 => context_end::destroy(context: u64);
                cuCtxDetach 2000 => context_end::detach(context: u64);
                cuDevicePrimaryCtxReset 7000 => context_end::reset(device: i32);
                cuDevicePrimaryCtxReset_v2 11000 => context_end::reset(device: i32);
                cuDevicePrimaryCtxRelease 7000 => context_end::release(device: i32);
                cuDevicePrimaryCtxRelease_v2 11000 => context_end::release(device: i32);
                cuCtxCreate 2000 => context::create(out: *mut u64, flags: u32, device: i32);
                cuCtxCreate_v2 3020 => context::create(out: *mut u64, flags: u32, device: i32);
                cuCtxCreate_v3 11040 => context::create_on(out: *mut u64, affinity: usize, count: i32, flags: u32, device: i32);
                cuCtxCreate_v4 12050 => context::create_with(out: *mut u64, params: usize, flags: u32, device: i32);
                cuGLCtxCreate 2000 => context::create(out: *mut u64, flags: u32, device: i32);
                cuGLCtxCreate_v2 3020 => context::create(out: *mut u64, flags: u32, device: i32);
                cuVDPAUCtxCreate 3010 => context::create_vdpau(out: *mut u64, flags: u32, device: i32, display: u32, resolve: usize);
                cuVDPAUCtxCreate_v2 3020 => context::create_vdpau(out: *mut u64, flags: u32, device: i32, display: u32, resolve: usize);
                cuGreenCtxDestroy 12040 => context_end::destroy_green(context: u64);
                cuGreenCtxCreate 12040 => context::create_green(out: *mut u64, resources: usize, device: i32, flags: u32);
                cuDevicePrimaryCtxRetain 7000 => context::retain(out: *mut u64, device: i32);
                cuCtxSetLimit 3010 => context::set_limit(limit: u32, value: u64);

                cuModuleLoad 2000 => module::load(out: *mut u64, image: usize);
                cuModuleLoadData 2000 => module::load(out: *mut u64, image: usize);
                cuModuleLoadDataEx 2010 => module::load_with(out: *mut u64, image: usize, count: u32, options: usize, values: usize);
                cuModuleLoadFatBinary 2000 => module::load(out: *mut u64, image: usize);
                cuModuleUnload 2000 => module::unload(module: u64);
                cuLibraryLoadData 12000 => module::load_library(out: *mut u64, code: usize, jit: usize, jit_values: usize, jit_count: u32, options: usize, values: usize, count: u32);
                cuLibraryLoadFromFile 12000 => module::load_library(out: *mut u64, code: usize, jit: usize, jit_values: usize, jit_count: u32, options: usize, values: usize, count: u32);
                cuLibraryUnload 12000 => module::unload(library: u64);
                cuFuncLoad 12040 => module::load_function(function: u64);

                cuCheckpointProcessCheckpoint 12080 => checkpoint::take(pid: i32, args: usize);
                cuCheckpointProcessRestore 12080 => checkpoint::restore(pid: i32, args: usize);

                cuStreamBeginCapture 10000 => capture::begin(stream: u64);
                cuStreamBeginCapture_ptsz 10000 => capture::begin(stream: u64);
                cuStreamBeginCapture_v2 10010 => capture::begin_mode(stream: u64, mode: u32);
                cuStreamBeginCapture_v2_ptsz 10010 => capture::begin_mode(stream: u64, mode: u32);
                cuStreamBeginCaptureToGraph 12030 => capture::begin_to_graph(stream: u64, graph: u64, dependencies: usize, edges: usize, count: u64, mode: u32);
                cuStreamBeginCaptureToGraph_ptsz 12030 => capture::begin_to_graph(stream: u64, graph: u64, dependencies: usize, edges: usize, count: u64, mode: u32);
                cuStreamBeginRecaptureToGraph 13030 => capture::begin_again(stream: u64, mode: u32, graph: u64, callback: usize, user: usize);
                cuStreamBeginRecaptureToGraph_ptsz 13030 => capture::begin_again(stream: u64, mode: u32, graph: u64, callback: usize, user: usize);
                cuStreamEndCapture 10000 => capture::end(stream: u64, graph: *mut u64);
                cuStreamEndCapture_ptsz 10000 => capture::end(stream: u64, graph: *mut u64);

                cuGraphAddMemAllocNode 11040 => graph::add_alloc_node(out: *mut u64, graph: u64, dependencies: usize, count: u64, params: *mut $crate::abi::AllocNode);
                cuGraphAddNode 12020 => graph::add_node(out: *mut u64, graph: u64, dependencies: usize, count: u64, params: *mut $crate::abi::NodeParams);
                cuGraphAddNode_v2 12030 => graph::add_node_edges(out: *mut u64, graph: u64, dependencies: usize, edges: usize, count: u64, params: *mut $crate::abi::NodeParams);
                cuGraphAddNode_v3 13040 => graph::add_node_edges(out: *mut u64, graph: u64, dependencies: usize, edges: usize, count: u64, params: *mut $crate::abi::NodeParams);
                cuGraphUpload 11010 => graph::launch(graph: u64, stream: u64);
                cuGraphUpload_ptsz 11010 => graph::launch(graph: u64, stream: u64);
                cuGraphLaunch 10000 => graph::launch(graph: u64, stream: u64);
                cuGraphLaunch_ptsz 10000 => graph::launch(graph: u64, stream: u64);
                cuDeviceGraphMemTrim 11040 => graph::trim(device: i32);
                cuDeviceGetGraphMemAttribute 11040 => graph::get_attribute(device: i32, attribute: u32, value: *mut u64);
            }
            torch {
                reportMemoryUsageToProfiler "_ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE" => c10::report_usage(address: u64, size: i64, allocated: u64, reserved: u64, device: u16);
                reportOutOfMemoryToProfiler "_ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE" => c10::report_out_of_memory(size: i64, allocated: u64, reserved: u64, device: u16);
            }
        }
    };
}

/// The newest CUDA whose functions this table was compared with. What a later one gives for a
/// hooked name may have other arguments, so it is wrapped only where its address is known.
pub const KNOWN_VERSION: i32 = 13_050;

macro_rules! rows {
    (
        driver { $($symbol:ident $since:literal => $module:ident::$function:ident($($rest:tt)*);)* }
        torch { $($torch:ident $mangled:literal => $c10:ident::$report:ident($($more:tt)*);)* }
    ) => {
        /// A hooked function; its number is the `api` of events.
        #[allow(non_camel_case_types, missing_docs, reason = "named as the functions are")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Api { $($symbol,)* $($torch,)* }

        const ALL: &[Row] = &[
            $(Row {
                api: Api::$symbol,
                symbol: Name::new(stringify!($symbol)),
                since: $since,
                behaviour: stringify!($module),
            },)*
            $(Row {
                api: Api::$torch,
                symbol: Name::new($mangled),
                since: NOT_DRIVER,
                behaviour: stringify!($c10),
            },)*
        ];

        /// The names in order, each ended by a newline, as they stand in the header of the ring.
        pub const NAMES: &str = concat!(
            $(stringify!($symbol), "\n",)*
            $("c10::", stringify!($torch), "\n",)*
        );
    };
}

const NOT_DRIVER: i32 = i32::MAX;

/// What is known about one hooked function.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its number.
    pub api: Api,
    /// Its exported symbol.
    pub symbol: Name,
    since: i32,
    /// The module of this crate that says what its hook does.
    pub behaviour: &'static str,
}

hooks!(rows);

/// Number of hooked functions.
pub const COUNT: usize = ALL.len();
/// The table: the row of an [`Api`] stands at its number.
pub static ROWS: [Row; COUNT] = *ALL.first_chunk::<COUNT>().expect("COUNT is its length");
const _: () = assert!(COUNT <= u8::MAX as usize);

impl Api {
    /// The function's row.
    #[must_use]
    pub fn row(self) -> Option<&'static Row> {
        ROWS.get(self as usize)
    }

    /// Whether this is the flavour whose default stream is the thread's own.
    #[must_use]
    pub fn per_thread(self) -> bool {
        self.row().is_some_and(Row::per_thread)
    }
}

impl Row {
    /// First driver version that has it, as `cuGetProcAddress` counts; `None` for torch's.
    #[must_use]
    pub fn since(&self) -> Option<i32> {
        (self.since != NOT_DRIVER).then_some(self.since)
    }

    /// Whether this is the flavour whose default stream is the thread's own.
    #[must_use]
    pub fn per_thread(&self) -> bool {
        self.symbol.text().ends_with("_ptsz")
    }

    /// The name by which `cuGetProcAddress` knows it: without version and flavour.
    #[must_use]
    pub fn asked_as(&self) -> &'static str {
        let text = self.symbol.text();
        let text = text.strip_suffix("_ptsz").unwrap_or(text);
        ["_v2", "_v3", "_v4"]
            .into_iter()
            .find_map(|version| text.strip_suffix(version))
            .unwrap_or(text)
    }
}

/// The driver function exported as `symbol`.
#[must_use]
pub fn by_symbol(symbol: &[u8]) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.since().is_some() && row.symbol.text().as_bytes() == symbol)
}

/// The function that `cuGetProcAddress` means by `name`, `version` and `flags`.
#[must_use]
pub fn by_query(name: &[u8], version: i32, flags: u64) -> Option<&'static Row> {
    if version > KNOWN_VERSION {
        return None;
    }
    let newest = |per_thread| {
        ROWS.iter()
            .filter(|row| row.asked_as().as_bytes() == name && row.per_thread() == per_thread)
            .filter(|row| row.since().is_some_and(|since| since <= version))
            .max_by_key(|row| row.since())
    };
    let per_thread = flags & crate::abi::PER_THREAD != 0;
    per_thread.then(|| newest(true)).flatten().or_else(|| newest(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_at_its_number_and_its_name_at_its_line() {
        let mut names = NAMES.lines();
        for (number, row) in ROWS.iter().enumerate() {
            assert_eq!(row.api as usize, number);
            let name = names.next().unwrap();
            let plain = name.strip_prefix("c10::").unwrap_or(name);
            assert!(row.symbol.text().contains(plain), "{name}");
        }
        assert_eq!(names.next(), None);
    }

    #[test]
    fn the_page_about_the_hooks_lists_the_table() {
        let page = include_str!("../../../docs/hooks.md");
        let (page, _) = page.split_once(LET_THROUGH).unwrap();
        let listed = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let listed: Vec<_> = listed.filter_map(|line| line.split_once("` |")).collect();
        assert_eq!(listed.len(), COUNT);
        for (row, (name, cells)) in ROWS.iter().zip(listed) {
            let plain = name.strip_prefix("c10::").unwrap_or(name);
            assert!(row.symbol.text().contains(plain), "{} is not {plain}", row.symbol.text());
            if let Some(since) = row.since() {
                let version = format!("{}.{}", since / 1000, since % 1000 / 10);
                assert!(cells.starts_with(&format!(" {version} |")), "{plain} since {version}");
            }
        }
    }

    /// Heading of the functions that are not hooked.
    const LET_THROUGH: &str = "## Let through, and why";

    /// What the page says of a function that is let through.
    fn let_through() -> Vec<(&'static str, &'static str)> {
        let page = include_str!("../../../docs/hooks.md");
        let (_, page) = page.split_once(LET_THROUGH).unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        rows.flat_map(|(names, why)| names.split("`, `").map(move |name| (name, why))).collect()
    }

    #[test]
    fn what_is_let_through_is_listed_once_with_a_reason_and_is_not_hooked() {
        let listed = let_through();
        assert!(listed.len() > 70, "{}", listed.len());
        let mut names: Vec<&str> = listed.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        for (name, why) in listed {
            assert!(
                name.starts_with("cu")
                    && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
            );
            assert!(by_symbol(name.as_bytes()).is_none(), "{name} is hooked");
            assert!(why.len() > " |".len(), "{name}");
        }
    }

    #[test]
    fn a_query_finds_the_newest_version_it_may_have() {
        let find = |name: &str, version, flags| {
            by_query(name.as_bytes(), version, flags).map(|row| row.symbol.text())
        };
        assert_eq!(find("cuMemAlloc", 2000, 0), Some("cuMemAlloc"));
        assert_eq!(find("cuMemAlloc", 12000, 0), Some("cuMemAlloc_v2"));
        assert_eq!(find("cuMemAlloc_v2", 12000, 0), None);
        assert_eq!(find("cuGetProcAddress", 11080, 0), Some("cuGetProcAddress"));
        assert_eq!(find("cuGetProcAddress", 12000, 0), Some("cuGetProcAddress_v2"));
        assert_eq!(find("cuGetProcAddress", 11020, 0), None);
        assert_eq!(find("cuMemAllocAsync", 12000, 2), Some("cuMemAllocAsync_ptsz"));
        assert_eq!(find("cuMemAllocAsync", 12000, 1), Some("cuMemAllocAsync"));
        assert_eq!(find("cuMemFree", 12000, 2), Some("cuMemFree_v2"));
        assert_eq!(find("cuCtxCreate", 11040, 0), Some("cuCtxCreate_v3"));
        assert_eq!(find("cuCtxCreate", 12050, 0), Some("cuCtxCreate_v4"));
        assert_eq!(find("cuGraphAddNode", 12020, 0), Some("cuGraphAddNode"));
        assert_eq!(find("cuGraphAddNode", KNOWN_VERSION, 0), Some("cuGraphAddNode_v3"));
        assert_eq!(find("cuGraphicsResourceGetMappedPointer", 3000, 0).map(str::len), Some(34));
        assert_eq!(find("cuStreamBeginCapture", 10000, 2), Some("cuStreamBeginCapture_ptsz"));
        assert_eq!(find("cuMemAlloc", KNOWN_VERSION + 1, 0), None);
        assert_eq!(find("", 12000, 0), None);
    }

    #[test]
    fn torch_functions_are_no_driver_functions() {
        let symbol = Api::reportMemoryUsageToProfiler.row().unwrap().symbol.text();
        assert!(by_symbol(symbol.as_bytes()).is_none());
        assert!(by_symbol(b"cuMemAlloc_v2").is_some());
        assert!(by_symbol(b"cuMemAlloc_v3").is_none());
    }
}
