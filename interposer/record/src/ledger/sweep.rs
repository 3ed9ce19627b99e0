//! The end of a context takes everything in it along.

use hook::event::Event;
use wire::{
    live::{Entry, State},
    record::{Class, Record, Verb},
};

use super::{Ledger, Now, contexts::UNNUMBERED};

impl Ledger<'_> {
    /// A context is about to be ended. As soon as it is gone the driver may give its addresses out again,
    /// before all that it held is out of the books: who frees them then means the new ones. A driver refuses
    /// to end in this way what the program did not make.
    pub(super) fn resetting(&self, event: &mut Event) {
        let number = self.contexts.find(event.aux);
        if self.contexts.is_own(number) {
            self.contexts.begin_end(number);
            event.entry = number.into();
        }
    }

    /// Whether this ends with its context at this moment.
    pub(super) fn is_ending(&self, entry: &Entry) -> bool {
        is_of_a_context(entry.class) && self.contexts.is_ending(entry.link)
    }

    /// Ends all that the context, or with `aux` 0 the device's primary context, held.
    pub(super) fn reset(&self, now: &Now, event: &Event) {
        let begun = u16::try_from(event.entry).ok();
        if event.result != 0 {
            self.contexts.failed_to_end(begun.unwrap_or(UNNUMBERED), event.aux);
            return;
        }
        let context = begun.unwrap_or_else(|| self.contexts.find(event.aux));
        self.called();
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
