//! The end of a context takes everything in it along.

use hook::event::Event;
use wire::{
    live::State,
    record::{Class, Record, Verb},
};

use super::{Ledger, Now, contexts::UNNUMBERED};

impl Ledger<'_> {
    /// Ends all that the context, or with `aux` 0 the device's primary context, held.
    pub(super) fn reset(&self, now: &Now, event: &Event) {
        self.called();
        let context = self.contexts.find(event.aux);
        for (index, entry) in self.valid() {
            let of = if is_of_a_context(entry.class) { entry.link } else { UNNUMBERED };
            let ends = if event.aux != 0 {
                context != UNNUMBERED && of == context
            } else if let Some(device) = self.contexts.device(of) {
                // What was opened of another process may lie on another device than where it was opened.
                device == event.device
            } else {
                entry.device == event.device
                    && ends_with_device(entry.class)
                    // What the program made contexts of its own for lives on in them.
                    && !self.contexts.is_own(of)
            };
            if ends && self.live.end(index, State::Valid) {
                self.count_given(now, &entry);
                self.end_bindings_of(now, event, &entry);
            }
        }
        if event.aux == 0 {
            self.empty_pools(event.device);
        } else {
            self.contexts.forget(context);
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

/// Whether entries of this class have the number of their context as their link.
pub(super) const fn is_of_a_context(class: Class) -> bool {
    matches!(
        class,
        Class::Linear
            | Class::Managed
            | Class::Host
            | Class::Array
            | Class::IpcImport
            | Class::External
            | Class::View
    )
}
