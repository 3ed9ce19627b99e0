//! Creep: reserved memory that grew although allocated memory kept returning to its base.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    Subject, amount, bare, evidence, fragmentation, pinned, pins,
    place::{Place, inside, named, several},
};
use crate::{
    detect::{
        creep::{DEFAULT_GAIN, DEFAULT_JUMPS, DEFAULT_TROUGHS, Finding as Creep, Verdict},
        fragmentation::{Holder, holders, map},
        rate::rate,
    },
    present::{
        build::{device, sites::SiteBook},
        report::{Confidence, Evidence, Finding, Process, Rate},
        text::{bytes, clock, count, percent},
        total,
    },
    symbol::site::SiteId,
};

/// The name of the verdict.
pub(super) const VERDICT: &str = "creep";
/// The name of the cause that has pins.
pub(super) const STRANDING: &str = "stranding";

/// One device of one process that creeps.
struct Case<'a> {
    creep: Creep,
    since_ns: u64,
    /// By its place among the subjects.
    subject: usize,
    place: Place<'a>,
}

/// What became of what reserved gained.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Stranding,
    GraphPool,
    Cache,
}

impl Cause {
    const fn name(self) -> &'static str {
        match self {
            Self::Stranding => STRANDING,
            Self::GraphPool => "private pool",
            Self::Cache => "releasable cache",
        }
    }
}

impl Case<'_> {
    /// What of its reserved comes back. What was in use between requests does not: a process that
    /// ended gave that back, too, but only then.
    fn releasable(&self) -> u64 {
        let idle = self.creep.reserved.saturating_sub(self.creep.base);
        self.place.torch().map_or(0, |torch| torch.releasable_bytes.min(idle))
    }

    /// At the same moment as what is releasable of it.
    fn reserved(&self) -> u64 {
        self.place.torch().map_or(0, |torch| torch.reserved_bytes)
    }

    fn stranded(&self) -> u64 {
        self.place.torch().map_or(0, |torch| torch.stranded_bytes)
    }

    fn private(&self) -> u64 {
        self.place.torch().map_or(0, |torch| torch.private_bytes)
    }

    /// As what most of the idle memory is kept.
    fn cause(&self) -> Cause {
        let amounts = [
            (self.releasable(), Cause::Cache),
            (self.private(), Cause::GraphPool),
            (self.stranded(), Cause::Stranding),
        ];
        amounts.into_iter().max().map_or(Cause::Cache, |(_, cause)| cause)
    }

    /// How fast it went, by its jumps.
    fn rate(&self) -> Option<Rate> {
        let mut gained = 0_u64;
        let jumps = self.creep.jumps.iter().map(|jump| {
            gained = gained.saturating_add(jump.bytes);
            (jump.time, gained)
        });
        let points: Vec<(u64, u64)> = [(self.creep.since, 0)].into_iter().chain(jumps).collect();
        let rate = rate(&points)?;
        Some(Rate {
            bytes_per_hour: rate.bytes,
            low: rate.low,
            high: rate.high,
            bytes_per_step: None,
        })
    }

    fn evidence(&self) -> Vec<Evidence> {
        let jumps = self.creep.jumps.len() as u64;
        vec![
            evidence("reserved gained", self.creep.bytes, Some(DEFAULT_GAIN), "bytes"),
            evidence("jumps of reserved", jumps, Some(DEFAULT_JUMPS as u64), "jumps"),
            evidence(
                "returns of allocated to its base",
                self.creep.troughs,
                Some(DEFAULT_TROUGHS as u64),
                "times",
            ),
            amount("base of allocated", self.creep.base),
            amount("releasable", self.releasable()),
            amount("stranded", self.stranded()),
            amount("private", self.private()),
        ]
    }
}

