//! What a card is, and the readings of its sensors, which are always those of an idle card.

use std::ffi::{CStr, c_char};

use machine::Config;

use crate::ffi::{Code, Out, Outcome, exports, put, put_text, text_field};
use crate::state::{self, Handle};

/// `nvmlPciInfo_t`; the older forms end before or within `bus_id`.
#[repr(C)]
pub struct PciInfo {
    bus_id_legacy: [u8; 16],
    domain: u32,
    bus: u32,
    device: u32,
    device_id: u32,
    subsystem_id: u32,
    bus_id: [u8; 32],
}

/// `nvmlPciInfo_v2_t`.
#[repr(C)]
pub struct PciInfoV2 {
    bus_id: [u8; 16],
    domain: u32,
    bus: u32,
    device: u32,
    device_id: u32,
    subsystem_id: u32,
    reserved: [u32; 4],
}

/// `nvmlUtilization_t`.
#[repr(C)]
pub struct Utilization {
    gpu: u32,
    memory: u32,
}

const DEVICE_ID: u32 = 0x2330_10de;

fn pci_info(card: Handle, out: Out<'_, PciInfo>) -> Outcome {
    let identity = state::identity(card)?;
    let text = identity.pci_text();
    put(
        out,
        PciInfo {
            bus_id_legacy: text_field(&text[4..]),
            domain: 0,
            bus: identity.pci_bus,
            device: 0,
            device_id: DEVICE_ID,
            subsystem_id: 0,
            bus_id: text_field(&text),
        },
    )
}

fn pci_info_v2(card: Handle, out: Out<'_, PciInfoV2>) -> Outcome {
    let identity = state::identity(card)?;
    put(
        out,
        PciInfoV2 {
            bus_id: text_field(&identity.pci_text()[4..]),
            domain: 0,
            bus: identity.pci_bus,
            device: 0,
            device_id: DEVICE_ID,
            subsystem_id: 0,
            reserved: [0; 4],
        },
    )
}

