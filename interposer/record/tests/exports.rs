//! Memory that goes between processes: what stays known of it, and for how long.

mod support;

use hook::event::{Event, Op};
use support::subject::Subject;
use wire::{
    device::RESERVED,
    header::Counter,
    layout::SMALL,
    record::{Class, Verb},
};

const PAGE: u64 = 1 << 21;
const NAME: u64 = 0x1234_5678_9abc_def0;

fn export(subject: &mut Subject, class: Class, address: u64, identity: u64) {
    let event = Event { address, aux: identity, ..Subject::event(Op::Exported, class) };
    subject.send(&mut { event });
}

/// Class of what it belongs to, address and identity of each identity that is known.
fn identities(subject: &Subject) -> Vec<(u16, u64, u64)> {
    let live = subject.file().live();
    let entries = live.iter().map(|(.., entry)| entry);
    let identities = entries.filter(|entry| entry.class == Class::Identity);
    let whole = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    identities.map(|e| (e.link, e.address, whole(e.native, e.python))).collect()
}

#[test]
fn an_export_is_known_once_as_long_as_its_memory_is_there() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Linear, 0x1000, 64);
    for _ in 0..2 {
        export(&mut subject, Class::Linear, 0x1000, NAME);
    }
    let linear = Class::Linear as u16;
    assert_eq!(identities(&subject), [(linear, 0x1000, NAME)]);
    export(&mut subject, Class::Linear, 0x1000, NAME + 1);
    assert_eq!(identities(&subject).len(), 2, "it may have several");
    subject.give(Class::Linear, 0x1000, 0, 1);
    assert_eq!(identities(&subject).len(), 2, "the free failed");
    subject.give(Class::Linear, 0x1000, 0, 0);
    assert_eq!(identities(&subject), []);
    let records = subject.file().records();
    let exports: Vec<_> = records.iter().filter(|record| record.verb == Verb::Export).collect();
    assert_eq!(exports.len(), 3, "each export is in the timeline");
    assert_eq!((exports[0].address, exports[0].size, exports[0].aux), (0x1000, 64, NAME));
    assert!(!subject.file().native(exports[0].native).is_empty(), "with its stack");
}

#[test]
fn an_exported_handle_is_known_until_its_last_mapping_goes() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Handle, 0x77, PAGE);
    let mapping = Event {
        address: 0x10_0000,
        size: PAGE,
        aux: 0x77,
        ..Subject::event(Op::Took, Class::Mapping)
    };
    subject.send(&mut { mapping });
    export(&mut subject, Class::Handle, 0x77, NAME);
    subject.give(Class::Handle, 0x77, 0, 0);
    export(&mut subject, Class::Handle, 0x77, 0);
    assert_eq!(identities(&subject), [(Class::Handle as u16, 0x77, NAME)], "its name is gone");
    subject.give(Class::Mapping, 0x10_0000, PAGE, 0);
    assert_eq!(identities(&subject), []);
}

#[test]
fn what_was_opened_twice_is_known_until_it_was_closed_twice() {
    let mut subject = Subject::new(SMALL);
    let open = Event {
        address: 0x1000,
        size: 64,
        aux: NAME,
        ..Subject::event(Op::Took, Class::IpcImport)
    };
    subject.send(&mut { open });
    subject.send(&mut { open });
    let nameless = Event { address: 0x5000, aux: 0, ..open };
    subject.send(&mut { nameless });
    let known = [(Class::IpcImport as u16, 0x1000, NAME)];
    assert_eq!(identities(&subject), known);
    subject.give(Class::IpcImport, 0x1000, 0, 0);
    assert_eq!(identities(&subject), known);
    subject.give(Class::IpcImport, 0x1000, 0, 0);
    assert_eq!(identities(&subject), []);
}

#[test]
fn a_block_of_anothers_pool_is_known_until_it_is_freed() {
    let mut subject = Subject::new(SMALL);
    let block = Event {
        address: 0x2000,
        size: 64,
        aux: NAME,
        ..Subject::event(Op::Took, Class::ImportedBlock)
    };
    subject.send(&mut { block });
    assert_eq!(identities(&subject), [(Class::ImportedBlock as u16, 0x2000, NAME)]);
    subject.give(Class::ImportedBlock, 0x2000, 0, 0);
    assert_eq!(identities(&subject), []);
}

