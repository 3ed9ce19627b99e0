//! The end of a context takes everything in it along.

use hook::event::Event;
use wire::{
    live::{Entry, State},
    record::{Class, Record, Verb},
};

use super::{Ledger, Now, contexts::UNNUMBERED};

impl Ledger<'_> {
    /// Ends all that the context, or with `aux` 0 the device's primary context, held.
    pub(super) fn reset(&self, now: &Now, event: &Event) {
        self.called();
        let context = self.contexts.number(event.aux);
        for index in 0..u32::try_from(self.live.table().capacity()).unwrap_or(u32::MAX) {
            let Some((State::Valid, entry)) = self.live.table().get(index) else { continue };
            let ends = if event.aux == 0 {
                entry.device == event.device && ends_with_device(entry.class)
            } else {
                context != UNNUMBERED && is_of(&entry, context)
            };
            if ends && self.live.end(index, State::Valid) {
                self.count_given(now, &entry);
            }
        }
        self.ring
            .publish(&Record { aux: event.aux, ..now.record(Verb::Reset, Class::None, event) });
    }
}

const fn ends_with_device(class: Class) -> bool {
    matches!(
        class,
        Class::Linear
            | Class::Managed
            | Class::Host
            | Class::Array
            | Class::Graph
            | Class::PoolBlock
            | Class::IpcImport
            | Class::ImportedBlock
            | Class::External
            | Class::View
    )
}

/// Whether the entry carries the number of `context`; other classes' links are something else.
const fn is_of(entry: &Entry, context: u16) -> bool {
    matches!(entry.class, Class::Linear | Class::Managed | Class::Array) && entry.link == context
}
