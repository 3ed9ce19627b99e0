//! Arrays, sparse ones too, and multicast objects: device memory that has no address of its own.

// Of what the tests share, the second process and the log are not needed here.
#[allow(dead_code)]
mod common;

use common::{Library, alone};

const MIB: u64 = 1 << 20;
const GRANULE: u64 = 2 * MIB;
const INVALID_VALUE: i32 = 1;
const INVALID_HANDLE: i32 = 400;

/// `CUDA_ARRAY3D_DESCRIPTOR` of floats.
#[repr(C)]
struct Shape {
    sides: [u64; 3],
    format: u32,
    channels: u32,
    flags: u64,
}

fn floats(sides: [u64; 3], flags: u64) -> Shape {
    Shape { sides, format: 0x20, channels: 1, flags }
}

fn array(library: Library, shape: &Shape) -> Result<u64, i32> {
    library.get("cuArray3DCreate", [&raw const *shape as u64])
}

#[test]
fn an_array_takes_its_elements_bytes_of_the_card_until_it_is_destroyed() {
    alone("an_array_takes_its_elements_bytes_of_the_card_until_it_is_destroyed", &[], |library| {
        library.start();
        let before = library.free_bytes();
        let flat = [1024u64, 1024, 0x4_0000_0020];
        let first = library.get("cuArrayCreate", [flat.as_ptr() as u64]).expect("array");
        assert_eq!(library.free_bytes(), before - 16 * MIB, "four floats each");
        let second = array(library, &floats([512, 512, 4], 0)).expect("array");
        assert_eq!(library.free_bytes(), before - 20 * MIB);
        for handle in [first, second] {
            library.must("cuArrayDestroy", [handle]);
            assert_eq!(library.call("cuArrayDestroy", [handle]), INVALID_HANDLE, "only once");
        }
        assert_eq!(library.free_bytes(), before);
        assert_eq!(array(library, &floats([0, 8, 8], 0)), Err(INVALID_VALUE));
        array(library, &floats([512, 512, 4], 0)).expect("array");
        library.must("cuDevicePrimaryCtxReset", [0]);
        library.start();
        assert_eq!(library.free_bytes(), before, "a reset takes arrays with it");
    });
}

#[test]
fn a_mipmapped_array_owns_the_memory_of_its_levels() {
    alone("a_mipmapped_array_owns_the_memory_of_its_levels", &[], |library| {
        library.start();
        let before = library.free_bytes();
        let shape = floats([1024, 1024, 0], 0);
        let whole = library.get("cuMipmappedArrayCreate", [&raw const shape as u64, 99]);
        let whole = whole.expect("array");
        assert_eq!(library.free_bytes(), before - 6 * MIB, "4 MiB and a third of it");
        let level = library.get("cuMipmappedArrayGetLevel", [whole, 10]).expect("smallest");
        let none = library.get("cuMipmappedArrayGetLevel", [whole, 11]);
        assert_eq!(none, Err(INVALID_VALUE), "one element is the last");
        assert_eq!(library.call("cuArrayDestroy", [level]), INVALID_HANDLE);
        library.must("cuMipmappedArrayDestroy", [whole]);
        assert_eq!(library.free_bytes(), before);
        assert_eq!(library.call("cuArrayDestroy", [level]), INVALID_HANDLE, "gone with it");
    });
}

#[test]
fn an_array_whose_memory_is_to_come_owns_none_and_says_what_it_needs() {
    alone("an_array_whose_memory_is_to_come_owns_none_and_says_what_it_needs", &[], |library| {
        const DEFERRED: u64 = 0x80;
        library.start();
        let before = library.free_bytes();
        let later = array(library, &floats([1024, 600, 0], DEFERRED)).expect("array");
        assert_eq!(library.free_bytes(), before);
        let mut needs = [0u64; 4];
        library.must("cuArrayGetMemoryRequirements", [needs.as_mut_ptr() as u64, later, 0]);
        assert_eq!(needs[..2], [2 * GRANULE, GRANULE]);
        let now = array(library, &floats([64, 64, 0], 0)).expect("array");
        let asked = [needs.as_mut_ptr() as u64, now, 0];
        assert_eq!(library.call("cuArrayGetMemoryRequirements", asked), INVALID_VALUE);
        library.must("cuArrayDestroy", [later]);
        assert_eq!(library.call("cuArrayDestroy", [later]), INVALID_HANDLE);
    });
}

