//! Worked examples: what the allocators people use look like from here.

use wire::{
    live::FLAG_RELEASED,
    record::{
        Class::{
            Block, Handle, ImportedHandle, IpcImport, Linear, Mapping, None, Pool, PoolBlock,
            Reservation,
        },
        Verb,
    },
};

use super::script::{MIB, Script};
use crate::state::{Backend, Free, Kind, Owned, Segment, State, Totals};

const TORCH: &str = "torch";
const NCCL: &str = "libnccl.so.2";
/// Native stack of NCCL's in these tests.
const NCCL_STACK: u32 = 7;

fn owned(state: &State) -> Owned<&'static str> {
    let owned =
        state.owned(0, &TORCH, |site| if site.native == NCCL_STACK { NCCL } else { "program" });
    for allocator in owned.allocators.values() {
        let allocated = allocator.allocated.unwrap_or(allocator.reserved);
        let free = allocator.free.stranded + allocator.free.releasable + allocator.free.private;
        assert_eq!(allocator.reserved + allocator.unbacked, free + allocated);
    }
    owned
}

#[test]
fn of_the_default_allocator_whole_segments_are_releasable_and_others_are_pinned() {
    let mut script = Script::default();
    script.take(Linear, 100 * MIB, 20 * MIB).take(Block, 100 * MIB, 12 * MIB);
    script.take(Linear, 200 * MIB, 50 * MIB).take(Block, 200 * MIB, 50 * MIB);
    script.take(Block, 112 * MIB, MIB).give(Block, 100 * MIB, 12 * MIB);
    script.give(Block, 200 * MIB, 50 * MIB);
    script.private = true;
    script.take(Linear, 300 * MIB, 2 * MIB).take(Block, 300 * MIB, MIB).give(Block, 300 * MIB, MIB);
    script.private = false;
    script.native = NCCL_STACK;
    script.take(Linear, 400 * MIB, 10 * MIB);

    let owned = owned(&script.state());
    let torch = owned.allocators[TORCH];
    assert_eq!((torch.reserved, torch.allocated), (72 * MIB, Some(MIB)));
    let free = Free { stranded: 19 * MIB, releasable: 50 * MIB, private: 2 * MIB };
    assert_eq!((torch.free, torch.unbacked, torch.backend), (free, 0, Some(Backend::Native)));
    let nccl = owned.allocators[NCCL];
    assert_eq!(
        (nccl.reserved, nccl.allocated, nccl.free),
        (10 * MIB, Option::None, Free::default())
    );
    let pins = |at: usize| owned.segments[at].1.pins().map(|pin| pin.address).collect::<Vec<_>>();
    assert_eq!((pins(0), pins(1)), (vec![112 * MIB], vec![]));
}

/// Handles of 20 MiB in one reservation, as torch maps an expandable segment.
fn expandable(script: &mut Script, base: u64, handles: u64) {
    for handle in 0..handles {
        script.take(Handle, base + handle, 20 * MIB);
        script.map(base + handle * 20 * MIB, 20 * MIB, base + handle);
    }
}

#[test]
fn an_expandable_segment_is_a_run_of_mappings_and_frees_are_counted_by_handle() {
    let mut script = Script::default();
    let base = 1000 * MIB;
    script.take(Reservation, base, 4000 * MIB);
    expandable(&mut script, base, 4);
    script.take(Block, base, 65 * MIB).take(Block, base + 65 * MIB, MIB);
    script.give(Block, base, 65 * MIB);
    let before = owned(&script.state());
    let [(_, segment, free)] = before.segments.as_slice() else { panic!("{before:?}") };
    assert_eq!((segment.start, segment.size, segment.extents.len()), (base, 80 * MIB, 4));
    assert_eq!(*free, Free { stranded: 19 * MIB, releasable: 60 * MIB, private: 0 });
    assert_eq!(before.allocators[TORCH].backend, Some(Backend::Expandable));

    // empty_cache() gives whole handles back, and the run falls apart.
    for handle in [0, 2] {
        script.give(Mapping, base + handle * 20 * MIB, 20 * MIB);
        script.give(Handle, base + handle, 20 * MIB);
    }
    let after = owned(&script.state());
    let runs: Vec<_> = after.segments.iter().map(|(_, run, _)| (run.start, run.size)).collect();
    assert_eq!(runs, [(base + 20 * MIB, 20 * MIB), (base + 60 * MIB, 20 * MIB)]);
    assert!(after.segments.iter().all(|(owner, ..)| *owner == TORCH));
    assert_eq!(after.allocators[TORCH].reserved, 40 * MIB);
}