/// Copies a C string argument.
fn argument(text: *const c_char) -> Outcome<String> {
    if text.is_null() {
        return Err(Code::INVALID_ARGUMENT);
    }
    // SAFETY: not null, and ends with a zero byte by the caller's promise.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

fn by_index(index: u32, out: Out<'_, Handle>) -> Outcome {
    put(out, state::handle(index as usize)?)
}

fn by_uuid(uuid: *const c_char, out: Out<'_, Handle>) -> Outcome {
    let uuid = argument(uuid)?;
    put(out, state::find(|identity| identity.uuid_text() == uuid)?)
}

fn by_pci(bus_id: *const c_char, out: Out<'_, Handle>) -> Outcome {
    let bus_id = argument(bus_id)?.to_uppercase();
    let fits =
        |text: String| !bus_id.is_empty() && (text.ends_with(&bus_id) || bus_id.ends_with(&text));
    put(out, state::find(|identity| fits(identity.pci_text()))?)
}

fn capability(card: Handle, major: Out<'_, i32>, minor: Out<'_, i32>) -> Outcome {
    state::index(card)?;
    let capability = Config::from_env().compute_capability as i32;
    put(major, capability / 10)?;
    put(minor, capability % 10)
}

/// NVML's own numbers of the generations: 7 Ampere, 8 Ada, 9 Hopper, 10 Blackwell.
fn architecture(card: Handle, out: Out<'_, u32>) -> Outcome {
    state::index(card)?;
    put(
        out,
        match Config::from_env().compute_capability {
            0..80 => 6,
            80..89 => 7,
            89 => 8,
            90..100 => 9,
            _ => 10,
        },
    )
}

/// A reading that is the same on every card.
fn reading(card: Handle, out: Out<'_, u32>, value: u32) -> Outcome {
    state::index(card)?;
    put(out, value)
}

fn unsupported(card: Handle) -> Outcome {
    state::index(card)?;
    Err(Code::NOT_SUPPORTED)
}

fn modes(card: Handle, current: Out<'_, u32>, pending: Out<'_, u32>, mode: u32) -> Outcome {
    state::index(card)?;
    put(current, mode)?;
    put(pending, mode)
}

fn count(out: Out<'_, u32>) -> Outcome {
    put(out, state::machine()?.devices() as u32)
}

fn name(card: Handle, buffer: *mut c_char, length: u32) -> Outcome {
    put_text(buffer, length, &state::identity(card)?.name)
}

fn uuid(card: Handle, buffer: *mut c_char, length: u32) -> Outcome {
    put_text(buffer, length, &state::identity(card)?.uuid_text())
}

fn index(card: Handle, out: Out<'_, u32>) -> Outcome {
    put(out, state::index(card)? as u32)
}

fn utilization(card: Handle, out: Out<'_, Utilization>) -> Outcome {
    state::index(card)?;
    put(out, Utilization { gpu: 0, memory: 0 })
}

exports! {
    nvmlDeviceGetCount(out: Out<'_, u32>) => count(out);
    nvmlDeviceGetCount_v2(out: Out<'_, u32>) => count(out);
    nvmlDeviceGetHandleByIndex(at: u32, out: Out<'_, Handle>) => by_index(at, out);
    nvmlDeviceGetHandleByIndex_v2(at: u32, out: Out<'_, Handle>) => by_index(at, out);
    nvmlDeviceGetHandleByUUID(text: *const c_char, out: Out<'_, Handle>) => by_uuid(text, out);
    nvmlDeviceGetHandleByPciBusId(text: *const c_char, out: Out<'_, Handle>) => by_pci(text, out);
    nvmlDeviceGetHandleByPciBusId_v2(
        text: *const c_char, out: Out<'_, Handle>,
    ) => by_pci(text, out);
    nvmlDeviceGetName(card: Handle, buffer: *mut c_char, length: u32) => name(card, buffer, length);
    nvmlDeviceGetUUID(card: Handle, buffer: *mut c_char, length: u32) => uuid(card, buffer, length);
    nvmlDeviceGetSerial(card: Handle, _buffer: *mut c_char, _length: u32) => unsupported(card);
    nvmlDeviceGetIndex(card: Handle, out: Out<'_, u32>) => index(card, out);
    nvmlDeviceGetMinorNumber(card: Handle, out: Out<'_, u32>) => index(card, out);
    nvmlDeviceGetPciInfo(card: Handle, out: Out<'_, PciInfoV2>) => pci_info_v2(card, out);
    nvmlDeviceGetPciInfo_v2(card: Handle, out: Out<'_, PciInfoV2>) => pci_info_v2(card, out);
    nvmlDeviceGetPciInfo_v3(card: Handle, out: Out<'_, PciInfo>) => pci_info(card, out);
    nvmlDeviceGetCudaComputeCapability(
        card: Handle, major: Out<'_, i32>, minor: Out<'_, i32>,
    ) => capability(card, major, minor);
    nvmlDeviceGetArchitecture(card: Handle, out: Out<'_, u32>) => architecture(card, out);
    nvmlDeviceGetBrand(card: Handle, out: Out<'_, u32>) => reading(card, out, 0);
    nvmlDeviceGetComputeMode(card: Handle, out: Out<'_, u32>) => reading(card, out, 0);
    nvmlDeviceGetPersistenceMode(card: Handle, out: Out<'_, u32>) => reading(card, out, 1);
    nvmlDeviceGetPerformanceState(card: Handle, out: Out<'_, u32>) => reading(card, out, 0);
    nvmlDeviceGetNumGpuCores(card: Handle, out: Out<'_, u32>) => reading(card, out, 16896);
    nvmlDeviceGetMemoryBusWidth(card: Handle, out: Out<'_, u32>) => reading(card, out, 5120);
    nvmlDeviceGetPowerUsage(card: Handle, out: Out<'_, u32>) => reading(card, out, 100_000);
    nvmlDeviceGetPowerManagementLimit(
        card: Handle, out: Out<'_, u32>,
    ) => reading(card, out, 700_000);
    nvmlDeviceGetEnforcedPowerLimit(card: Handle, out: Out<'_, u32>) => reading(card, out, 700_000);
    nvmlDeviceGetTemperature(
        card: Handle, _sensor: u32, out: Out<'_, u32>,
    ) => reading(card, out, 40);
    nvmlDeviceGetFanSpeed(card: Handle, _out: Out<'_, u32>) => unsupported(card);
    nvmlDeviceGetClockInfo(
        card: Handle, _clock: u32, out: Out<'_, u32>,
    ) => reading(card, out, 1980);
    nvmlDeviceGetMaxClockInfo(
        card: Handle, _clock: u32, out: Out<'_, u32>,
    ) => reading(card, out, 1980);
    nvmlDeviceGetUtilizationRates(
        card: Handle, out: Out<'_, Utilization>,
    ) => utilization(card, out);
    nvmlDeviceGetEccMode(
        card: Handle, current: Out<'_, u32>, pending: Out<'_, u32>,
    ) => modes(card, current, pending, 1);
    nvmlDeviceGetMigMode(
        card: Handle, current: Out<'_, u32>, pending: Out<'_, u32>,
    ) => modes(card, current, pending, 0);
    nvmlDeviceGetMaxMigDeviceCount(card: Handle, out: Out<'_, u32>) => reading(card, out, 0);
}