/// The creeps; `processes` are the report's for the subjects, in their order.
pub(super) fn findings(
    subjects: &mut [Subject<'_>],
    processes: &[Process],
    book: &mut SiteBook,
) -> Vec<Finding> {
    let mut cases: BTreeMap<(Confidence, SiteId), Vec<Case<'_>>> = BTreeMap::new();
    for (n, (subject, process)) in subjects.iter_mut().zip(processes).enumerate() {
        for device in &process.devices {
            let detector = subject.process.played.creeps.get(&device.device);
            let Some(Verdict::Creep(creep)) = detector.map(|detector| detector.check()) else {
                continue;
            };
            let confidence = if creep.plateaued { Confidence::Info } else { Confidence::Alert };
            let site = book.site(subject, creep.site.unwrap_or_default());
            let since_ns = subject.identity().realtime(creep.since);
            let case = Case { creep, since_ns, subject: n, place: Place { process, device } };
            cases.entry((confidence, site)).or_default().push(case);
        }
    }
    let cases = cases.into_iter();
    cases.map(|((confidence, site), of)| finding(confidence, site, of, subjects, book)).collect()
}

fn finding(
    confidence: Confidence,
    site: SiteId,
    mut cases: Vec<Case<'_>>,
    subjects: &mut [Subject<'_>],
    book: &mut SiteBook,
) -> Finding {
    cases.sort_by_key(|case| Reverse(case.creep.bytes));
    let line = book.line(site);
    let mut finding = Finding {
        instances: cases.iter().map(|case| case.place.instance(case.creep.bytes)).collect(),
        bytes: total(cases.iter().map(|case| case.creep.bytes)),
        site: site.to_string(),
        text: text(confidence, &cases, line.as_deref()),
        advice: advice(confidence, &cases),
        releasable_bytes: total(cases.iter().map(Case::releasable)),
        since_ns: cases.iter().map(|case| case.since_ns).min().unwrap_or(0),
        ..bare(VERDICT, confidence)
    };
    if let Some(first) = cases.first() {
        let cause = first.cause();
        finding.cause = Some(cause.name().to_owned());
        finding.rate = first.rate().filter(|_| confidence != Confidence::Info);
        finding.evidence = first.evidence();
        if cause == Cause::Stranding {
            let (holders, subject) = (held_by(first, subjects), &mut subjects[first.subject]);
            finding.pins = pins(&holders, subject, book);
            finding.text.push_str(&pinned(&holders, subject, book));
        }
    }
    finding
}

/// Whose blocks strand it.
fn held_by(case: &Case<'_>, subjects: &mut [Subject<'_>]) -> Vec<Holder> {
    let owned = device::owned(&mut subjects[case.subject], case.place.device.device);
    let segments = owned.segments.iter().map(|(_, segment, _)| segment);
    holders(&map(segments, u64::MAX).pins)
}

/// The sentence. What stands before its colon is short enough for one line.
fn text(confidence: Confidence, cases: &[Case<'_>], line: Option<&str>) -> String {
    let sum = |of: fn(&Case<'_>) -> u64| total(cases.iter().map(of));
    let gained = bytes(sum(|case| case.creep.bytes));
    let jumps = count(sum(|case| case.creep.jumps.len() as u64), "jump");
    let since = cases.iter().map(|case| case.since_ns).min().map(clock).unwrap_or_default();
    let base = bytes(cases.iter().map(|case| case.creep.base).max().unwrap_or(0));
    let places: Vec<Place<'_>> = cases.iter().map(|case| case.place).collect();
    let (crept, is) = match (confidence, places.iter().any(Place::is_running)) {
        (Confidence::Info, true) => ("crept and has stopped", "is"),
        (Confidence::Info, false) => ("crept and had stopped", "was"),
        (_, true) => (if cases.len() == 1 { "creeps" } else { "creep" }, "is"),
        (_, false) => ("crept", "was"),
    };
    let subject = match places.as_slice() {
        [one] => format!("{} {crept} on device {}", one.who(), one.device.device),
        _ => format!("{} {crept} at the same line", several(&places)),
    };
    let all = match cases {
        [_] => String::new(),
        _ => format!(" ({})", named(&places)),
    };
    let taken = line.map(|line| format!(" Most was taken at {line}.")).unwrap_or_default();
    format!(
        "{subject}: reserved memory grew by {gained} in {jumps} since {since}, although allocated \
         memory kept returning to {base}; {} ({} % of what it has reserved) {is} \
         releasable{}{all}.{taken}",
        bytes(sum(|case| case.releasable())),
        percent(sum(|case| case.releasable()), sum(|case| case.reserved())),
        beside(cases),
    )
}

/// What else became of it, where that is more than what is releasable.
fn beside(cases: &[Case<'_>]) -> String {
    let sum = |of: fn(&Case<'_>) -> u64| bytes(total(cases.iter().map(of)));
    match cases.first().map(Case::cause) {
        Some(Cause::Stranding) => {
            format!(", {} stranded beside live blocks", sum(|case| case.stranded()))
        }
        Some(Cause::GraphPool) => format!(", {} free in graphs' pools", sum(|case| case.private())),
        Some(Cause::Cache) | None => String::new(),
    }
}

/// What helps against the causes there are.
fn advice(confidence: Confidence, cases: &[Case<'_>]) -> String {
    let of = |cause: Cause| -> Vec<Place<'_>> {
        cases.iter().filter(|case| case.cause() == cause).map(|case| case.place).collect()
    };
    let (cached, stranded) = (of(Cause::Cache), of(Cause::Stranding));
    if confidence == Confidence::Info {
        let back = match cached.is_empty() {
            true => "",
            false => "; empty_cache() gives the memory back",
        };
        return format!("nothing while it stays so{back}");
    }
    let mut advice = Vec::new();
    if !cached.is_empty() {
        advice.push(format!(
            "call torch.cuda.empty_cache() {} after each request, or bound the sizes that line is \
             given: PyTorch's allocator keeps what the largest of every size needed.",
            inside(&cached),
        ));
    }
    if !stranded.is_empty() {
        advice.push(fragmentation::advice(&stranded));
    }
    if cached.len() + stranded.len() < cases.len() {
        advice.push(
            "What lies in graphs' pools comes back only when the graphs are destroyed: capture \
             fewer shapes."
                .to_owned(),
        );
    }
    advice.join(" ")
}
