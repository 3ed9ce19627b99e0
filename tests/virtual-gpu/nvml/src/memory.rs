//! How full a card is.

use crate::ffi::{Code, Out, Outcome, exports, put};
use crate::state::{self, Handle};

/// `nvmlMemory_t`, all in bytes.
#[repr(C)]
pub struct Memory {
    total: u64,
    free: u64,
    used: u64,
}

/// `nvmlMemory_v2_t`, all in bytes.
#[repr(C)]
pub struct MemoryV2 {
    version: u32,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

const VERSION_2: u32 = 2 << 24 | size_of::<MemoryV2>() as u32;

fn read(card: Handle) -> Outcome<Memory> {
    let machine = state::machine()?;
    let used = machine.used_bytes(state::index(card)?);
    let total = machine.total_bytes();
    Ok(Memory { total, free: total.saturating_sub(used), used })
}

fn info(card: Handle, out: Out<'_, Memory>) -> Outcome {
    put(out, read(card)?)
}

fn info_v2(card: Handle, out: Out<'_, MemoryV2>) -> Outcome {
    let Memory { total, free, used } = read(card)?;
    let out = out.ok_or(Code::INVALID_ARGUMENT)?;
    if out.version != VERSION_2 {
        return Err(Code::ARGUMENT_VERSION_MISMATCH);
    }
    *out = MemoryV2 { version: VERSION_2, total, reserved: 0, free, used };
    Ok(())
}

/// The window through which the host sees the card: all of it, and unused. Same layout.
fn window(card: Handle, out: Out<'_, Memory>) -> Outcome {
    let total = state::machine()?.total_bytes();
    state::index(card)?;
    put(out, Memory { total, free: total, used: 0 })
}

exports! {
    nvmlDeviceGetMemoryInfo(card: Handle, out: Out<'_, Memory>) => info(card, out);
    nvmlDeviceGetMemoryInfo_v2(card: Handle, out: Out<'_, MemoryV2>) => info_v2(card, out);
    nvmlDeviceGetBAR1MemoryInfo(card: Handle, out: Out<'_, Memory>) => window(card, out);
}
