//! What is bound to a multicast object stays as long as it is bound; and what other interfaces, other
//! processes and graphs have here.

mod support;

use hook::{
    event::{Event, Op},
    sparse,
};
use support::subject::Subject;
use wire::{
    device::{RESERVED, UNKNOWN},
    header::Counter,
    layout::SMALL,
    live::LINK_REFERENCE,
    record::{Class, Step, Verb},
};

const PAGE: u64 = 2 << 20;
/// The handle of the multicast object.
const OBJECT: u64 = 0x9000_0000;

/// A process that has a handle of two pages and a multicast object of four.
fn subject() -> Subject {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Handle, 0x77, 2 * PAGE);
    subject.take(Class::Multicast, OBJECT, 4 * PAGE);
    subject
}

fn bind(subject: &mut Subject, at: u64, size: u64, handle: u64, address: u64) {
    let event = Subject::event(Op::Took, Class::Binding);
    subject.send(&mut Event { address: OBJECT + at, size, aux: handle, extra: address, ..event });
}

fn unbind(subject: &mut Subject, at: u64, size: u64, device: u8) {
    let classes = 1 << Class::Binding as u32;
    let event = Subject::event(Op::Ended, Class::None);
    subject.send(&mut Event { address: OBJECT + at, size, classes, device, ..event });
}

#[test]
fn what_is_bound_stays_after_its_handle_was_released_until_it_is_unbound() {
    let mut subject = subject();
    assert_eq!(subject.file().gauge(0, RESERVED), 2 * PAGE, "the object has no memory");
    bind(&mut subject, 0, PAGE, 0x77, 0);
    bind(&mut subject, PAGE, PAGE, 0x77, 0);
    subject.give(Class::Handle, 0x77, 0, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 2 * PAGE);
    unbind(&mut subject, 0, PAGE, 0);
    unbind(&mut subject, PAGE, PAGE, 1);
    assert_eq!(subject.file().gauge(0, RESERVED), 2 * PAGE, "one is left, on this device");
    unbind(&mut subject, PAGE, PAGE, 0);
    let file = subject.file();
    assert_eq!(file.gauge(0, RESERVED), 0);
    let classes: Vec<Class> = file.live().iter().map(|(.., entry)| entry.class).collect();
    assert_eq!(classes, [Class::Multicast]);
    let ends = file.records().into_iter().filter(|record| record.verb == Verb::FreeBegin);
    let ends: Vec<(Class, u64)> = ends.map(|record| (record.class, record.address)).collect();
    let bindings = [OBJECT, OBJECT + PAGE].map(|at| (Class::Binding, at));
    assert_eq!(ends, [&[(Class::Handle, 0x77)][..], &bindings].concat());
}

#[test]
fn one_unbinding_ends_all_bindings_of_its_range() {
    let mut subject = subject();
    bind(&mut subject, 0, PAGE, 0x77, 0);
    bind(&mut subject, PAGE, PAGE, 0x77, 0);
    unbind(&mut subject, 0, 4 * PAGE, 0);
    subject.give(Class::Handle, 0x77, 0, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 0);
}

#[test]
fn memory_bound_by_its_address_is_found_where_it_is_mapped() {
    let mut subject = subject();
    let mapping = Subject::event(Op::Took, Class::Mapping);
    subject.send(&mut Event { address: 8 * PAGE, size: 2 * PAGE, aux: 0x77, ..mapping });
    bind(&mut subject, 0, 2 * PAGE, 0, 8 * PAGE);
    subject.give(Class::Handle, 0x77, 0, 0);
    subject.give(Class::Mapping, 8 * PAGE, 2 * PAGE, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 2 * PAGE);
    unbind(&mut subject, 0, 2 * PAGE, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 0);
    // What nobody knows counts nothing, and nothing goes wrong.
    bind(&mut subject, 0, PAGE, 0x55, 0);
    bind(&mut subject, PAGE, PAGE, 0, 99 * PAGE);
    unbind(&mut subject, 0, 2 * PAGE, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 0);
}

#[test]
fn memory_bound_by_an_address_inside_its_mapping_is_kept_too() {
    let mut subject = subject();
    let mapping = Subject::event(Op::Took, Class::Mapping);
    subject.send(&mut Event { address: 8 * PAGE, size: 2 * PAGE, aux: 0x77, ..mapping });
    bind(&mut subject, 0, PAGE, 0, 9 * PAGE);
    subject.give(Class::Handle, 0x77, 0, 0);
    subject.give(Class::Mapping, 8 * PAGE, 2 * PAGE, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 2 * PAGE);
    unbind(&mut subject, 0, PAGE, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 0);
}

