//! Out of memory: what was asked for, what was free where, and why it could not serve.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    Subject, amount, bare, evidence, pinned, pins,
    place::{Place, inside, named, several},
};
use crate::{
    detect::out_of_memory::{Cause, Moment, Request, Room, cause},
    ledger::Event,
    present::{
        build::{neighbours::Neighbours, sites::SiteBook},
        report::{Confidence, Evidence, Finding, Oom, Process},
        text::{bytes, clock},
        total,
    },
    process::Job,
    state::Site,
};

/// The name of the verdict.
pub(super) const VERDICT: &str = "out-of-memory";

/// The last time the allocator gave up on one device of one process.
struct Case<'a> {
    place: Place<'a>,
    /// By its place among the subjects.
    subject: usize,
    oom: &'a Oom,
    site: Site,
    request: Request,
    moment: Moment,
    neighbours: Neighbours,
    cause: Cause,
}

impl Case<'_> {
    fn room(&self) -> Option<&Room> {
        self.moment.room.as_ref()
    }

    fn evidence(&self) -> Vec<Evidence> {
        let asked = self.request.bytes;
        let mut numbers = vec![
            evidence("asked for", asked, self.request.device_free, "bytes"),
            amount("reserved", self.oom.reserved_bytes),
            amount("allocated", self.oom.allocated_bytes),
            amount("held by other processes", self.request.others),
        ];
        if let Some(free) = self.request.device_free {
            numbers.push(amount("free on the device", free));
        }
        let Some(room) = self.room() else { return numbers };
        numbers.extend([
            amount("releasable", room.releasable),
            amount("stranded", room.stranded),
            amount("private", room.private),
            evidence("largest free piece", room.largest, Some(asked), "bytes"),
        ]);
        let unusable = room.unusable();
        numbers.extend(unusable.map(|share| evidence("unusable share", share, None, "percent")));
        numbers
    }
}

/// The findings; `processes` are the report's for the subjects, in their order.
pub(super) fn findings(
    job: &Job,
    subjects: &mut [Subject<'_>],
    processes: &[Process],
    book: &mut SiteBook,
) -> Vec<Finding> {
    let mut cases: BTreeMap<(Cause, &str), Vec<Case<'_>>> = BTreeMap::new();
    for (n, (subject, process)) in subjects.iter().zip(processes).enumerate() {
        for device in &process.devices {
            let place = Place { process, device };
            let mut events = subject.process.played.ooms.iter();
            let last = events.rfind(|event| event.record.device == device.device);
            let (Some(event), Some(oom)) = (last, device.ooms.last()) else { continue };
            let case = case(job, subject, n, place, event, oom);
            cases.entry((case.cause, &oom.site)).or_default().push(case);
        }
    }
    cases.into_values().map(|of| finding(of, subjects, book)).collect()
}

fn case<'a>(
    job: &Job,
    subject: &Subject<'_>,
    n: usize,
    place: Place<'a>,
    event: &Event,
    oom: &'a Oom,
) -> Case<'a> {
    let moment = subject.process.played.oom_moments.at(event).cloned().unwrap_or_default();
    let gauges = subject.process.gauges.iter().find(|g| g.device == place.device.device);
    let uuid = gauges.map_or([0; 2], |gauges| gauges.uuid);
    let neighbours = Neighbours::at(job, subject.process, uuid, oom.time_ns);
    let direct = moment.reserved.saturating_sub(oom.reserved_bytes);
    let request = Request {
        bytes: oom.requested_bytes,
        device_free: event.extra.map(|_| oom.device_free_bytes),
        total: gauges.map_or(0, |gauges| gauges.total),
        in_use: oom.allocated_bytes.saturating_add(direct),
        others: neighbours.bytes(),
    };
    let cause = cause(&request, moment.room.as_ref());
    let site = Site { native: event.record.native, python: event.record.python };
    Case { place, subject: n, oom, site, request, moment, neighbours, cause }
}

fn finding(mut cases: Vec<Case<'_>>, subjects: &mut [Subject<'_>], book: &mut SiteBook) -> Finding {
    cases.sort_by_key(|case| Reverse(case.oom.requested_bytes));
    let places: Vec<Place<'_>> = cases.iter().map(|case| case.place).collect();
    let mut finding = Finding {
        instances: cases.iter().map(|c| c.place.instance(c.oom.requested_bytes)).collect(),
        bytes: total(cases.iter().map(|case| case.oom.requested_bytes)),
        since_ns: cases.iter().map(|case| case.oom.time_ns).min().unwrap_or(0),
        ..bare(VERDICT, Confidence::Alert)
    };
    let Some(first) = cases.first() else { return finding };
    let subject = &mut subjects[first.subject];
    let holders = first.room().map(|room| room.holders.as_slice()).unwrap_or_default();
    finding.site.clone_from(&first.oom.site);
    finding.cause = Some(first.cause.name().to_owned());
    finding.evidence = first.evidence();
    finding.pins = pins(holders, subject, book);
    finding.advice = advice(first, &places);
    let id = book.site(subject, first.site);
    let line = book.name(id);
    let pinned = match first.cause {
        Cause::Fragmentation => pinned(holders, subject, book),
        _ => String::new(),
    };
    finding.text = format!(
        "{}: {}. {}{pinned}{}",
        ran_out(first, &places),
        asked(first.oom, &line),
        why(first),
        others(first),
    );
    finding
}

