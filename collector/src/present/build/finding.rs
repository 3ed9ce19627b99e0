//! What the detectors found, as sentences a person can act on.

use std::collections::{BTreeMap, BTreeSet};

use super::{Subject, sites::SiteBook};
use crate::{
    detect::creep::{Finding as Creep, Verdict},
    present::{
        report::{Allocator, Confidence, Device, Finding, FindingInstance, Process, ProcessState},
        text::{bytes, clock, count, name, percent},
        total,
    },
    symbol::{owner, site::SiteId},
};

/// Processes named in one sentence; of more it says how many.
const NAMED: usize = 4;

/// One device of one process that creeps.
struct Case<'a> {
    creep: Creep,
    since_ns: u64,
    process: &'a Process,
    device: &'a Device,
}

impl Case<'_> {
    /// What to call the process.
    fn who(&self) -> String {
        let process = self.process;
        format!("{} (pid {})", name(process.role.as_deref(), &process.command), process.pid)
    }

    fn is_running(&self) -> bool {
        self.process.state == ProcessState::Running
    }

    /// What of its reserved comes back. What was in use between requests does not: a process that
    /// ended gave that back, too, but only then.
    fn releasable(&self) -> u64 {
        let idle = self.creep.reserved.saturating_sub(self.creep.base);
        self.torch().map_or(0, |torch| torch.releasable_bytes.min(idle))
    }

    fn is_stranded(&self) -> bool {
        self.torch().is_some_and(|torch| torch.stranded_bytes > torch.releasable_bytes)
    }

    fn torch(&self) -> Option<&Allocator> {
        self.device.allocators.iter().find(|allocator| allocator.name == owner::TORCH)
    }
}

/// The findings, worst first; `processes` are the report's for the subjects, in their order.
pub(super) fn findings(
    subjects: &mut [Subject<'_>],
    processes: &[Process],
    book: &mut SiteBook,
) -> Vec<Finding> {
    let mut cases: BTreeMap<(Confidence, SiteId), Vec<Case<'_>>> = BTreeMap::new();
    for (subject, process) in subjects.iter_mut().zip(processes) {
        for device in &process.devices {
            let detector = subject.process.played.creeps.get(&device.device);
            let Some(Verdict::Creep(creep)) = detector.map(|detector| detector.check()) else {
                continue;
            };
            let confidence = if creep.plateaued { Confidence::Info } else { Confidence::Alert };
            let site = book.site(subject, creep.site.unwrap_or_default());
            let since_ns = subject.identity().realtime(creep.since);
            let case = Case { creep, since_ns, process, device };
            cases.entry((confidence, site)).or_default().push(case);
        }
    }
    let mut findings: Vec<Finding> = cases
        .into_iter()
        .map(|((confidence, site), cases)| finding(confidence, site, cases, book))
        .collect();
    findings.sort_by_key(|finding| (finding.confidence, std::cmp::Reverse(finding.bytes)));
    findings
}

fn finding(
    confidence: Confidence,
    site: SiteId,
    mut cases: Vec<Case<'_>>,
    book: &SiteBook,
) -> Finding {
    cases.sort_by_key(|case| std::cmp::Reverse(case.creep.bytes));
    let instances = cases.iter().map(|case| FindingInstance {
        instance: case.process.instance.clone().unwrap_or_default(),
        device: case.device.device,
        role: case.process.role.clone(),
        bytes: case.creep.bytes,
    });
    let line = book.line(site);
    Finding {
        verdict: "creep".to_owned(),
        confidence,
        instances: instances.collect(),
        bytes: total(cases.iter().map(|case| case.creep.bytes)),
        site: site.to_string(),
        text: text(confidence, &cases, line.as_deref()),
        advice: advice(confidence, &cases),
        releasable_bytes: total(cases.iter().map(Case::releasable)),
        since_ns: cases.iter().map(|case| case.since_ns).min().unwrap_or(0),
    }
}

/// The sentence. What stands before its colon is short enough for one line.
fn text(confidence: Confidence, cases: &[Case<'_>], line: Option<&str>) -> String {
    let sum = |of: fn(&Case<'_>) -> u64| total(cases.iter().map(of));
    let gained = bytes(sum(|case| case.creep.bytes));
    let jumps = count(sum(|case| case.creep.jumps.len() as u64), "jump");
    let since = cases.iter().map(|case| case.since_ns).min().map(clock).unwrap_or_default();
    let (reserved, releasable) = (sum(|case| case.creep.reserved), sum(|case| case.releasable()));
    let base = bytes(cases.iter().map(|case| case.creep.base).max().unwrap_or(0));
    let (crept, is) = match (confidence, cases.iter().any(Case::is_running)) {
        (Confidence::Info, true) => ("crept and has stopped", "is"),
        (Confidence::Info, false) => ("crept and had stopped", "was"),
        (_, true) => (if cases.len() == 1 { "creeps" } else { "creep" }, "is"),
        (_, false) => ("crept", "was"),
    };
    let subject = match cases {
        [one] => format!("{} {crept} on device {}", one.who(), one.device.device),
        _ => format!("{} {crept} at the same line", several(cases)),
    };
    let all = match cases {
        [_] => String::new(),
        _ => format!(" ({})", named(cases)),
    };
    let taken = line.map(|line| format!(" Most was taken at {line}.")).unwrap_or_default();
    format!(
        "{subject}: reserved memory grew by {gained} in {jumps} since {since}, although allocated \
         memory kept returning to {base}; {} ({} % of what it has reserved) {is} \
         releasable{all}.{taken}",
        bytes(releasable),
        percent(releasable, reserved),
    )
}

/// How many they are: processes, or devices where a process creeps on several.
fn several(cases: &[Case<'_>]) -> String {
    let pids: BTreeSet<u32> = cases.iter().map(|case| case.process.pid).collect();
    let noun = if pids.len() == cases.len() { "processes" } else { "devices" };
    format!("{} {noun}", cases.len())
}

fn named(cases: &[Case<'_>]) -> String {
    let mut names: Vec<String> = cases.iter().take(NAMED).map(Case::who).collect();
    if cases.len() > NAMED {
        names.push(format!("{} more", cases.len() - NAMED));
    }
    names.join(", ")
}

fn advice(confidence: Confidence, cases: &[Case<'_>]) -> String {
    if confidence == Confidence::Info {
        return "nothing while it stays so; empty_cache() gives the memory back".to_owned();
    }
    let place = match cases {
        [one] => format!("in {}", one.who()),
        _ => "in those processes".to_owned(),
    };
    let mut advice = format!(
        "call torch.cuda.empty_cache() {place} after each request, or bound the sizes that line \
         is given: PyTorch's allocator keeps what the largest of every size needed."
    );
    if cases.iter().any(Case::is_stranded) {
        advice.push_str(
            " Much of it is stranded beside live blocks: there \
             PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True helps.",
        );
    }
    advice
}
