//! Physical handles for other processes, as file descriptors.

use std::os::fd::IntoRawFd;

use machine::{dec, hex};

use crate::descriptor::{self, FILE_DESCRIPTOR};
use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::Out;
use crate::multicast::TeamProps;
use crate::physical::{Backing, Props};
use crate::store;

const TEAM: u64 = 0x7667_7075_7465_616d;

fn export_fd(driver: &mut Driver, handle: u64, kind: i32) -> Outcome<i32> {
    let physical = driver.physical(handle)?;
    // Without the wish at creation there is no export.
    if kind != FILE_DESCRIPTOR || physical.props.handle_types & FILE_DESCRIPTOR == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let (device, offset, size, id) = (physical.device, physical.offset, physical.size, physical.id);
    let file = match &physical.backing {
        Backing::Own => {
            driver.note_exported(id);
            let file = driver.devices[device].store.export(offset, size, id);
            file.map_err(|_| Code::OPERATING_SYSTEM)?
        }
        Backing::Multicast(team) => descriptor::carrying(&[TEAM, team.props.devices.into(), size])?,
        // What came from elsewhere stays there.
        Backing::Imported(..) => return Err(Code::INVALID_VALUE),
    };
    Ok(file.into_raw_fd())
}

fn export(driver: &mut Driver, out: Out<i32>, handle: u64, kind: i32, _flags: u64) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let exported = export_fd(driver, handle, kind);
    out.set(driver.note("cuMemExportToShareableHandle", &[hex("handle", handle)], exported)?)
}

/// A handle that was imported, and what it stands for.
#[derive(Default)]
struct Imported {
    handle: u64,
    size: u64,
    device: usize,
    /// The exporter's process id and its number for the memory; 0 and 0 for a multicast object.
    memory: (u32, u64),
}

fn import_fd(driver: &mut Driver, fd: i32, kind: i32) -> Outcome<Imported> {
    if kind != FILE_DESCRIPTOR {
        return Err(Code::NOT_SUPPORTED);
    }
    let file = descriptor::copied(fd)?;
    if let Ok([_, devices, size]) = descriptor::carried(&file, TEAM) {
        let props = TeamProps { devices: devices as u32, size, handle_types: 1, flags: 0 };
        return Ok(Imported { handle: driver.book_team(props), size, ..Imported::default() });
    }
    let (offset, exported) = store::exported(&file).map_err(|_| Code::INVALID_VALUE)?;
    let (size, memory) = (exported.size, (exported.owner.pid, exported.id));
    let same_card = |device: &crate::device::Device| device.index as u64 == exported.device;
    let device = driver.devices.iter().position(same_card).ok_or(Code::INVALID_DEVICE)?;
    // Exported by this very process: one more user of what is there.
    if driver.devices[device].store.is_same(&file) {
        let known = driver.physical.living.iter_mut().find(|(_, physical)| {
            matches!(physical.backing, Backing::Own)
                && (physical.device, physical.offset) == (device, offset)
        });
        let (&handle, physical) = known.ok_or(Code::INVALID_VALUE)?;
        physical.users += 1;
        return Ok(Imported { handle, size, device, memory });
    }
    let hold = driver.machine.hold(exported.owner, exported.id).map_err(|_| Code::OUT_OF_MEMORY)?;
    let (props, backing) = (Props::of_device(device, 1), Backing::Imported(file, hold));
    let handle = driver.book_physical(device, (offset, size), props, backing);
    Ok(Imported { handle, size, device, memory })
}

/// The descriptor comes in the pointer's place.
fn import(driver: &mut Driver, out: Out<u64>, fd: usize, kind: i32) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let imported = import_fd(driver, fd as i32, kind);
    let (told, imported) = match imported {
        Ok(told) => (told, Ok(())),
        Err(code) => (Imported::default(), Err(code)),
    };
    let (owner, id) = told.memory;
    let fields = [
        hex("handle", told.handle),
        dec("size", told.size),
        dec("dev", told.device as u64),
        dec("owner", owner.into()),
        dec("id", id),
    ];
    driver.note("cuMemImportFromShareableHandle", &fields, imported)?;
    out.set(told.handle)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemExportToShareableHandle(
        out: Out<i32>, handle: u64, kind: i32, flags: u64,
    ) => locked export {
        10020: cuMemExportToShareableHandle,
    }
    cuMemImportFromShareableHandle(out: Out<u64>, fd: usize, kind: i32) => locked import {
        10020: cuMemImportFromShareableHandle,
    }
};