#[test]
fn an_endpoint_takes_what_is_bound_to_it_on_any_device_along_and_no_neighbours() {
    let mut subject = subject();
    subject.take(Class::Handle, 0x78, PAGE);
    let room = 1 << 40;
    let endpoint = |id: u64| (1 << 63) | (id * room);
    for (id, device, handle) in [(3, 0, 0x77), (3, 1, 0x77), (4, 0, 0x78)] {
        let event = Event { device, ..Subject::event(Op::Took, Class::Binding) };
        let address = endpoint(id) + PAGE;
        subject.send(&mut Event { address, size: PAGE, aux: handle, ..event });
    }
    for handle in [0x77, 0x78] {
        subject.give(Class::Handle, handle, 0, 0);
    }
    assert_eq!(subject.file().gauge(0, RESERVED), 3 * PAGE);
    let classes = 1 << Class::Binding as u32;
    let ended = Event { device: UNKNOWN, ..Subject::event(Op::Ended, Class::None) };
    subject.send(&mut Event { address: endpoint(3), size: room, classes, ..ended });
    assert_eq!(subject.file().gauge(0, RESERVED), PAGE, "what the other endpoint keeps");
}

/// Two arrays without memory of their own, one of them in context 0xc1, and a region of each that shows
/// the released memory of 0x77 and 0x78.
fn sparse_arrays() -> Subject {
    let mut subject = subject();
    subject.take(Class::Handle, 0x78, PAGE);
    for (array, context, handle) in [(0xa0, 0xc0, 0x77), (0xb0, 0xc1, 0x78)] {
        let took = Subject::event(Op::Took, Class::Array);
        subject.send(&mut Event { address: array, aux: context, ..took });
        let bound = Subject::event(Op::Took, Class::Binding);
        subject.send(&mut Event { address: sparse::room(array) + 3, aux: handle, ..bound });
        subject.give(Class::Handle, handle, 0, 0);
    }
    assert_eq!(subject.file().gauge(0, RESERVED), 3 * PAGE);
    subject
}

#[test]
fn a_region_of_an_array_keeps_what_it_shows_though_nobody_knows_how_much() {
    let mut subject = sparse_arrays();
    let classes = 1 << Class::Binding as u32;
    let ended = Subject::event(Op::Ended, Class::None);
    for (at, left) in [(2, 3 * PAGE), (3, PAGE), (3, PAGE)] {
        let address = sparse::room(0xa0) + at;
        subject.send(&mut Event { address, size: 1, classes, ..ended });
        assert_eq!(subject.file().gauge(0, RESERVED), left);
    }
}

#[test]
fn an_array_takes_what_its_regions_show_along_and_no_other_arrays() {
    let mut subject = sparse_arrays();
    subject.give(Class::Array, 0xa0, 0, 1);
    assert_eq!(subject.file().gauge(0, RESERVED), 3 * PAGE, "its end failed");
    subject.give(Class::Array, 0xa0, 0, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), PAGE);
}

#[test]
fn a_context_that_ends_takes_the_regions_of_its_arrays_along() {
    let mut subject = sparse_arrays();
    subject.send(&mut Event { aux: 0xc1, ..Subject::event(Op::Reset, Class::None) });
    assert_eq!(subject.file().gauge(0, RESERVED), 2 * PAGE);
}

#[test]
fn a_multicast_object_takes_what_is_bound_to_it_along() {
    let mut subject = subject();
    bind(&mut subject, 0, 2 * PAGE, 0x77, 0);
    subject.give(Class::Handle, 0x77, 0, 0);
    subject.send(&mut Event { address: OBJECT, ..Subject::event(Op::Retained, Class::Handle) });
    subject.give(Class::Multicast, OBJECT, 0, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 2 * PAGE, "one reference is left");
    subject.give(Class::Multicast, OBJECT, 0, 0);
    let file = subject.file();
    assert_eq!((file.gauge(0, RESERVED), file.live().len()), (0, 0));
}

#[test]
fn of_two_objects_whose_values_lie_close_one_takes_nothing_of_the_others_along() {
    let mut subject = subject();
    subject.take(Class::Multicast, OBJECT - 0x140, 4 * PAGE);
    bind(&mut subject, 0, 2 * PAGE, 0x77, 0);
    subject.give(Class::Handle, 0x77, 0, 0);
    subject.give(Class::Multicast, OBJECT - 0x140, 0, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 2 * PAGE);
    subject.give(Class::Multicast, OBJECT, 0, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 0);
}

