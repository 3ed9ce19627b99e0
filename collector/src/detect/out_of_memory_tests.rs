//! Why there was no room, for maps and requests whose reason is known.

use wire::record::{Class, Verb};

use super::{
    fragmentation_tests::segment,
    out_of_memory::{Cause, Moments, Request, Room, cause},
};
use crate::{
    ledger::{Event, Live},
    source::fake::{entry, record},
    state::{Block, Segment, Site, State},
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn block(address: u64, size: u64) -> Block {
    Block { address, size, site: Site::default(), birth: 0 }
}

/// Two extents of one segment, 100 MiB each, with 10 MiB live at 40 and at 110 MiB.
fn joined() -> Segment {
    let live = [block(40 * MIB, 10 * MIB), block(110 * MIB, 10 * MIB)];
    segment(0, &[100 * MIB; 2], &live)
}

#[test]
fn pieces_go_over_extents_that_lie_side_by_side_and_end_at_blocks() {
    let room = Room::of(&[joined()], 60 * MIB);
    // Pieces of 40, 60 and 80 MiB.
    assert_eq!((room.free, room.largest, room.fitting), (180 * MIB, 80 * MIB, 140 * MIB));
    assert_eq!((room.stranded, room.releasable, room.private), (180 * MIB, 0, 0));
    assert_eq!(room.unusable(), Some(22));
    assert_eq!(Room::of(&[joined()], 100 * MIB).unusable(), Some(100));
    assert_eq!(Room::default().unusable(), None);
}

#[test]
fn memory_of_a_graph_s_pool_and_addresses_without_memory_are_no_room() {
    let mut segment = joined();
    segment.extents[1].private = true;
    let room = Room::of(&[segment.clone()], MIB);
    assert_eq!((room.free, room.largest), (90 * MIB, 50 * MIB));
    segment.extents[1].private = false;
    segment.extents[0].physical = 0;
    assert_eq!(Room::of(&[segment], MIB).free, 90 * MIB);
    let mut whole = super::fragmentation_tests::segment(0, &[20 * MIB], &[]);
    whole.extents[0].private = true;
    let room = Room::of(&[whole], MIB);
    assert_eq!((room.private, room.free), (20 * MIB, 0));
}

fn request() -> Request {
    Request { bytes: 4 * GIB, device_free: Some(GIB), total: 80 * GIB, in_use: 60 * GIB, others: 0 }
}

fn room(free: u64, largest: u64, fitting: u64) -> Room {
    Room { stranded: free, free, largest, fitting, ..Room::default() }
}

#[test]
fn each_reason_is_told_from_its_neighbours_by_one_figure() {
    let asked = request();
    assert_eq!(cause(&asked, None), Cause::Lack);
    assert_eq!(cause(&asked, Some(&room(GIB, GIB, 0))), Cause::Lack);
    // One byte more makes up what is asked for, in pieces.
    assert_eq!(cause(&asked, Some(&room(3 * GIB, GIB, 0))), Cause::Fragmentation);
    assert_eq!(cause(&asked, Some(&room(3 * GIB - 1, GIB, 0))), Cause::Lack);
    assert_eq!(cause(&asked, Some(&room(5 * GIB, 4 * GIB, 4 * GIB))), Cause::KeptApart);
    assert_eq!(cause(&Request { others: 3 * GIB, ..asked }, None), Cause::OtherProcesses);
    assert_eq!(cause(&Request { others: 3 * GIB - 1, ..asked }, None), Cause::Lack);
    assert_eq!(cause(&Request { in_use: 76 * GIB, ..asked }, None), Cause::Lack);
    assert_eq!(cause(&Request { in_use: 76 * GIB + 1, ..asked }, None), Cause::TooLarge);
    assert_eq!(cause(&Request { device_free: Some(4 * GIB), ..asked }, None), Cause::Limit);
    assert_eq!(cause(&Request { device_free: Some(4 * GIB - 1), ..asked }, None), Cause::Lack);
}

#[test]
fn what_the_allocator_rounds_a_request_up_to_must_be_free_too() {
    let small = |bytes, device_free| {
        cause(&Request { bytes, device_free: Some(device_free), ..request() }, None)
    };
    assert_eq!(small(512, 2 * MIB - 1), Cause::Lack);
    assert_eq!(small(512, 2 * MIB), Cause::Limit);
    assert_eq!(small(2 * MIB, 20 * MIB - 1), Cause::Lack);
    assert_eq!(small(11 * MIB, 12 * MIB - 1), Cause::Lack);
    assert_eq!(small(11 * MIB, 12 * MIB), Cause::Limit);
}

#[test]
fn a_device_that_does_not_tell_is_not_taken_to_be_full_of_others() {
    let asked = Request { device_free: None, total: 0, ..request() };
    assert_eq!(cause(&asked, None), Cause::Lack);
}

fn gave_up(allocated: u64, reserved: u64) -> Event {
    let mut record = record(Verb::OutOfMemory, Class::Block, allocated, GIB, 0);
    record.aux = reserved;
    Event { position: 7, record, extra: None }
}

#[test]
fn the_map_counts_only_where_it_agrees_with_the_allocator() {
    let live = |class, size| {
        let entry = entry(class, 0x1000_0000, size, 0);
        Live { index: 0, freeing: false, entry }
    };
    let held = [live(Class::Linear, 20 * MIB), live(Class::Block, 4 * MIB)];
    let state = State::from_live(&held);
    let known = |event: Event| {
        let mut moments = Moments::default();
        moments.gave_up(&state, &event);
        let moment = moments.at(&event).unwrap().clone();
        assert_eq!(moment.reserved, 20 * MIB, "what the driver gave is known all the same");
        moment.room.map(|room| room.stranded)
    };
    assert_eq!(known(gave_up(4 * MIB, 20 * MIB)), Some(16 * MIB));
    assert_eq!(known(gave_up(4 * MIB + 512, 20 * MIB)), None);
    assert_eq!(known(gave_up(4 * MIB, 22 * MIB)), None);
}
