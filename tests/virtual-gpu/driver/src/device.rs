//! The cards, and what they say about themselves.

use std::collections::BTreeMap;

use machine::{Identity, Machine};

use crate::arena::Arena;
use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{Out, Text, put_text};
use crate::store::Store;

/// One card that this process may use.
pub struct Device {
    /// The machine's number of it; the process's own ordinal may differ.
    pub index: usize,
    pub identity: Identity,
    pub store: Store,
    /// Allocations below 1 MiB share 2 MiB chunks.
    pub small: Arena,
    /// Handle of the primary context, the same each time it comes to life.
    pub primary: u64,
    pub primary_users: u64,
    pub primary_flags: u32,
    pub default_pool: u64,
    pub current_pool: u64,
    /// Where allocations of stream captures come from.
    pub graph_pool: u64,
}

impl Device {
    /// The machine's card `index`.
    pub fn new(machine: &Machine, index: usize, pool: u64, graph_pool: u64) -> Outcome<Self> {
        let store = Store::new(index as u64, machine.total_bytes());
        Ok(Self {
            index,
            identity: machine.identity(index),
            store: store.map_err(|_| Code::OPERATING_SYSTEM)?,
            small: Arena::default(),
            primary: 0x5500_0000_0000 + 0x1000 * (index as u64 + 1),
            primary_users: 0,
            primary_flags: 0,
            default_pool: pool,
            current_pool: pool,
            graph_pool,
        })
    }
}

/// The machine's cards that `CUDA_VISIBLE_DEVICES` lets through, in its order. As with the real
/// driver the list ends at the first entry that names no card or one named before.
pub fn visible(count: usize, uuid: impl Fn(usize) -> String) -> Vec<usize> {
    let Ok(list) = std::env::var("CUDA_VISIBLE_DEVICES") else {
        return (0..count).collect();
    };
    let find = |entry: &str| match entry.parse::<usize>() {
        Ok(index) => (index < count).then_some(index),
        Err(_) if entry.starts_with("GPU-") => {
            (0..count).find(|&index| uuid(index).starts_with(entry))
        }
        Err(_) => None,
    };
    let mut seen = Vec::new();
    for index in list.split(',').map_while(|entry| find(entry.trim())) {
        if seen.contains(&index) {
            break;
        }
        seen.push(index);
    }
    seen
}

fn get(driver: &mut Driver, out: Out<i32>, ordinal: i32) -> Outcome {
    driver.device(ordinal)?;
    out.set(ordinal)
}

fn get_count(driver: &mut Driver, out: Out<i32>) -> Outcome {
    out.set(driver.devices.len() as i32)
}

fn get_name(driver: &mut Driver, buffer: Out<u8>, length: i32, device: i32) -> Outcome {
    put_text(buffer, length, &driver.device(device)?.identity.name)
}

fn get_uuid(driver: &mut Driver, out: Out<[u8; 16]>, device: i32) -> Outcome {
    out.set(driver.device(device)?.identity.uuid)
}

fn total_mem(driver: &mut Driver, out: Out<usize>, device: i32) -> Outcome {
    driver.device(device)?;
    out.set(driver.machine.total_bytes() as usize)
}

fn compute_capability(
    driver: &mut Driver,
    major: Out<i32>,
    minor: Out<i32>,
    device: i32,
) -> Outcome {
    driver.device(device)?;
    major.set(driver.config.compute_capability as i32 / 10)?;
    minor.set(driver.config.compute_capability as i32 % 10)
}

fn pci_bus_id(driver: &mut Driver, buffer: Out<u8>, length: i32, device: i32) -> Outcome {
    put_text(buffer, length, &driver.device(device)?.identity.pci_text()[4..])
}

fn by_pci_bus_id(driver: &mut Driver, out: Out<i32>, text: Text) -> Outcome {
    let text = text.get()?.to_uppercase();
    let matches = |device: &Device| device.identity.pci_text().ends_with(&text);
    let found = driver.devices.iter().position(matches).filter(|_| !text.is_empty());
    out.set(found.ok_or(Code::INVALID_DEVICE)? as i32)
}

fn can_access_peer(driver: &mut Driver, out: Out<i32>, device: i32, peer: i32) -> Outcome {
    driver.device(device)?;
    driver.device(peer)?;
    out.set((device != peer).into())
}

/// Attributes 1 to 4: rank, access, native atomics, array access.
fn p2p_attribute(driver: &mut Driver, out: Out<i32>, kind: i32, device: i32, peer: i32) -> Outcome {
    driver.device(device)?;
    driver.device(peer)?;
    match kind {
        1 => out.set(0),
        2..=4 => out.set((device != peer).into()),
        _ => Err(Code::INVALID_VALUE),
    }
}

fn exec_affinity_support(driver: &mut Driver, out: Out<i32>, _kind: i32, device: i32) -> Outcome {
    driver.device(device)?;
    out.set(0)
}

fn attribute(driver: &mut Driver, out: Out<i32>, kind: i32, device: i32) -> Outcome {
    let capability = driver.config.compute_capability as i32;
    let bus = driver.device(device)?.identity.pci_bus as i32;
    let value = match kind {
        33 => bus,
        75 => capability / 10,
        76 => capability % 10,
        // Clusters, tensor maps, multicast.
        120 | 127 | 132 => (capability >= 90).into(),
        1..=161 => FIXED.iter().find(|(number, _)| *number == kind).map_or(0, |&(_, value)| value),
        _ => return Err(Code::INVALID_VALUE),
    };
    out.set(value)
}

