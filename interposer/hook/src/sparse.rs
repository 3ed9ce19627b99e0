//! Sparse arrays, and those whose memory is mapped later: arrays without memory of their own, whose
//! regions show that of handles. What is mapped stays until the region gets other memory or none, or
//! the array ends.
//!
//! Such a region is a binding. It is known by a number in the array's room: 2^62 and a hash of the array
//! above 40 bits that are a hash of where the region begins. No handle, and no endpoint, is there.
//! Should two arrays share a room (some hundreds of them are needed for one chance in a hundred), the
//! end of one counts as the end of what is mapped into the other.

use wire::{mix, record::Class};

use crate::{
    abi::{ArrayMapInfo, Status, ordinal, read},
    call::{Call, Note},
    event::{Event, Op},
};

type MapArrays = unsafe extern "C" fn(*const ArrayMapInfo, u32, u64) -> Status;

/// Size of an array's room.
pub const ROOM: u64 = 1 << 40;

const MIPMAPPED_ARRAY: u32 = 1;
const MIPTAIL: u32 = 1;
const MAP: u32 = 1;

/// Where the regions of an array are known to lie: a range of [`ROOM`].
#[must_use]
pub const fn room(array: u64) -> u64 {
    1 << 62 | (mix(array) >> 42).wrapping_mul(ROOM)
}

/// The number of the region that begins in a subresource, and its bytes, where the call says them.
const fn region(info: &ArrayMapInfo) -> (u64, u64) {
    let [first, second, third, _] = info.subresource;
    let low = u32::MAX as u64;
    let (place, size) = if info.subresource_kind == MIPTAIL {
        ([first & low, second, u64::MAX], third)
    } else {
        ([first, second, third & low], 0)
    };
    let hash = mix(mix(mix(place[0]) ^ place[1]) ^ place[2]);
    (room(info.array) | hash >> 24, size)
}

/// `cuMemMapArrayAsync`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn map(
    call: &Call<'_>,
    real: MapArrays,
    infos: *const ArrayMapInfo,
    count: u32,
    stream: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(infos, count, stream) };
    if let Some(note) = guard.note(status).filter(|note| note.succeeded() && !infos.is_null()) {
        for index in 0..count as usize {
            // SAFETY: the driver read so many.
            if let Some(info) = unsafe { read(infos.wrapping_add(index)) } {
                changed(&note, &info);
            }
        }
    }
    status
}

/// A region has other memory now, or none.
fn changed(note: &Note<'_>, info: &ArrayMapInfo) {
    let device = ordinal(info.devices.trailing_zeros().cast_signed());
    let device = device.unwrap_or_else(|| note.current_device());
    // One whose mapping was deferred, of which alone drivers tell the size, is mapped as a whole.
    let is_mipmapped = info.resource_kind == MIPMAPPED_ARRAY;
    let (address, size) = match note.driver().array_size(info.array, is_mipmapped, device) {
        Some(size) => (room(info.array), size),
        None => region(info),
    };
    let classes = 1 << Class::Binding as u32;
    note.publish(Event { address, size: 1, classes, device, ..note.event(Op::Ended) });
    if info.operation == MAP {
        let (class, aux) = (Class::Binding, info.handle);
        note.took(Event { class, address, size, aux, device, ..note.event(Op::Took) });
    }
}

