//! Fragmentation: memory that stays stranded beside live blocks.

use std::cmp::Reverse;

use super::{
    Subject, amount, bare, creep, evidence, pinned, pins,
    place::{Place, inside, named, several},
};
use crate::{
    detect::{
        fragmentation::{self, DEFAULT_STRANDED, Finding as Stranded, Verdict},
        out_of_memory::Room,
    },
    present::{
        build::{device, sites::SiteBook},
        report::{Confidence, Evidence, Finding, Process},
        text::{bytes, percent},
        total,
    },
    state::Device,
};

/// The name of the verdict.
const VERDICT: &str = "fragmentation";

/// One device of one process whose memory is stranded.
struct Case<'a> {
    stranded: Stranded,
    /// By its place among the subjects.
    subject: usize,
    place: Place<'a>,
    /// The site of the first pin.
    site: String,
    /// The size that 99 of 100 requests do not exceed, and the share of what is free that is in pieces
    /// smaller than that, in percent.
    unusable: Option<(u64, u64)>,
}

impl Case<'_> {
    fn reserved(&self) -> u64 {
        self.place.torch().map_or(0, |torch| torch.reserved_bytes)
    }

    /// The share of what is reserved that is in no block.
    fn idle(&self) -> u64 {
        let allocated = self.place.torch().and_then(|torch| torch.allocated_bytes).unwrap_or(0);
        percent(self.reserved().saturating_sub(allocated), self.reserved())
    }

    fn evidence(&self) -> Vec<Evidence> {
        let Stranded { bytes, limit, idle_at_peak, map } = &self.stranded;
        let mut numbers = vec![
            evidence(
                "stranded beside blocks that outlived requests",
                *bytes,
                Some(*limit),
                "bytes",
            ),
            evidence("in no block when most was", *idle_at_peak, Some(*limit), "bytes"),
            amount("stranded in all", map.stranded),
            amount("stranded by several blocks together", map.shared.0),
            evidence("extents with several blocks", map.shared.1, None, "extents"),
            evidence("idle share of reserved", self.idle(), None, "percent"),
        ];
        if let Some((request, share)) = self.unusable {
            numbers.push(amount("99 of 100 requests at most", request));
            numbers.push(evidence("unusable share for that", share, None, "percent"));
        }
        numbers
    }
}

/// What is stranded, but for the devices where `creeps` says so already.
pub(super) fn findings(
    subjects: &mut [Subject<'_>],
    processes: &[Process],
    book: &mut SiteBook,
    creeps: &[Finding],
) -> Vec<Finding> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for (n, (subject, process)) in subjects.iter_mut().zip(processes).enumerate() {
        for device in &process.devices {
            let place = Place { process, device };
            if is_told_as_creep(creeps, &place) {
                continue;
            }
            let Some(stranded) = stranded(subject, &place) else { continue };
            let holders = fragmentation::holders(&stranded.map.pins);
            let first = holders.first().map(|holder| holder.site).unwrap_or_default();
            let site = book.id(subject, first);
            let unusable = unusable(subject, device.device);
            cases.push(Case { stranded, subject: n, place, site, unusable });
        }
    }
    cases.sort_by_key(|case| Reverse(case.stranded.bytes));
    let mut findings = Vec::new();
    while let Some(first) = cases.first() {
        let site = first.site.clone();
        let (same, others) = cases.into_iter().partition(|case| case.site == site);
        findings.push(finding(same, subjects, book));
        cases = others;
    }
    findings
}

/// Creep with this cause says the same.
fn is_told_as_creep(creeps: &[Finding], place: &Place<'_>) -> bool {
    let stranding = |creep: &&Finding| {
        creep.confidence == Confidence::Alert && creep.cause.as_deref() == Some(creep::STRANDING)
    };
    let mut instances = creeps.iter().filter(stranding).flat_map(|creep| &creep.instances);
    instances.any(|instance| place.is_of(instance))
}

/// How much of what is free cannot serve the larger requests; `None` where nothing is free, or no
/// request was seen.
fn unusable(subject: &mut Subject<'_>, device: Device) -> Option<(u64, u64)> {
    let request = subject.process.played.requests.get(&device)?.nearly_all()?;
    let owned = device::owned(subject, device);
    let segments = owned.segments.iter().map(|(_, segment, _)| segment);
    Some((request, Room::of(segments, request).unusable()?))
}

/// What the detector says of one device. The map is put together only where it can say something.
fn stranded(subject: &mut Subject<'_>, place: &Place<'_>) -> Option<Stranded> {
    let torch = place.torch().filter(|torch| torch.stranded_bytes >= DEFAULT_STRANDED)?;
    let played = &subject.process.played;
    let gauges = subject.process.gauges.iter().find(|g| g.device == place.device.device)?;
    let rest = played.creeps.get(&gauges.device)?.rest();
    let owned = device::owned(subject, gauges.device);
    let segments = owned.segments.iter().map(|(_, segment, _)| segment);
    match fragmentation::check(segments, torch.reserved_bytes, gauges.total, rest) {
        Verdict::Stranded(finding) => Some(finding),
        Verdict::Fine | Verdict::NotEnough => None,
    }
}

fn finding(cases: Vec<Case<'_>>, subjects: &mut [Subject<'_>], book: &mut SiteBook) -> Finding {
    let places: Vec<Place<'_>> = cases.iter().map(|case| case.place).collect();
    let sum = total(cases.iter().map(|case| case.stranded.bytes));
    let idle = total(cases.iter().map(|case| case.stranded.idle_at_peak));
    let reserved = total(cases.iter().map(Case::reserved));
    let subject = match places.as_slice() {
        [one] => format!("{} on device {}", one.who(), one.device.device),
        _ => format!("{} at the same line", several(&places)),
    };
    let all = if places.len() == 1 { String::new() } else { format!(" ({})", named(&places)) };
    let mut finding = Finding {
        instances: cases.iter().map(|case| case.place.instance(case.stranded.bytes)).collect(),
        bytes: sum,
        text: format!(
            "memory of {subject} is fragmented: {} lie free beside blocks that outlived requests, \
             where empty_cache() cannot give them back; {} of {} reserved were in no block even \
             when most was{all}.",
            bytes(sum),
            bytes(idle),
            bytes(reserved),
        ),
        advice: advice(&places),
        releasable_bytes: total(
            places.iter().filter_map(|p| p.torch()).map(|t| t.releasable_bytes),
        ),
        ..bare(VERDICT, Confidence::Alert)
    };
    if let Some(first) = cases.first() {
        let holders = fragmentation::holders(&first.stranded.map.pins);
        let subject = &mut subjects[first.subject];
        let births = first.stranded.map.pins.iter().map(|pin| pin.block.birth);
        finding.since_ns = births.min().map_or(0, |birth| subject.identity().realtime(birth));
        finding.site.clone_from(&first.site);
        finding.pins = pins(&holders, subject, book);
        finding.evidence = first.evidence();
        finding.text.push_str(&pinned(&holders, subject, book));
    }
    finding
}

/// What helps against memory that is stranded there.
pub(super) fn advice(places: &[Place<'_>]) -> String {
    let own = "take what that line keeps before the large blocks that come and go, or from a pool \
               of its own (torch.cuda.MemPool)";
    if places.iter().all(is_expandable) {
        return format!("{}: {own}.", inside(places));
    }
    format!("set PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True {}, or {own}.", inside(places))
}

fn is_expandable(place: &Place<'_>) -> bool {
    place.torch().is_some_and(|torch| torch.backend.as_deref() == Some("expandable"))
}
