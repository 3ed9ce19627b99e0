//! Whatever a damaged ring or live table says, the state takes it without a panic, and its sums add
//! up.

use proptest::prelude::*;
use wire::{
    live::Entry,
    record::{Class, Record, Verb},
};

use crate::{
    ledger::{Event, Live},
    state::{Site, State},
};

/// Few values that meet each other often, and the ends of the range.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0..16u64,
        4 => (0..64u64).prop_map(|n| n << 20),
        1 => Just(u64::MAX),
        1 => any::<u64>(),
    ]
}

fn class() -> impl Strategy<Value = Class> {
    (0..14u8).prop_map(|number| Class::of(number).unwrap())
}

prop_compose! {
    fn event()(
        verb in prop_oneof![4 => Just(1u8), 2 => Just(3u8), 1 => 2..9u8],
        class in class(),
        (time, address, size, aux) in (number(), number(), number(), number()),
        (device, flags, tid) in (0..2u8, any::<u8>(), 0..3u32),
        (native, python) in (0..4u32, 0..4u32),
    ) -> Event {
        let verb = Verb::of(verb).unwrap();
        let record = Record {
            time, address, size, aux, verb, class, api: 0, device, result: 0, tid, flags, native,
            python,
        };
        Event { position: 0, record, extra: None }
    }
}

prop_compose! {
    fn live()(
        index in 0..32u32,
        class in class(),
        (address, size, birth_us) in (number(), number(), number()),
        (device, flags, link) in (0..2u8, any::<u8>(), any::<u16>()),
        (native, python) in (0..32u32, 0..4u32),
    ) -> Live {
        let entry = Entry { address, class, device, flags, size, native, python, birth_us, link };
        Live { index, freeing: false, entry }
    }
}

fn adds_up(state: &State) -> Result<(), TestCaseError> {
    for device in state.devices().collect::<Vec<_>>() {
        let owned = state.owned(device, &Site::default(), |site| site);
        let mut reserved = 0;
        for sum in owned.allocators.values() {
            let allocated = sum.allocated.unwrap_or(sum.reserved);
            let free = sum.free.stranded + sum.free.releasable + sum.free.private;
            prop_assert_eq!(sum.reserved + sum.unbacked, allocated + free);
            reserved += sum.reserved;
        }
        prop_assert_eq!(reserved, state.totals(device).reserved());
        let peak = state.sites_at_peak(device).values().map(|used| used.bytes).sum::<u64>();
        prop_assert_eq!(peak, state.peak(device).bytes);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_record_and_no_entry_can_upset_the_state(
        live in prop::collection::vec(live(), 0..40),
        events in prop::collection::vec(event(), 0..60),
    ) {
        for mut state in [State::default(), State::from_live(&live), State::at_start(&live, &events)] {
            state.learn([1]);
            for event in &events {
                state.apply(event);
                adds_up(&state)?;
            }
            state.resync(&live);
            adds_up(&state)?;
            state.resync_before(&live, &events);
            adds_up(&state)?;
        }
    }
}