/// `CUDA_MEMCPY3D` of whole rows: one side host memory, the other an array.
fn copy(library: Library, array: u64, host: u64, sides: [u64; 3], into_array: bool) {
    let row = sides[0] * 4;
    let of_array = [0, 0, 0, 0, 3, 0, 0, array, 0, 0, 0];
    let of_host = [0, 0, 0, 0, 1, host, 0, 0, 0, row, sides[1]];
    let (from, to) = if into_array { (of_host, of_array) } else { (of_array, of_host) };
    let words = [&from[..], &to[..], &[row, sides[1], sides[2]]].concat();
    library.must("cuMemcpy3D", [words.as_ptr() as u64]);
}

#[test]
fn what_is_copied_into_an_array_comes_out_again() {
    alone("what_is_copied_into_an_array_comes_out_again", &[], |library| {
        library.start();
        let sides = [16, 8, 4];
        let array = array(library, &floats(sides, 0)).expect("array");
        let wrote: Vec<u32> = (0..16 * 8 * 4).collect();
        copy(library, array, wrote.as_ptr() as u64, sides, true);
        let mut read = vec![0u32; wrote.len()];
        copy(library, array, read.as_mut_ptr() as u64, sides, false);
        assert_eq!(read, wrote);
    });
}

fn physical(library: Library, size: u64) -> u64 {
    let props = [1u32, 0, 1, 0, 0, 0, 0, 0];
    library.get("cuMemCreate", [size, props.as_ptr() as u64, 0]).expect("create")
}

/// Memory that sparse arrays may have.
fn tile_pool(library: Library, size: u64) -> u64 {
    let props = [1u32, 0, 1, 0, 0, 0, 1 << 16, 0];
    library.get("cuMemCreate", [size, props.as_ptr() as u64, 0]).expect("create")
}

/// A call with one `CUarrayMapInfo`: the region of an array at x, for this memory or for none.
fn region(library: Library, array: u64, x: u64, memory: u64) -> i32 {
    let operation = if memory == 0 { 2 } else { 1 };
    let info = [0, array, 0, 0, x, 1 << 32, 1, operation, memory, 0, 1, 0];
    library.call("cuMemMapArrayAsync", [info.as_ptr() as u64, 1, 0])
}

#[test]
fn a_region_of_a_sparse_array_holds_its_memory_until_it_has_other_or_none() {
    let name = "a_region_of_a_sparse_array_holds_its_memory_until_it_has_other_or_none";
    alone(name, &[], |library| {
        const SPARSE: u64 = 0x40;
        library.start();
        let before = library.free_bytes();
        let sparse = array(library, &floats([1024, 1024, 0], SPARSE)).expect("array");
        let plain = physical(library, GRANULE);
        assert_eq!(region(library, sparse, 0, plain), INVALID_VALUE, "no memory for arrays");
        library.must("cuMemRelease", [plain]);
        let pools = [1, 2, 4].map(|granules| tile_pool(library, granules * GRANULE));
        for (x, pool) in [(0, 0), (128, 1), (128, 2)] {
            assert_eq!(region(library, sparse, x, pools[pool]), 0);
        }
        for pool in pools {
            library.must("cuMemRelease", [pool]);
        }
        assert_eq!(library.free_bytes(), before - 5 * GRANULE, "one region got other memory");
        assert_eq!(region(library, sparse, 0, 0), 0);
        assert_eq!(library.free_bytes(), before - 4 * GRANULE);
        library.must("cuArrayDestroy", [sparse]);
        assert_eq!(library.free_bytes(), before);
    });
}

