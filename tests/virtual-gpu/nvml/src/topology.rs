//! How cards are connected: side by side in one host, no link, no fabric.

use crate::ffi::{Code, Out, Outcome, exports, put};
use crate::state::{self, Handle};

/// `nvmlGpuFabricInfo_t`. State 0: the card supports no fabric.
#[repr(C)]
pub struct Fabric {
    cluster: [u8; 16],
    status: i32,
    clique: u32,
    state: u8,
}

/// The start of all versions of `nvmlGpuFabricInfoV_t`.
#[repr(C)]
pub struct FabricV {
    version: u32,
    cluster: [u8; 16],
    status: i32,
    clique: u32,
    state: u8,
    health: u32,
}

fn fabric(card: Handle, out: Out<'_, Fabric>) -> Outcome {
    state::index(card)?;
    put(out, Fabric { cluster: [0; 16], status: 0, clique: 0, state: 0 })
}

/// The lower bytes of a version are the structure's size.
fn fabric_v(card: Handle, out: Out<'_, FabricV>) -> Outcome {
    state::index(card)?;
    let out = out.ok_or(Code::INVALID_ARGUMENT)?;
    let version = out.version;
    if ((version & 0x00ff_ffff) as usize) < size_of::<FabricV>() {
        return Err(Code::ARGUMENT_VERSION_MISMATCH);
    }
    *out = FabricV { version, cluster: [0; 16], status: 0, clique: 0, state: 0, health: 0 };
    Ok(())
}

/// Cards reach each other in every way but over a link of their own.
fn p2p_status(card: Handle, peer: Handle, capability: u32, out: Out<'_, u32>) -> Outcome {
    const NVLINK: u32 = 2;
    const OK: u32 = 0;
    const NOT_SUPPORTED: u32 = 5;
    state::index(card)?;
    state::index(peer)?;
    put(out, if capability == NVLINK { NOT_SUPPORTED } else { OK })
}

/// 0 the same board, 30 the same host bridge.
fn common_ancestor(card: Handle, peer: Handle, out: Out<'_, u32>) -> Outcome {
    let same = state::index(card)? == state::index(peer)?;
    put(out, if same { 0 } else { 30 })
}

fn no_links(card: Handle) -> Outcome {
    state::index(card)?;
    Err(Code::NOT_SUPPORTED)
}

/// Every processor is as near as any other, and so is every node of the host's memory.
fn affinity(card: Handle, words: u32, out: *mut u64) -> Outcome {
    state::index(card)?;
    if out.is_null() {
        return Err(Code::INVALID_ARGUMENT);
    }
    for index in 0..words as usize {
        // SAFETY: the caller's array holds `words` words.
        unsafe { out.wrapping_add(index).write(u64::MAX) };
    }
    Ok(())
}

exports! {
    nvmlDeviceGetGpuFabricInfo(card: Handle, out: Out<'_, Fabric>) => fabric(card, out);
    nvmlDeviceGetGpuFabricInfoV(card: Handle, out: Out<'_, FabricV>) => fabric_v(card, out);
    nvmlDeviceGetP2PStatus(
        card: Handle, peer: Handle, capability: u32, out: Out<'_, u32>,
    ) => p2p_status(card, peer, capability, out);
    nvmlDeviceGetTopologyCommonAncestor(
        card: Handle, peer: Handle, out: Out<'_, u32>,
    ) => common_ancestor(card, peer, out);
    nvmlDeviceGetNvLinkState(card: Handle, _link: u32, _out: Out<'_, u32>) => no_links(card);
    nvmlDeviceGetNvLinkCapability(
        card: Handle, _link: u32, _capability: u32, _out: Out<'_, u32>,
    ) => no_links(card);
    nvmlDeviceGetNvLinkRemoteDeviceType(
        card: Handle, _link: u32, _out: Out<'_, u32>,
    ) => no_links(card);
    nvmlDeviceGetNvLinkRemotePciInfo_v2(card: Handle, _link: u32, _out: *mut u8) => no_links(card);
    nvmlDeviceGetCpuAffinity(
        card: Handle, words: u32, out: *mut u64,
    ) => affinity(card, words, out);
    nvmlDeviceGetMemoryAffinity(
        card: Handle, words: u32, out: *mut u64, _scope: u32,
    ) => affinity(card, words, out);
}
