//! When each phase began and ended, and when each moment was marked: what a moment of a run is
//! found by.

use std::collections::BTreeMap;

use wire::mark::{Kind, Mark};

use super::{NameId, Told, open::Open, steps::tiling, told::Of};
use crate::{ledger::Event, process::Observer, state::State};

/// Phases and marks kept of each kind: at ten a second it is a day. Later ones are not found.
const MOST: usize = 1 << 20;

/// A phase that has ended, ns of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub from: u64,
    /// When it ended.
    pub until: u64,
}

/// The phases and marks of one process.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    open: Open,
    ended: Vec<(NameId, Span)>,
    marks: Vec<(NameId, u64)>,
    told: Told,
    /// Time of the first and of the last event.
    seen: Option<Span>,
}

impl Observer for Spans {
    fn applied(&mut self, _: &mut State, event: &Event) {
        let time = event.record.time;
        let seen = self.seen.get_or_insert(Span { from: time, until: time });
        seen.until = seen.until.max(time);
        let Some(mark) = Mark::of(&event.record) else { return };
        match mark.kind {
            Kind::Point if self.marks.len() < MOST => {
                self.marks.push(((mark.name, mark.number), time));
            }
            Kind::Point => {}
            Kind::Begin | Kind::Push | Kind::Start => {
                self.open.begin(&mark, event.record.tid, time, None);
            }
            Kind::End | Kind::Pop | Kind::Stop => {
                for begun in self.open.end(&mark, event.record.tid) {
                    self.told.name(begun.name).ended(begun.time, time);
                    if self.ended.len() < MOST {
                        self.ended.push((begun.name, Span { from: begun.time, until: time }));
                    }
                }
            }
        }
    }

    fn lost(&mut self, _: &State) {
        self.open.take_all();
    }
}

impl Spans {
    /// From the first event to the last; `None` if there was none.
    #[must_use]
    pub fn seen(&self) -> Option<Span> {
        self.seen
    }

    /// The run's steps in the order of their ends, each with its number; none if it has none.
    /// Where names carry no number, they count from 1.
    #[must_use]
    pub fn steps(&self) -> Vec<(u64, Span)> {
        let Some((of, _)) = tiling(self.told.each()) else { return Vec::new() };
        let steps = self.ended.iter().filter(|(name, _)| of.is(*name)).zip(1..);
        let number = |((_, number), span): (NameId, Span), at| match of {
            Of::All(_) => (number.unwrap_or(at), span),
            Of::One(_) => (at, span),
        };
        steps.map(|(step, at)| number(*step, at)).collect()
    }

    /// The step of that number; where nothing repeats like a step, the phase that is called so. Of
    /// several the last.
    #[must_use]
    pub fn step(&self, number: u64, text: impl Fn(u32) -> String) -> Option<Span> {
        let steps = self.steps();
        if steps.is_empty() {
            return self.phase(&format!("step {number}"), text);
        }
        steps.iter().rfind(|(n, _)| *n == number).map(|(_, span)| *span)
    }

    /// The phase of that name that ended last; `text` gives the text of a name's id.
    #[must_use]
    pub fn phase(&self, name: &str, text: impl Fn(u32) -> String) -> Option<Span> {
        let named = by_text(name, text);
        self.ended.iter().rfind(|(id, _)| named(*id)).map(|(_, span)| *span)
    }

    /// When that was marked last.
    #[must_use]
    pub fn mark(&self, name: &str, text: impl Fn(u32) -> String) -> Option<u64> {
        let named = by_text(name, text);
        self.marks.iter().rfind(|(id, _)| named(*id)).map(|(_, time)| *time)
    }
}

/// Whether an id is that of a name, which may have a number at its end.
fn by_text(name: &str, text: impl Fn(u32) -> String) -> impl Fn(NameId) -> bool {
    let known: std::cell::RefCell<BTreeMap<u32, String>> = std::cell::RefCell::default();
    move |(id, number)| {
        let mut known = known.borrow_mut();
        let stem = known.entry(id).or_insert_with(|| text(id));
        match number {
            None => stem == name,
            Some(number) => {
                name.strip_prefix(stem.as_str()).is_some_and(|rest| rest == number.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::mark::NO_NAME;

    use super::*;

    const STEP: u32 = 1;
    const ROLLOUT: u32 = 2;

    fn text(id: u32) -> String {
        match id {
            STEP => "step ".to_owned(),
            ROLLOUT => "rollout 2".to_owned(),
            _ => "(no name)".to_owned(),
        }
    }

    fn spans(marks: &[(Kind, u32, Option<u64>, u64)]) -> Spans {
        let mut spans = Spans::default();
        for (kind, name, number, time) in marks {
            let mark = Mark { kind: *kind, name: *name, number: *number, domain: 0, range: 0 };
            let event = Event { position: 0, record: mark.record(*time, 7), extra: None };
            spans.applied(&mut State::default(), &event);
        }
        spans
    }

    #[test]
    fn a_step_is_found_by_the_number_in_its_name() {
        let marks: Vec<_> = (0..40)
            .flat_map(|n| {
                let at = |kind, time| (kind, STEP, Some(n), time);
                [at(Kind::Begin, n * 100), at(Kind::End, n * 100 + 90)]
            })
            .collect();
        let spans = spans(&marks);
        assert_eq!(spans.step(5, text), Some(Span { from: 500, until: 590 }));
        assert_eq!(spans.step(40, text), None);
        assert_eq!(spans.steps().len(), 40);
        assert_eq!(spans.seen(), Some(Span { from: 0, until: 3_990 }));
    }

    #[test]
    fn steps_without_numbers_count_from_one_and_few_named_ones_are_found_by_name() {
        let marks: Vec<_> = (0..10)
            .flat_map(|n| {
                [(Kind::Push, ROLLOUT, None, n * 10), (Kind::Pop, NO_NAME, None, n * 10 + 9)]
            })
            .collect();
        assert_eq!(spans(&marks).step(1, text), Some(Span { from: 0, until: 9 }));
        let named = spans(&[(Kind::Begin, STEP, Some(3), 5), (Kind::End, STEP, Some(3), 8)]);
        assert_eq!(named.step(3, text), Some(Span { from: 5, until: 8 }));
        assert_eq!(named.step(4, text), None);
    }

    #[test]
    fn phases_and_marks_are_found_by_their_whole_name_the_last_of_several() {
        let spans = spans(&[
            (Kind::Point, ROLLOUT, None, 1),
            (Kind::Point, ROLLOUT, None, 4),
            (Kind::Point, STEP, Some(12), 5),
            (Kind::Begin, ROLLOUT, None, 6),
            (Kind::End, ROLLOUT, None, 8),
        ]);
        assert_eq!(spans.mark("rollout 2", text), Some(4));
        assert_eq!(spans.mark("step 12", text), Some(5));
        for name in ["step 1", "step 012", "step ", "rollout", "(no name)"] {
            assert_eq!(spans.mark(name, text), None, "{name}");
        }
        assert_eq!(spans.phase("rollout 2", text), Some(Span { from: 6, until: 8 }));
        assert_eq!(spans.phase("step 12", text), None);
    }

    #[test]
    fn a_phase_that_a_loss_cut_has_no_end() {
        let mut spans = spans(&[(Kind::Begin, ROLLOUT, None, 6)]);
        spans.lost(&State::default());
        let mark =
            Mark { kind: Kind::End, name: ROLLOUT, number: None, domain: 0, range: 0 }.record(9, 7);
        let event = Event { position: 0, record: mark, extra: None };
        spans.applied(&mut State::default(), &event);
        assert_eq!(spans.phase("rollout 2", text), None);
    }
}