#[test]
fn two_reservations_side_by_side_are_two_segments() {
    let mut script = Script::default();
    script.take(Reservation, 100 * MIB, 20 * MIB).take(Reservation, 120 * MIB, 20 * MIB);
    script.take(Handle, 1, 20 * MIB).map(100 * MIB, 20 * MIB, 1);
    script.take(Handle, 2, 20 * MIB).map(120 * MIB, 20 * MIB, 2);
    let starts: Vec<_> = script.state().segments(0).iter().map(|run| run.start).collect();
    assert_eq!(starts, [100 * MIB, 120 * MIB]);
}

#[test]
fn a_sleeping_process_keeps_blocks_without_memory_and_gets_it_back_on_waking() {
    let mut script = Script::default();
    let base = 1000 * MIB;
    script.take(Reservation, base, 64 * MIB).take(Handle, 1, 64 * MIB).map(base, 64 * MIB, 1);
    script.take(Block, base, 64 * MIB);
    let awake = owned(&script.state()).allocators[TORCH];
    assert_eq!(
        (awake.reserved, awake.unbacked, awake.backend),
        (64 * MIB, 0, Some(Backend::Native))
    );

    script.give(Mapping, base, 64 * MIB).give(Handle, 1, 64 * MIB);
    let sleeping = owned(&script.state());
    let torch = sleeping.allocators[TORCH];
    assert_eq!((torch.reserved, torch.allocated, torch.unbacked), (0, Some(64 * MIB), 64 * MIB));
    assert_eq!((sleeping.segments.len(), sleeping.adrift.len()), (0, 1));

    // The new memory belongs to PyTorch's allocator before any new block says so.
    script.take(Handle, 1, 64 * MIB).map(base, 64 * MIB, 1);
    let woken = owned(&script.state());
    assert_eq!(woken.allocators[TORCH], awake);
    assert_eq!(script.state().totals(0).allocator_reserved, 64 * MIB);
}

#[test]
fn a_handle_released_while_mapped_lives_until_its_last_mapping_goes() {
    let mut script = Script::default();
    script.take(Reservation, 100 * MIB, 100 * MIB);
    script.take(Handle, 1, 10 * MIB).map(100 * MIB, 10 * MIB, 1).give(Handle, 1, 10 * MIB);
    assert_eq!(script.state().totals(0).vmm, 10 * MIB);
    // The driver hands the value out again: another handle.
    script.take(Handle, 1, 30 * MIB).map(110 * MIB, 30 * MIB, 1);
    assert_eq!(script.state().totals(0).vmm, 40 * MIB);
    script.give(Mapping, 100 * MIB, 10 * MIB);
    assert_eq!(script.state().totals(0).vmm, 30 * MIB);
    script.give(Mapping, 110 * MIB, 30 * MIB);
    assert_eq!(script.state().totals(0).vmm, 30 * MIB);
    let [held] = script.state().segments(0).try_into().unwrap();
    assert_eq!((held.mapped, held.start, held.size), (false, 1, 30 * MIB));
    script.give(Handle, 1, 30 * MIB);
    assert_eq!(script.state().totals(0).vmm, 0);
}

#[test]
fn a_handle_mapped_twice_is_counted_once() {
    let mut script = Script::default();
    script.take(Handle, 1, 10 * MIB).map(100 * MIB, 10 * MIB, 1).map(200 * MIB, 10 * MIB, 1);
    let state = script.state();
    assert_eq!(state.totals(0).vmm, 10 * MIB);
    let physical: Vec<_> = state.segments(0).iter().map(Segment::physical).collect();
    assert_eq!(physical, [10 * MIB, 0]);
}

#[test]
fn a_pool_is_a_segment_and_its_blocks_are_known() {
    let mut script = Script::default();
    script.take(Pool, 0x50, 0).pool_block(100 * MIB, 30 * MIB, 0x50);
    script.reading(0x50, 64 * MIB);
    let owned_by_torch = |script: &Script| {
        let state = script.state();
        let owned = state.owned(0, &TORCH, |_| TORCH);
        owned.allocators[TORCH]
    };
    let torch = owned_by_torch(&script);
    assert_eq!((torch.reserved, torch.allocated), (64 * MIB, Some(30 * MIB)));
    assert_eq!((torch.free.stranded, torch.backend), (34 * MIB, Some(Backend::Async)));
    script.give(PoolBlock, 100 * MIB, 30 * MIB);
    assert_eq!(owned_by_torch(&script).free.releasable, 64 * MIB);
}