const _: () = assert!(size_of::<ArrayMapInfo>() == 96);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::{ArrayRequirements, SUCCESS},
        table::Api,
        testing::{events, on, ops, recording},
    };

    extern "C" fn map_ok(_: *const ArrayMapInfo, _: u32, _: u64) -> Status {
        SUCCESS
    }

    extern "C" fn map_fails(_: *const ArrayMapInfo, _: u32, _: u64) -> Status {
        1
    }

    /// The first tile of an array on device 5 gets the memory of 0x77.
    const TILE: ArrayMapInfo = ArrayMapInfo {
        resource_kind: 0,
        array: 0xa0,
        subresource_kind: 0,
        subresource: [0, 0, 128 << 32, 128 | 1 << 32],
        operation: MAP,
        handle_kind: 0,
        handle: 0x77,
        offset: 0,
        devices: 1 << 5,
        flags: 0,
        reserved: [0; 2],
    };

    /// What a call with these recorded: operation, place, bytes, handle, device.
    fn mapped(infos: &[ArrayMapInfo]) -> Vec<(Op, u64, u64, u64, u8)> {
        let count = infos.len() as u32;
        // SAFETY: the real one looks at nothing, and there are so many.
        on(&recording(), Api::cuMemMapArrayAsync, |call| unsafe {
            map(call, map_ok, infos.as_ptr(), count, 0)
        });
        events().iter().map(|e| (e.op, e.address, e.size, e.aux, e.device)).collect()
    }

    #[test]
    fn a_region_that_gets_memory_loses_what_it_had_and_one_that_gets_none_only_loses() {
        let none = ArrayMapInfo { operation: 2, handle: 0, ..TILE };
        let told = mapped(&[TILE, none]);
        let place = told[0].1;
        assert!((room(0xa0)..room(0xa0) + ROOM).contains(&place));
        let lost = (Op::Ended, place, 1, 0, 5);
        assert_eq!(told, [lost, (Op::Took, place, 0, 0x77, 5), lost]);
    }

    #[test]
    fn each_region_has_a_place_of_its_own_whatever_is_beside_it() {
        let level = |subresource| ArrayMapInfo { subresource, ..TILE };
        let tail = |subresource| ArrayMapInfo { subresource_kind: MIPTAIL, ..level(subresource) };
        let regions = [
            TILE,
            level([1, 0, 0, 0]),
            level([1 << 32, 0, 0, 0]),
            level([0, 128, 0, 0]),
            level([0, 128 << 32, 0, 0]),
            level([0, 0, 16, 0]),
            tail([0, 0, 0x1_0000, 0]),
            tail([1, 0, 0x1_0000, 0]),
            tail([0, 0x1_0000, 0x1_0000, 0]),
            ArrayMapInfo { array: 0xb0, ..TILE },
        ];
        let took: Vec<_> = mapped(&regions).into_iter().filter(|told| told.0 == Op::Took).collect();
        let places: std::collections::BTreeSet<u64> = took.iter().map(|told| told.1).collect();
        assert_eq!(places.len(), regions.len());
        let sizes: Vec<u64> = took.iter().map(|told| told.2).collect();
        assert_eq!(sizes, [0, 0, 0, 0, 0, 0, 0x1_0000, 0x1_0000, 0x1_0000, 0]);
        // Lengths, and what is nothing, do not tell regions apart.
        let wide = mapped(&[level([0, 0, 512 << 32, 128 | 1 << 32])]);
        assert_eq!(wide[0].1, took[0].1);
        let padded = mapped(&[tail([7 << 32, 0, 0x1_0000, 9])]);
        assert_eq!(padded[0].1, took[6].1);
    }

    extern "C" fn needs(out: *mut ArrayRequirements, _: u64, _: i32) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { (*out).size = 4096 };
        SUCCESS
    }

    #[test]
    fn an_array_whose_memory_came_later_is_mapped_as_a_whole() {
        let hooks = recording();
        hooks.driver.set("cuMipmappedArrayGetMemoryRequirements", needs as *const () as usize);
        let whole = ArrayMapInfo { resource_kind: MIPMAPPED_ARRAY, subresource: [9; 4], ..TILE };
        // SAFETY: as above.
        on(&hooks, Api::cuMemMapArrayAsync, |call| unsafe {
            map(call, map_ok, &raw const whole, 1, 0)
        });
        let took = events().pop().expect("a binding");
        assert_eq!((took.address, took.size), (room(0xa0), 4096));
    }

    #[test]
    fn a_list_that_the_driver_may_not_have_read_is_not_read() {
        // SAFETY: the real one looks at nothing.
        let status = on(&recording(), Api::cuMemMapArrayAsync_ptsz, |call| unsafe {
            map(call, map_fails, core::ptr::dangling(), 3, 0)
        });
        assert_eq!((status, ops()), (1, Vec::new()));
    }
}
