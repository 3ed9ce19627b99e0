//! Which processes hold memory of a card.

use machine::Usage;

use crate::ffi::{Code, Out, Outcome, exports};
use crate::state::{self, Handle};

/// The first form of `nvmlProcessInfo_t`: 16 bytes.
#[repr(C)]
pub struct Process {
    pid: u32,
    bytes: u64,
}

/// The form since version 2: 24 bytes. Without partitions both instances are "all bits set".
#[repr(C)]
pub struct ProcessV2 {
    pid: u32,
    bytes: u64,
    gpu_instance: u32,
    compute_instance: u32,
}

impl From<Usage> for Process {
    fn from(usage: Usage) -> Self {
        Self { pid: usage.pid, bytes: usage.bytes }
    }
}

impl From<Usage> for ProcessV2 {
    fn from(usage: Usage) -> Self {
        let (gpu_instance, compute_instance) = (u32::MAX, u32::MAX);
        Self { pid: usage.pid, bytes: usage.bytes, gpu_instance, compute_instance }
    }
}

/// Stores the list where it fits; where it does not, only its length.
fn put_list<T: From<Usage>>(list: Vec<Usage>, count: Out<'_, u32>, out: *mut T) -> Outcome {
    let count = count.ok_or(Code::INVALID_ARGUMENT)?;
    let room = std::mem::replace(count, list.len() as u32) as usize;
    if list.len() > room {
        return Err(Code::INSUFFICIENT_SIZE);
    }
    if out.is_null() && !list.is_empty() {
        return Err(Code::INVALID_ARGUMENT);
    }
    for (index, usage) in list.into_iter().enumerate() {
        // SAFETY: the caller's array holds `room` entries, and the list is no longer.
        unsafe { out.wrapping_add(index).write(usage.into()) };
    }
    Ok(())
}

fn compute<T: From<Usage>>(card: Handle, count: Out<'_, u32>, out: *mut T) -> Outcome {
    let list = state::machine()?.processes(state::index(card)?);
    put_list(list, count, out)
}

/// Nobody draws on a virtual card.
fn graphics<T: From<Usage>>(card: Handle, count: Out<'_, u32>, out: *mut T) -> Outcome {
    state::index(card)?;
    put_list(Vec::new(), count, out)
}

exports! {
    nvmlDeviceGetComputeRunningProcesses(
        card: Handle, count: Out<'_, u32>, out: *mut Process,
    ) => compute(card, count, out);
    nvmlDeviceGetComputeRunningProcesses_v2(
        card: Handle, count: Out<'_, u32>, out: *mut ProcessV2,
    ) => compute(card, count, out);
    nvmlDeviceGetComputeRunningProcesses_v3(
        card: Handle, count: Out<'_, u32>, out: *mut ProcessV2,
    ) => compute(card, count, out);
    nvmlDeviceGetGraphicsRunningProcesses(
        card: Handle, count: Out<'_, u32>, out: *mut Process,
    ) => graphics(card, count, out);
    nvmlDeviceGetGraphicsRunningProcesses_v2(
        card: Handle, count: Out<'_, u32>, out: *mut ProcessV2,
    ) => graphics(card, count, out);
    nvmlDeviceGetGraphicsRunningProcesses_v3(
        card: Handle, count: Out<'_, u32>, out: *mut ProcessV2,
    ) => graphics(card, count, out);
    nvmlDeviceGetMPSComputeRunningProcesses_v3(
        card: Handle, count: Out<'_, u32>, out: *mut ProcessV2,
    ) => graphics(card, count, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_has_16_bytes_and_the_later_ones_24() {
        assert_eq!((size_of::<Process>(), size_of::<ProcessV2>()), (16, 24));
    }

    #[test]
    fn a_list_without_room_gives_only_its_length() {
        let list = || vec![Usage { pid: 7, bytes: 8 }, Usage { pid: 9, bytes: 10 }];
        let mut count = 1;
        let none = std::ptr::null_mut::<ProcessV2>();
        assert_eq!(put_list(list(), Some(&mut count), none), Err(Code::INSUFFICIENT_SIZE));
        assert_eq!(count, 2);
        let mut room = [const { Process { pid: 0, bytes: 0 } }; 2];
        assert_eq!(put_list(list(), Some(&mut count), room.as_mut_ptr()), Ok(()));
        assert_eq!((room[1].pid, room[1].bytes), (9, 10));
    }
}