/// Who and when, short enough for one line.
fn ran_out(first: &Case<'_>, places: &[Place<'_>]) -> String {
    let times = match first.place.device.ooms.len() {
        1 => String::new(),
        times => format!("{times} times, last "),
    };
    let at = clock(first.oom.time_ns);
    match places {
        [one] => {
            format!(
                "{} ran out of memory on device {} {times}at {at}",
                one.who(),
                one.device.device
            )
        }
        _ => {
            format!("{} ran out of memory at the same line ({})", several(places), named(places))
        }
    }
}

fn asked(oom: &Oom, line: &str) -> String {
    format!(
        "{} asked for at {line} with {} free on the device; {} reserved, {} of it allocated",
        bytes(oom.requested_bytes),
        bytes(oom.device_free_bytes),
        bytes(oom.reserved_bytes),
        bytes(oom.allocated_bytes),
    )
}

/// Why what was free could not serve.
fn why(case: &Case<'_>) -> String {
    let Request { in_use, total, others, .. } = case.request;
    let (free, largest) = case.room().map_or((0, 0), |room| (room.free, room.largest));
    let reason = match case.cause {
        Cause::KeptApart => format!(
            "A free piece of {} was large enough, but PyTorch keeps it for another stream or for \
             requests of another size.",
            bytes(largest)
        ),
        Cause::Limit => "The device had enough free: this process may not have more, by \
                         set_per_process_memory_fraction or the like."
            .to_owned(),
        Cause::TooLarge => format!(
            "With the {} in use it is more than the {} of the device.",
            bytes(in_use),
            bytes(total)
        ),
        Cause::Fragmentation => format!(
            "The {} that lay free inside its segments would have made up for it, but the largest \
             piece, {}, was {} too small.",
            bytes(free),
            bytes(largest),
            bytes(case.request.bytes.saturating_sub(largest))
        ),
        Cause::OtherProcesses => {
            format!("Without the {} of other processes it would have been served.", bytes(others))
        }
        Cause::Lack => lack(case),
    };
    match case.room().map_or(0, |room| room.private) {
        0 => reason,
        private => format!("{reason} {} lay free in graphs' pools.", bytes(private)),
    }
}

/// What else was free where that was too little.
fn lack(case: &Case<'_>) -> String {
    match case.room() {
        Some(room) if room.free == 0 => "Nothing lay free inside its segments.".to_owned(),
        Some(room) => format!(
            "What lay free inside its segments, {}, was too little beside that.",
            bytes(room.free)
        ),
        None => format!(
            "How the {} that were in no block lay is not known.",
            bytes(case.oom.reserved_bytes.saturating_sub(case.oom.allocated_bytes))
        ),
    }
}

/// Others named in one sentence.
const NAMED: usize = 4;

/// Who else was on the device then, and what of it nobody accounts for.
fn others(case: &Case<'_>) -> String {
    let Neighbours { traced, untraced } = &case.neighbours;
    let traced = traced.iter().map(|(who, held)| format!("{who} {}", bytes(*held)));
    let untraced = untraced
        .iter()
        .map(|(pid, held)| format!("pid {pid}, not traced here, {} by NVML", bytes(*held)));
    let mut named: Vec<String> = traced.chain(untraced).collect();
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    if more > 0 {
        named.push(format!("{more} more"));
    }
    let also = match named.as_slice() {
        [] => String::new(),
        named => format!(" Also on the device then: {}.", named.join(", ")),
    };
    match rest(case) {
        0 => also,
        rest => {
            format!("{also} {} of the device were contexts and what no call took.", bytes(rest))
        }
    }
}

/// What of the device was in use and taken by none of these; 0 where that is not known.
fn rest(case: &Case<'_>) -> u64 {
    let Request { device_free, total, others, .. } = case.request;
    let known = case.moment.reserved > 0 && total > 0;
    device_free.filter(|_| known).map_or(0, |free| {
        total.saturating_sub(free).saturating_sub(case.moment.reserved).saturating_sub(others)
    })
}

fn advice(case: &Case<'_>, places: &[Place<'_>]) -> String {
    let inside = inside(places);
    let less = "ask for less at that line: a smaller batch, shorter sequences, a smaller KV cache \
                (SGLang's --mem-fraction-static, vLLM's --gpu-memory-utilization)";
    match case.cause {
        Cause::KeptApart => format!(
            "free that memory on the stream that took it, or call torch.cuda.empty_cache() {inside} \
             before this request."
        ),
        Cause::Limit => format!("raise the limit {inside}, or {less}."),
        Cause::TooLarge => format!("{less}; or divide the model over more cards."),
        Cause::Fragmentation => format!(
            "set PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True {inside}, or take what lives \
             long before the large blocks that come and go."
        ),
        Cause::OtherProcesses => {
            format!("move the other processes to another card or let them take less; or {less}.")
        }
        Cause::Lack => format!("{less}."),
    }
}
