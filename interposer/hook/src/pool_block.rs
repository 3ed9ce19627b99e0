//! Blocks of pools, taken and given back in a stream's order.
//!
//! While its stream is being captured such a call only adds a node to a graph, whose memory is read
//! when it runs.

use wire::record::Class;

use crate::{
    abi::Status,
    call::{Call, Guard, Note},
    event::{Event, Op},
    pool::{read_after_free, read_on},
};

type Alloc = unsafe extern "C" fn(*mut u64, u64, u64) -> Status;
type AllocFrom = unsafe extern "C" fn(*mut u64, u64, u64, u64) -> Status;
type Free = unsafe extern "C" fn(u64, u64) -> Status;

/// A call on a stream that is captured gave a graph a node that allocates.
fn node_added(guard: &Guard<'_>, status: Status, stream: u64) {
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        note.note_graph_memory(note.device_of_stream(stream));
    }
}

/// What a call for `size` bytes gave. `pool` is where it was to come from, if the call said so.
///
/// # Safety
/// `out` is the program's out-parameter of the call that returned `status`.
unsafe fn took(guard: &Guard<'_>, status: Status, out: *const u64, size: u64, pool: Option<u64>) {
    let Some(note) = guard.note(status) else { return };
    // SAFETY: the caller's promise.
    let address = unsafe { note.read(out) };
    // The stream may be of another device than the current one.
    let device = note.device_of(address);
    let pool = pool
        .or_else(|| note.driver().pool_of(address).filter(|_| note.succeeded()))
        .or_else(|| note.driver().pool_of_device(device))
        .unwrap_or_default();
    let class = Class::PoolBlock;
    note.took(Event { class, address, size, aux: pool, device, ..note.event(Op::Took) });
    read_on(guard, status, pool, device);
}

/// `cuMemAllocAsync`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn alloc(call: &Call<'_>, real: Alloc, out: *mut u64, size: u64, stream: u64) -> Status {
    let guard = call.enter();
    let captured = guard.captured(stream);
    // SAFETY: the program's own call.
    let status = unsafe { real(out, size, stream) };
    if captured {
        node_added(&guard, status, stream);
    } else {
        // SAFETY: the program's own out-parameter.
        unsafe { took(&guard, status, out, size, None) };
    }
    status
}

/// `cuMemAllocFromPoolAsync`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn alloc_from(
    call: &Call<'_>,
    real: AllocFrom,
    out: *mut u64,
    size: u64,
    pool: u64,
    stream: u64,
) -> Status {
    let guard = call.enter();
    let captured = guard.captured(stream);
    // SAFETY: the program's own call.
    let status = unsafe { real(out, size, pool, stream) };
    if captured {
        node_added(&guard, status, stream);
    } else {
        // SAFETY: the program's own out-parameter.
        unsafe { took(&guard, status, out, size, Some(pool)) };
    }
    status
}