#[test]
fn a_context_takes_its_sparse_arrays_along() {
    alone("a_context_takes_its_sparse_arrays_along", &[], |library| {
        const DEFERRED: u64 = 0x80;
        library.start();
        let before = library.free_bytes();
        let later = array(library, &floats([1024, 1024, 0], DEFERRED)).expect("array");
        let pool = tile_pool(library, 2 * GRANULE);
        assert_eq!(region(library, later, 77, pool), 0);
        assert_eq!(region(library, later, 99, pool), 0, "the same: it is mapped as a whole");
        library.must("cuMemRelease", [pool]);
        library.must("cuDevicePrimaryCtxReset", [0]);
        library.start();
        assert_eq!(library.free_bytes(), before);
        assert_eq!(library.call("cuArrayDestroy", [later]), INVALID_HANDLE);
    });
}

#[test]
fn memory_bound_to_a_multicast_object_lives_until_it_is_unbound() {
    alone("memory_bound_to_a_multicast_object_lives_until_it_is_unbound", &[], |library| {
        library.start();
        let before = library.free_bytes();
        let props = [1u64, 4 * GRANULE, 0, 0];
        let team = library.get("cuMulticastCreate", [props.as_ptr() as u64]).expect("object");
        assert_eq!(library.free_bytes(), before, "it has no memory of its own");
        let memory = physical(library, 2 * GRANULE);
        let bind =
            |at: u64| library.call("cuMulticastBindMem", [team, at, memory, 0, 2 * GRANULE, 0]);
        assert_eq!(bind(0), 101, "the card is no member yet");
        library.must("cuMulticastAddDevice", [team, 0]);
        assert_eq!(library.call("cuMulticastAddDevice", [team, 0]), INVALID_VALUE, "only once");
        assert_eq!(bind(3 * GRANULE), INVALID_VALUE, "beyond the end");
        assert_eq!(bind(0), 0);
        assert_eq!(bind(GRANULE), INVALID_VALUE, "taken");
        library.must("cuMemRelease", [memory]);
        assert_eq!(library.free_bytes(), before - 2 * GRANULE, "the binding holds it");
        library.must("cuMulticastUnbind", [team, 0, 0, 2 * GRANULE]);
        assert_eq!(library.free_bytes(), before);
        assert_eq!(library.call("cuMulticastUnbind", [team, 0, 0, 2 * GRANULE]), INVALID_VALUE);
    });
}

#[test]
fn a_mapped_multicast_object_holds_what_is_bound_to_it() {
    alone("a_mapped_multicast_object_holds_what_is_bound_to_it", &[], |library| {
        library.start();
        let before = library.free_bytes();
        let props = [1u64, 2 * GRANULE, 0, 0];
        let team = library.get("cuMulticastCreate", [props.as_ptr() as u64]).expect("object");
        library.must("cuMulticastAddDevice", [team, 0]);
        let memory = physical(library, 2 * GRANULE);
        let va = library.get("cuMemAddressReserve", [4 * GRANULE, 0, 0, 0]).expect("reserve");
        library.must("cuMemMap", [va, 2 * GRANULE, 0, memory, 0]);
        library.must("cuMulticastBindAddr", [team, 0, va, 2 * GRANULE, 0]);
        library.must("cuMemMap", [va + 2 * GRANULE, 2 * GRANULE, 0, team, 0]);
        library.must("cuMemUnmap", [va, 2 * GRANULE]);
        library.must("cuMemRelease", [memory]);
        library.must("cuMemRelease", [team]);
        assert_eq!(library.free_bytes(), before - 2 * GRANULE, "the object's mapping holds it");
        library.must("cuMemUnmap", [va + 2 * GRANULE, 2 * GRANULE]);
        assert_eq!(library.free_bytes(), before);
    });
}