#[test]
fn an_export_of_memory_nobody_saw_taken_is_in_the_timeline_only() {
    let mut subject = Subject::new(SMALL);
    let event = Event {
        address: 0x1000,
        size: 64,
        aux: NAME,
        ..Subject::event(Op::Exported, Class::Linear)
    };
    subject.send(&mut { event });
    assert_eq!(identities(&subject), []);
    let [record] = subject.file().records()[..] else { panic!("one slot") };
    assert_eq!((record.verb, record.size, record.aux), (Verb::Export, 64, NAME));
}

#[test]
fn a_mapping_that_goes_out_as_a_dma_buffer_leaves_nothing_behind_when_it_ends() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Handle, 0x77, PAGE);
    map(&mut subject, PAGE, 0x77);
    export(&mut subject, Class::Mapping, PAGE, 0);
    subject.give(Class::Mapping, PAGE, PAGE, 0);
    subject.give(Class::Handle, 0x77, 0, 0);
    let file = subject.file();
    assert!(file.live().is_empty(), "{:?}", file.live());
    assert!(file.records().iter().any(|record| record.verb == Verb::Export));
}

fn import(subject: &mut Subject, handle: u64, identity: u64) {
    let event =
        Event { address: handle, aux: identity, ..Subject::event(Op::Took, Class::ImportedHandle) };
    subject.send(&mut { event });
}

fn map(subject: &mut Subject, at: u64, handle: u64) {
    let event = Subject::event(Op::Took, Class::Mapping);
    subject.send(&mut Event { address: at, size: PAGE, aux: handle, ..event });
}

fn verbs(subject: &Subject) -> Vec<(Verb, Class)> {
    subject.file().records().iter().map(|record| (record.verb, record.class)).collect()
}

#[test]
fn a_handle_that_comes_back_to_its_owner_is_one_more_reference() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Handle, 0x77, PAGE);
    export(&mut subject, Class::Handle, 0x77, NAME);
    for _ in 0..2 {
        import(&mut subject, 0x77, NAME);
    }
    map(&mut subject, 8 * PAGE, 0x77);
    for _ in 0..3 {
        assert_eq!(subject.file().gauge(0, RESERVED), PAGE);
        subject.give(Class::Handle, 0x77, 0, 0);
    }
    assert_eq!(subject.file().gauge(0, RESERVED), PAGE, "it is mapped");
    subject.give(Class::Mapping, 8 * PAGE, PAGE, 0);
    let file = subject.file();
    assert_eq!((file.gauge(0, RESERVED), file.live().len()), (0, 0));
    assert_eq!(file.counter(Counter::UnknownFree), 0);
}

#[test]
fn what_is_imported_twice_under_one_handle_is_open_until_it_was_released_twice() {
    let mut subject = Subject::new(SMALL);
    for _ in 0..2 {
        import(&mut subject, 0x99, NAME);
    }
    let held = |subject: &Subject| {
        let live = subject.file().live();
        live.iter().filter(|(.., entry)| entry.class == Class::ImportedHandle).count()
    };
    for left in [1, 0] {
        assert_eq!(held(&subject), 1);
        subject.give(Class::ImportedHandle, 0x99, 0, 0);
        assert_eq!(held(&subject), left);
    }
}

#[test]
fn a_handle_that_was_released_and_is_mapped_has_its_name_again_once_there_is_a_reference() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Handle, 0x77, PAGE);
    map(&mut subject, 8 * PAGE, 0x77);
    export(&mut subject, Class::Handle, 0x77, NAME);
    subject.give(Class::Handle, 0x77, 0, 0);
    // Another process's, whose handle only has the same value.
    import(&mut subject, 0x77, NAME + 1);
    assert_eq!(verbs(&subject)[4], (Verb::Alloc, Class::ImportedHandle));
    subject.give(Class::ImportedHandle, 0x77, 0, 0);
    import(&mut subject, 0x77, NAME);
    assert_eq!(verbs(&subject)[6..], [(Verb::Retained, Class::Handle)]);
    assert_eq!(subject.file().records()[6].size, PAGE);
    subject.give(Class::Mapping, 8 * PAGE, PAGE, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), PAGE);
    subject.give(Class::Handle, 0x77, 0, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 0);
}