#[test]
fn what_another_process_owns_is_seen_and_not_counted() {
    let mut script = Script::default();
    script.take(IpcImport, 100 * MIB, 32 * MIB);
    script.take(ImportedHandle, 1, 20 * MIB).map(200 * MIB, 20 * MIB, 1);
    let state = script.state();
    assert_eq!((state.totals(0).imported, state.totals(0).reserved()), (52 * MIB, 0));
    let seen: Vec<_> = state.segments(0).iter().map(|seen| (seen.kind, seen.size)).collect();
    assert_eq!(seen, [(Kind::Imported, 32 * MIB), (Kind::Imported, 20 * MIB)]);
    assert!(owned(&state).allocators.is_empty());
    script.give(IpcImport, 100 * MIB, 32 * MIB);
    script.give(Mapping, 200 * MIB, 20 * MIB).give(ImportedHandle, 1, 20 * MIB);
    assert_eq!(script.state().totals(0).imported, 0);
}

#[test]
fn an_imported_handle_shows_its_size_when_it_is_mapped() {
    let mut script = Script::default();
    script.take(ImportedHandle, 1, 0);
    let mut mapping = script.push(Verb::Alloc, Mapping, 200 * MIB, 20 * MIB, 1);
    mapping.extra = Some([4 * MIB, 0, 0]);
    *script.events.last_mut().unwrap() = mapping;
    assert_eq!(script.state().totals(0).imported, 24 * MIB);
}

#[test]
fn a_mapping_of_something_unknown_is_shown_and_counts_no_bytes() {
    let mut script = Script::default();
    script.map(200 * MIB, 20 * MIB, 77);
    for state in [script.state(), State::from_live(&script.live())] {
        let [seen] = state.segments(0).try_into().unwrap();
        assert_eq!((seen.start, seen.size, seen.physical()), (200 * MIB, 20 * MIB, 0));
        assert_eq!(state.totals(0).reserved(), 0);
    }
    script.give(Mapping, 200 * MIB, 20 * MIB);
    assert!(script.state().segments(0).is_empty());
}

#[test]
fn a_reset_of_the_device_empties_its_pools_too() {
    let mut script = Script::default();
    script.take(Linear, 100 * MIB, MIB).pool_block(200 * MIB, 30 * MIB, 0x50);
    script.reading(0x50, 64 * MIB).push(Verb::Reset, None, 0, 0, 0);
    assert_eq!(script.state().totals(0).pool_allocated, 0);
    assert_eq!(script.state().totals(0).reserved(), 0);
}

#[test]
fn a_pool_that_was_destroyed_goes_with_the_last_of_its_blocks_however_it_became_known() {
    let mut script = Script::default();
    script.take(Pool, 0x50, 0).pool_block(200 * MIB, 30 * MIB, 0x50).reading(0x50, 64 * MIB);
    let mut live = script.live();
    for one in live.iter_mut().filter(|one| one.entry.class == Pool) {
        (one.entry.flags, one.entry.size) = (FLAG_RELEASED, 64 * MIB);
    }
    script.give(Pool, 0x50, 0);
    let states = [script.state(), State::from_live(&live)];
    let freed = script.give(PoolBlock, 200 * MIB, 30 * MIB).events.last().copied().unwrap();
    for mut state in states {
        assert_eq!(state.totals(0).reserved(), 64 * MIB);
        state.apply(&freed);
        assert_eq!(state.totals(0).reserved(), 0);
    }
}

#[test]
fn a_free_that_failed_leaves_all_as_it_was() {
    let mut script = Script::default();
    script.take(Linear, 100 * MIB, 20 * MIB).take(Block, 100 * MIB, MIB);
    script.take(Handle, 1, 10 * MIB).map(300 * MIB, 10 * MIB, 1).give(Handle, 1, 10 * MIB);
    let before = script.state();
    script.give(Linear, 100 * MIB, 20 * MIB).failed(Linear, 100 * MIB, 20 * MIB);
    script.give(Mapping, 300 * MIB, 10 * MIB).failed(Mapping, 300 * MIB, 10 * MIB);
    let after = script.state();
    assert_eq!(before.segments(0), after.segments(0));
    assert_eq!((before.totals(0), before.sites(0)), (after.totals(0), after.sites(0)));
}

