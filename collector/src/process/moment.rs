//! Moments of a run, as a person names them, and where in each process's timeline they lie.

use std::{
    collections::HashMap,
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use crate::{
    ledger::{Identity, Instance, Tables},
    phase::{self, Span, Spans},
};

/// A moment of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// Its end.
    #[default]
    End,
    /// So many ns after tracing began.
    After(u64),
    /// The end of the step of that number.
    Step(u64),
    /// The last end of a phase of that name.
    Phase(String),
    /// The last moment that was marked so.
    Mark(String),
}

impl FromStr for Moment {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "end" {
            return Ok(Self::End);
        }
        match text.split_once(':') {
            Some((_, "")) => Err(()),
            Some(("step", number)) => number.parse().map(Self::Step).map_err(|_| ()),
            Some(("phase", name)) => Ok(Self::Phase(name.to_owned())),
            Some(("mark", name)) => Ok(Self::Mark(name.to_owned())),
            Some(_) => Err(()),
            None => duration(text).map(Self::After).ok_or(()),
        }
    }
}

impl Display for Moment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => write!(f, "the end"),
            Self::After(ns) => {
                let seconds = ns / SECOND;
                let [h, m, s] = [seconds / 3600, seconds / 60 % 60, seconds % 60];
                let parts = [(h, " h"), (m, " min"), (s, " s")];
                let shown =
                    parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}"));
                let shown: Vec<String> = shown.collect();
                let shown = if shown.is_empty() { "0 s".to_owned() } else { shown.join(" ") };
                write!(f, "{shown} after its begin")
            }
            Self::Step(number) => write!(f, "the end of step {number}"),
            Self::Phase(name) => write!(f, "the last end of phase {name}"),
            Self::Mark(name) => write!(f, "mark {name}"),
        }
    }
}

const SECOND: u64 = 1_000_000_000;

/// `90s`, `10m`, `1h30m`, in ns.
fn duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b's' => SECOND,
            b'm' => 60 * SECOND,
            b'h' => 3_600 * SECOND,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(sum)
}

/// Where in the timelines of a job's processes a moment lies, ns of `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    each: HashMap<Instance, Span>,
    others: Option<u64>,
}

impl Stops {
    /// Where `moment` lies, where that is the end of a step or a phase with its begin; `None` if no
    /// process has such a moment. One that has none of its own is told of as of the latest that
    /// another one has. `started` is when tracing began, ns of `CLOCK_REALTIME`.
    #[must_use]
    pub fn new<'a>(
        moment: &Moment,
        started: u64,
        processes: impl Iterator<Item = (&'a Identity, &'a Spans, &'a Tables)>,
    ) -> Option<Self> {
        let mut stops = Self::default();
        for (identity, spans, tables) in processes {
            let text = |id| phase::text(tables, id);
            let at = |time| Span { from: time, until: time };
            let span = match moment {
                Moment::End => return Some(stops),
                Moment::After(ns) => Some(at(identity.monotonic(started.saturating_add(*ns)))),
                Moment::Step(number) => spans.step(*number, text),
                Moment::Phase(name) => spans.phase(name, text),
                Moment::Mark(name) => spans.mark(name, text).map(at),
            };
            stops.each.extend(span.map(|span| (identity.instance, span)));
        }
        stops.others = Some(stops.each.values().map(|span| span.until).max()?);
        Some(stops)
    }

    /// When to stop in a process's timeline; `None` for its end.
    #[must_use]
    pub fn until(&self, instance: Instance) -> Option<u64> {
        self.each.get(&instance).map(|span| span.until).or(self.others)
    }

    /// The step or phase that ends then; from and until are one where it is neither.
    #[must_use]
    pub fn span(&self, instance: Instance) -> Option<Span> {
        let other = self.others.map(|until| Span { from: until, until });
        self.each.get(&instance).copied().or(other)
    }
}

#[cfg(test)]
mod tests {
    use wire::mark::{Kind, Mark};

    use super::*;
    use crate::{
        ledger::{Code, Event},
        process::Observer,
        state::State,
    };

    #[test]
    fn a_moment_is_read_as_it_is_written() {
        let minutes = |n: u64| Moment::After(n * 60 * SECOND);
        for (text, moment) in [
            ("end", Moment::End),
            ("10m", minutes(10)),
            ("1h30m", minutes(90)),
            ("0s", minutes(0)),
            ("step:40", Moment::Step(40)),
            ("mark:weights: loaded", Moment::Mark("weights: loaded".to_owned())),
            ("phase:step 3", Moment::Phase("step 3".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(moment), "{text}");
        }
        let long = "99999999999999999999h";
        for text in
            ["", "10", "m", "1x", "1m2", "step:", "step:x", "mark:", "x:y", "-1s", "1é", long]
        {
            assert_eq!(text.parse::<Moment>(), Err(()), "{text}");
        }
        assert_eq!(minutes(90).to_string(), "1 h 30 min after its begin");
    }

    #[test]
    fn a_process_without_such_a_moment_is_told_of_as_of_the_latest_that_another_has() {
        let identity = |instance| Identity {
            instance: Instance([instance, 0]),
            pid: 1,
            pid_namespace: 0,
            start_ticks: 0,
            started_monotonic: 100,
            started_realtime: 1_100,
            command: Vec::new(),
            executable: String::new(),
            environment: std::collections::BTreeMap::new(),
            driver_version: 0,
        };
        let marked = |times: &[u64]| {
            let mut spans = Spans::default();
            for time in times {
                let mark = Mark { kind: Kind::Point, name: 1, number: None, domain: 0, range: 0 };
                let event = Event { position: 0, record: mark.record(*time, 7), extra: None };
                spans.applied(&mut State::default(), &event);
            }
            spans
        };
        let mut tables = Tables::default();
        let code = |name: &str| Code {
            name: name.to_owned(),
            file: String::new(),
            lines: Vec::new(),
            first_line: 0,
            python: 0,
        };
        tables.codes.insert(1, code("loaded"));
        let all = [
            (identity(1), marked(&[5, 9])),
            (identity(2), marked(&[12])),
            (identity(3), marked(&[])),
        ];
        let stops = |moment: &Moment| {
            let each = all.iter().map(|(identity, spans)| (identity, spans, &tables));
            let stops = Stops::new(moment, 1_000, each)?;
            Some([1, 2, 3].map(|instance| stops.until(Instance([instance, 0]))))
        };
        let mark = |name: &str| Moment::Mark(name.to_owned());
        assert_eq!(stops(&mark("loaded")), Some([Some(9), Some(12), Some(12)]));
        assert_eq!(stops(&mark("other")), None);
        assert_eq!(stops(&Moment::After(7)), Some([Some(7); 3]));
        assert_eq!(stops(&Moment::End), Some([None; 3]));
    }
}