/// `cuMemFreeAsync`: the block is gone, its memory stays in the pool's reserve if it came from one.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn free(call: &Call<'_>, real: Free, address: u64, stream: u64) -> Status {
    let guard = call.enter();
    if guard.captured(stream) {
        // SAFETY: the program's own call.
        return unsafe { real(address, stream) };
    }
    // What cuMemAlloc gave may be freed in a stream's order too.
    let classes = [Class::PoolBlock, Class::ImportedBlock, Class::Linear, Class::Managed];
    let mut end = guard.giving_back(address, 0, &classes);
    // Not for memory of a graph, which has a pool that is nobody's, nor for another process's.
    let ours = end.found().is_some_and(|found| found.class == Class::PoolBlock);
    let pool = if ours { guard.pool_of(address) } else { None };
    // SAFETY: the program's own call.
    let status = unsafe { real(address, stream) };
    guard.gave_back(&mut end, status);
    if let Some(pool) = pool {
        read_after_free(&guard, status, pool);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::SUCCESS,
        event::KNOWN_POOL,
        hooks::Hooks,
        pool::tests::attribute,
        table::Api,
        testing::{events, hold, lies_on_four, on, ops, recording},
    };

    extern "C" fn alloc_ok(out: *mut u64, _: u64, _: u64) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0x5000 };
        SUCCESS
    }

    extern "C" fn alloc_from_ok(out: *mut u64, _: u64, _: u64, _: u64) -> Status {
        // SAFETY: as above.
        unsafe { *out = 0x5000 };
        SUCCESS
    }

    extern "C" fn pair_ok(_: u64, _: u64) -> Status {
        SUCCESS
    }

    extern "C" fn pool_of_device(out: *mut u64, device: i32) -> Status {
        // SAFETY: as above.
        unsafe { *out = 0x900 + device as u64 };
        SUCCESS
    }

    extern "C" fn stream_one_captures(stream: u64, out: *mut u32) -> Status {
        // SAFETY: as above.
        unsafe { *out = u32::from(stream == 1) };
        SUCCESS
    }

    extern "C" fn of_device_four(_: u64, out: *mut i32) -> Status {
        // SAFETY: as above.
        unsafe { *out = 4 };
        SUCCESS
    }

    extern "C" fn nothing_captures(_: u64, out: *mut u32) -> Status {
        // SAFETY: as above.
        unsafe { *out = 0 };
        SUCCESS
    }

    fn hooks() -> Hooks {
        let hooks = recording();
        hooks.driver.set("cuMemPoolGetAttribute", attribute as *const () as usize);
        hooks.driver.set("cuDeviceGetMemPool", pool_of_device as *const () as usize);
        hooks.driver.set("cuStreamIsCapturing", stream_one_captures as *const () as usize);
        hooks.driver.set("cuStreamIsCapturing_ptsz", nothing_captures as *const () as usize);
        hooks
    }

    fn alloc_on(hooks: &Hooks, api: Api, stream: u64) {
        let mut out = 0;
        // SAFETY: valid arguments.
        on(hooks, api, |call| unsafe { alloc(call, alloc_ok, &raw mut out, 100, stream) });
    }

    #[test]
    fn a_block_names_the_pool_of_its_device_and_the_pool_is_read_after_it() {
        alloc_on(&hooks(), Api::cuMemAllocAsync, 0);
        let [block, reading] = events()[..] else { panic!("a block and a reading") };
        assert_eq!((block.class, block.address, block.aux), (Class::PoolBlock, 0x5000, 0x902));
        assert_eq!((reading.op, reading.class), (Op::PoolReading, Class::Pool));
        assert_eq!((reading.address, reading.size, reading.aux), (0x902, 4096, 64));
        assert_eq!(reading.device, 2);
    }

    #[test]
    fn a_block_of_a_stream_of_another_device_lies_there_and_so_does_its_pool() {
        let hooks = hooks();
        hooks.driver.set("cuPointerGetAttribute", lies_on_four as *const () as usize);
        alloc_on(&hooks, Api::cuMemAllocAsync, 0);
        let [block, reading] = events()[..] else { panic!("a block and a reading") };
        assert_eq!((block.device, block.aux), (4, 0x904));
        assert_eq!((reading.device, reading.address), (4, 0x904));
    }

    #[test]
    fn a_block_of_a_pool_that_was_named_is_of_that_pool() {
        let mut out = 0;
        // SAFETY: valid arguments.
        on(&hooks(), Api::cuMemAllocFromPoolAsync, |call| unsafe {
            alloc_from(call, alloc_from_ok, &raw mut out, 100, 0x123, 0)
        });
        assert_eq!(events()[0].aux, 0x123);
    }

    #[test]
    fn on_a_stream_that_is_captured_nothing_is_taken_or_given_back() {
        let hooks = hooks();
        hooks.count_capture(true);
        alloc_on(&hooks, Api::cuMemAllocAsync, 1);
        // SAFETY: the real one takes any numbers.
        on(&hooks, Api::cuMemFreeAsync, |call| unsafe { free(call, pair_ok, 0x5000, 1) });
        assert_eq!(ops(), []);
        assert_eq!(hooks.graph_devices().collect::<Vec<_>>(), [2]);
        hooks.driver.set("cuStreamGetDevice", of_device_four as *const () as usize);
        alloc_on(&hooks, Api::cuMemAllocAsync, 1);
        let devices: Vec<_> = hooks.graph_devices().collect();
        assert_eq!(devices, [2, 4], "the stream's device need not be the current one");
        alloc_on(&hooks, Api::cuMemAllocAsync, 2);
        assert!(events()[0].private, "taken while another stream is captured");
        // The same number of the other flavour is another stream.
        alloc_on(&hooks, Api::cuMemAllocAsync_ptsz, 1);
        assert_eq!(ops(), [Op::Took, Op::PoolReading]);
        hooks.count_capture(false);
        alloc_on(&hooks, Api::cuMemAllocAsync, 1);
        assert_eq!(ops(), [Op::Took, Op::PoolReading]);
    }

    #[test]
    fn a_free_is_followed_by_a_reading() {
        let hooks = hooks();
        hold(0x5000, 100, Class::PoolBlock);
        // SAFETY: the real one takes any numbers.
        on(&hooks, Api::cuMemFreeAsync, |call| unsafe { free(call, pair_ok, 0x5000, 0) });
        let [before, after, reading] = events()[..] else { panic!("two halves and a reading") };
        let got = [before, after, reading].map(|event| event.op);
        assert_eq!(got, [Op::GivingBack, Op::GaveBack, Op::PoolReading]);
        assert_eq!(reading.extra, KNOWN_POOL);
    }

    #[test]
    fn what_is_in_no_pool_may_be_freed_in_a_streams_order_too() {
        let hooks = hooks();
        hold(0x6000, 100, Class::Linear);
        // SAFETY: the real one takes any numbers.
        on(&hooks, Api::cuMemFreeAsync, |call| unsafe { free(call, pair_ok, 0x6000, 0) });
        let [before, after] = events()[..] else { panic!("two halves, and no pool that is read") };
        assert_eq!(
            (before.op, after.op, after.class),
            (Op::GivingBack, Op::GaveBack, Class::Linear)
        );
    }
}