/// Number and value of the attributes that are the same on every virtual card, after an H100.
/// An attribute that is missing here is 0: no such feature.
const FIXED: &[(i32, i32)] = &[
    (1, 1024), // threads per block
    (2, 1024), // block dimensions
    (3, 1024),
    (4, 64),
    (5, i32::MAX), // grid dimensions
    (6, 65535),
    (7, 65535),
    (8, 49152),      // shared memory per block
    (9, 65536),      // constant memory
    (10, 32),        // warp
    (11, i32::MAX),  // pitch
    (12, 65536),     // registers per block
    (13, 1_980_000), // clock, kHz
    (14, 512),       // texture alignment
    (15, 1),         // overlaps copies
    (16, 132),       // multiprocessors
    (19, 1),         // maps host memory
    (21, 131_072),   // texture and surface extents
    (22, 131_072),
    (23, 65536),
    (24, 16384),
    (25, 16384),
    (26, 16384),
    (27, 32768),
    (28, 32768),
    (29, 2048),
    (30, 512),       // surface alignment
    (31, 1),         // concurrent kernels
    (32, 1),         // error correction
    (36, 2_619_000), // memory clock, kHz
    (37, 5120),      // bus width
    (38, 50 << 20),  // second level cache
    (39, 2048),      // threads per multiprocessor
    (40, 3),         // copy engines
    (41, 1),         // unified addressing
    (51, 32),        // texture pitch alignment
    (78, 1),         // stream priorities
    (79, 1),         // global first level cache
    (80, 1),         // local first level cache
    (81, 233_472),   // shared memory per multiprocessor
    (82, 65536),     // registers per multiprocessor
    (83, 1),         // managed memory
    (86, 0),
    (87, 2),         // single to double ratio
    (89, 1),         // managed memory together with the host
    (90, 1),         // preemption
    (91, 1),         // host pointers of registered memory
    (95, 1),         // cooperative launch
    (97, 232_448),   // shared memory per block, opt-in
    (99, 1),         // registers host memory
    (102, 1),        // virtual memory management
    (103, 1),        // exports file descriptors
    (106, 32),       // blocks per multiprocessor
    (108, 32 << 20), // persisting cache
    (109, 128 << 20),
    (111, 1024), // reserved shared memory per block
    (113, 1),
    (115, 1),  // memory pools
    (119, 1),  // pools export file descriptors
    (126, 4),  // memory synchronisation domains
    (129, 1),  // unified function pointers
    (134, -1), // host NUMA node: unknown
];

fn get_luid(driver: &mut Driver, _: Out<u8>, _: Out<u32>, device: i32) -> Outcome {
    driver.device(device)?;
    Err(Code::NOT_SUPPORTED)
}

/// `CUdevprop`, the structure of the first CUDA: the attributes 1 to 14.
fn properties(driver: &mut Driver, out: Out<[i32; 14]>, device: i32) -> Outcome {
    driver.device(device)?;
    let fixed: BTreeMap<i32, i32> = FIXED.iter().copied().collect();
    let order: [i32; 14] = std::array::from_fn(|index| index as i32 + 1);
    out.set(order.map(|kind| fixed.get(&kind).copied().unwrap_or(0)))
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuDeviceGet(out: Out<i32>, ordinal: i32) => locked get { 2000: cuDeviceGet }
    cuDeviceGetCount(out: Out<i32>) => locked get_count { 2000: cuDeviceGetCount }
    cuDeviceGetName(buffer: Out<u8>, length: i32, device: i32) => locked get_name {
        2000: cuDeviceGetName,
    }
    cuDeviceGetUuid(out: Out<[u8; 16]>, device: i32) => locked get_uuid {
        9020: cuDeviceGetUuid, 11040: cuDeviceGetUuid_v2,
    }
    cuDeviceGetLuid(luid: Out<u8>, mask: Out<u32>, device: i32) => locked get_luid {
        10000: cuDeviceGetLuid,
    }
    cuDeviceTotalMem(out: Out<usize>, device: i32) => locked total_mem { 3020: cuDeviceTotalMem_v2 }
    cuDeviceGetAttribute(out: Out<i32>, kind: i32, device: i32) => locked attribute {
        2000: cuDeviceGetAttribute,
    }
    cuDeviceGetProperties(out: Out<[i32; 14]>, device: i32) => locked properties {
        2000: cuDeviceGetProperties,
    }
    cuDeviceComputeCapability(
        major: Out<i32>, minor: Out<i32>, device: i32,
    ) => locked compute_capability {
        2000: cuDeviceComputeCapability,
    }
    cuDeviceGetPCIBusId(buffer: Out<u8>, length: i32, device: i32) => locked pci_bus_id {
        4010: cuDeviceGetPCIBusId,
    }
    cuDeviceGetByPCIBusId(out: Out<i32>, text: Text) => locked by_pci_bus_id {
        4010: cuDeviceGetByPCIBusId,
    }
    cuDeviceCanAccessPeer(out: Out<i32>, device: i32, peer: i32) => locked can_access_peer {
        4000: cuDeviceCanAccessPeer,
    }
    cuDeviceGetP2PAttribute(
        out: Out<i32>, kind: i32, device: i32, peer: i32,
    ) => locked p2p_attribute {
        8000: cuDeviceGetP2PAttribute,
    }
    cuDeviceGetExecAffinitySupport(
        out: Out<i32>, kind: i32, device: i32,
    ) => locked exec_affinity_support {
        11040: cuDeviceGetExecAffinitySupport,
    }
};