#[test]
fn memory_that_torch_takes_is_never_mistaken_for_direct_memory() {
    let mut script = Script::default();
    script.take(Linear, 100 * MIB, 200 * MIB).take(Block, 100 * MIB, MIB);
    script.tid = 1;
    script.take(Linear, 400 * MIB, 30 * MIB);
    let state = script.state();
    assert_eq!(state.peak(0).bytes, 31 * MIB);
    assert_eq!(state.sites_at_peak(0), state.sites(0));
}

#[test]
fn a_context_takes_its_memory_along() {
    let mut script = Script::default();
    script.push(Verb::Alloc, Linear, 100 * MIB, MIB, 0xc1);
    script.push(Verb::Alloc, Linear, 200 * MIB, MIB, 0xc2);
    script.push(Verb::Reset, None, 0, 0, 0xc1);
    let left: Vec<_> = script.state().segments(0).iter().map(|one| one.start).collect();
    assert_eq!(left, [200 * MIB]);
}

#[test]
fn a_cache_that_is_empty_when_the_ring_begins_is_pytorchs_if_it_is_used_later() {
    let mut script = Script::default();
    script.take(Linear, 100 * MIB, 20 * MIB).take(Linear, 200 * MIB, 30 * MIB);
    script.take(Reservation, 1000 * MIB, 100 * MIB);
    script.take(Handle, 1, 20 * MIB).map(1000 * MIB, 20 * MIB, 1);
    script.take(Linear, 300 * MIB, 40 * MIB);
    let from = script.events.len();
    // 300 MiB is given back, and what comes to lie there is of another time.
    script.give(Linear, 300 * MIB, 40 * MIB);
    script.take(Block, 100 * MIB, MIB).take(Block, 1000 * MIB, MIB);
    script.take(Linear, 300 * MIB, 40 * MIB).take(Block, 300 * MIB, MIB);
    let live = script.live();
    let mut state = State::at_start(&live, &script.events[from..]);
    assert_eq!(state.totals(0).allocator_reserved, 40 * MIB);
    let mut grown = Vec::new();
    for event in &script.events[from..] {
        state.apply(event);
        grown.extend(state.grown().iter().map(|growth| growth.bytes));
    }
    assert_eq!(grown, [40 * MIB]);
}

#[test]
fn what_pytorchs_allocator_takes_is_its_own_before_a_block_says_so() {
    let mut script = Script::default();
    script.native = 5;
    script.take(Linear, 100 * MIB, 20 * MIB);
    let mut state = script.state();
    assert_eq!(state.totals(0).allocator_reserved, 0);
    state.learn([5]);
    assert_eq!((state.totals(0).allocator_reserved, state.sites(0).len()), (20 * MIB, 0));
    let more = [
        script.push(Verb::Alloc, Linear, 200 * MIB, 30 * MIB, 0),
        script.push(Verb::Alloc, Handle, 1, 40 * MIB, 0),
    ];
    for event in &more {
        state.apply(event);
        assert_eq!(state.grown().len(), 1);
    }
    assert_eq!((state.totals(0).allocator_reserved, state.sites(0).len()), (90 * MIB, 0));
    // Taken in a gap of the ring.
    script.take(Linear, 300 * MIB, 10 * MIB);
    state.resync(&script.live());
    assert_eq!((state.totals(0).allocator_reserved, state.sites(0).len()), (100 * MIB, 0));
    assert_eq!(owned(&state).allocators[TORCH].free.releasable, 100 * MIB);
}

#[test]
fn what_was_mapped_when_the_ring_began_is_known_from_its_frees() {
    let mut script = Script::default();
    script.take(Reservation, 1000 * MIB, 4000 * MIB);
    expandable(&mut script, 1000 * MIB, 3);
    script.take(Block, 1000 * MIB, MIB);
    let before = script.state();
    let from = script.events.len();
    script.give(Block, 1000 * MIB, MIB);
    for handle in 0..3 {
        script.give(Mapping, (1000 + handle * 20) * MIB, 20 * MIB);
        script.give(Handle, 1000 * MIB + handle, 20 * MIB);
    }
    script.give(Reservation, 1000 * MIB, 4000 * MIB);
    let mut state = State::at_start(&script.live(), &script.events[from..]);
    assert_eq!(state.segments(0), before.segments(0));
    assert_eq!(state.totals(0), before.totals(0));
    script.events[from..].iter().for_each(|event| state.apply(event));
    assert_eq!(state.totals(0), Totals::default());
}