#[test]
fn a_multicast_object_is_referred_to_as_a_handle_is() {
    let subject = subject();
    let live = subject.file().live();
    let (.., object) = live.iter().find(|(.., entry)| entry.class == Class::Multicast).unwrap();
    assert_eq!(object.link, LINK_REFERENCE);
}

#[test]
fn an_end_is_no_unknown_free_where_nothing_was() {
    let mut subject = Subject::new(SMALL);
    let classes = 1 << Class::External as u32;
    let ended = Event { address: 0x91, classes, ..Subject::event(Op::Ended, Class::None) };
    subject.send(&mut { ended });
    subject.take(Class::External, 0x91, PAGE);
    subject.send(&mut { ended });
    let file = subject.file();
    assert_eq!((file.live().len(), file.counter(Counter::UnknownFree)), (0, 0));
    let verbs: Vec<Verb> = file.records().iter().map(|record| record.verb).collect();
    assert_eq!(verbs, [Verb::Alloc, Verb::FreeBegin]);
    assert_eq!(file.gauge(0, RESERVED), 0, "it is somebody else's");
}

#[test]
fn another_processs_pool_is_not_read_into_this_ones_books() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::ImportedPool, 0x900, 0);
    let reading = Subject::event(Op::PoolReading, Class::Pool);
    subject.send(&mut Event { address: 0x900, size: PAGE, ..reading });
    assert_eq!(subject.file().gauge(0, RESERVED), 0);
    assert_eq!(subject.file().live().len(), 1);
}

#[test]
fn a_pool_that_a_process_opened_of_its_own_is_its_own() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Pool, 0x900, 0);
    subject.take(Class::ImportedPool, 0x900, 0);
    let reading = Subject::event(Op::PoolReading, Class::Pool);
    subject.send(&mut Event { address: 0x900, size: PAGE, ..reading });
    assert_eq!(subject.file().gauge(0, RESERVED), PAGE);
}

#[test]
fn the_memory_of_graphs_is_what_was_read_last() {
    let mut subject = Subject::new(SMALL);
    for size in [PAGE, 3 * PAGE, 3 * PAGE, 2 * PAGE] {
        let reading = Subject::event(Op::PoolReading, Class::Graph);
        subject.send(&mut Event { address: 1, size, ..reading });
    }
    let file = subject.file();
    assert_eq!(file.gauge(0, RESERVED), 2 * PAGE);
    assert_eq!(file.records().len(), 3, "what did not change is not told");
    let live = file.live();
    let [(.., entry)] = live.as_slice() else { panic!("one entry") };
    assert_eq!((entry.class, entry.size), (Class::Graph, 2 * PAGE));
}

#[test]
fn who_looks_for_the_memory_of_graphs_before_there_is_any_is_not_who_takes_it() {
    let mut subject = Subject::new(SMALL);
    let reading = Subject::event(Op::PoolReading, Class::Graph);
    subject.send(&mut Event { address: 1, ..reading });
    let file = subject.file();
    assert_eq!((file.live().len(), file.records().len()), (0, 0));
    subject.send(&mut Event { address: 1, size: PAGE, ..reading });
    assert_eq!((subject.file().live().len(), subject.file().gauge(0, RESERVED)), (1, PAGE));
}

#[test]
fn a_pool_that_was_only_asked_for_has_a_site() {
    let mut subject = Subject::new(SMALL);
    let reading = Subject::event(Op::PoolReading, Class::Pool);
    subject.send(&mut Event { address: 0x900, ..reading });
    let live = subject.file().live();
    let [(.., pool)] = live.as_slice() else { panic!("one entry") };
    assert_eq!((pool.class, pool.size), (Class::Pool, 0));
    assert_ne!(pool.native, 0, "who asked for it is all that tells whose it is");
}

#[test]
fn a_step_of_the_drivers_is_told_and_counts_nothing() {
    let mut subject = Subject::new(SMALL);
    let step = Subject::event(Op::Called, Class::None);
    let aux = Step::ModuleLoaded as u64;
    subject.send(&mut Event { address: 0x3d, aux, ..step });
    let file = subject.file();
    let [record] = file.records()[..] else { panic!("one record") };
    assert_eq!((record.verb, record.class), (Verb::Called, Class::None));
    assert_eq!((record.address, record.aux), (0x3d, aux));
    assert_ne!(record.native, 0, "who loads code is worth knowing");
    assert_eq!((file.live().len(), file.gauge(0, RESERVED)), (0, 0));
}
