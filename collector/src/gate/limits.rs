//! What was measured, held against limits.

use super::{
    blame::{self, Line},
    judge::Word,
    measure::{GpuPeak, ProcessCourse},
    outcome::Failure,
    rules::Rule,
    trend::{LEAST_R2, Trend, trend as line},
    waves::Waves,
};
use crate::present::{report::Report, text::bytes};

/// A failure of what was measured, which no finding tells of.
fn measured(rule: &Rule, text: String, pids: Vec<u32>, line: Option<&Line>) -> Word {
    let advice = "memtrace report says which lines hold it.".to_owned();
    Word::Fails(Box::new(Failure {
        rule: rule.text.clone(),
        text,
        advice,
        pids,
        file: line.map(|line| line.file.clone()),
        line: line.and_then(|line| line.line),
        finding: None,
    }))
}

/// What was in use on each GPU.
pub(super) fn peak(
    rule: &Rule,
    over: u64,
    report: &Report,
    gpus: &[GpuPeak],
) -> (Vec<Word>, String) {
    let words = gpus.iter().filter(|gpu| gpu.peak_bytes > over).map(|gpu| {
        let by = match gpu.nvml_bytes {
            Some(nvml) if nvml >= gpu.reserved_bytes => "by NVML, everybody on it together",
            _ => "by the ledgers of its traced processes together",
        };
        let most = blame::at_peak(report, &gpu.uuid);
        let line = most.as_ref().and_then(|(_, line)| line.as_ref());
        let whose = most.as_ref().map(|(pid, _)| match line {
            Some(line) => {
                format!(" Process {pid} took most of it, and {} most of that.", line.text)
            }
            None => format!(" Process {pid} took most of it."),
        });
        let text = format!(
            "{} were in use on {} at its peak, {by}; the limit is {}.{}",
            bytes(gpu.peak_bytes),
            gpu.uuid,
            bytes(over),
            whose.unwrap_or_default(),
        );
        let pids = most.as_ref().map(|(pid, _)| *pid).into_iter().collect();
        measured(rule, text, pids, line)
    });
    let most = gpus.iter().map(|gpu| gpu.peak_bytes).max().unwrap_or(0);
    (words.collect(), format!("at most {} on a GPU", bytes(most)))
}

/// What each process gained, for so many requests or over the whole run.
pub(super) fn growth(
    rule: &Rule,
    (over, requests): (u64, Option<u64>),
    waves: Option<&Waves>,
    processes: &[ProcessCourse],
) -> (Vec<Word>, String) {
    let answered = waves.map_or(0, Waves::requests);
    if answered == 0 && (waves.is_some() || requests.is_some()) {
        let why = "no requests were answered after a warm-up".to_owned();
        return (vec![Word::Unknown(why)], "not judged".to_owned());
    }
    // In whole bytes for so many requests.
    let scaled = |grown: u64| match requests {
        Some(requests) => {
            u64::try_from(u128::from(grown) * u128::from(requests) / u128::from(answered.max(1)))
                .unwrap_or(u64::MAX)
        }
        None => grown,
    };
    let unit = requests.map_or_else(String::new, |requests| format!(" in {requests} requests"));
    let failing = processes.iter().filter(|process| scaled(process.growth_bytes) > over);
    let words = failing.map(|process| {
        let (course, by) = process.told();
        let by = if by == "NVML" { "NVML" } else { "its ledger" };
        let scaled = requests.map_or_else(String::new, |_| {
            format!(" over {answered} requests, which is {}{unit}", bytes(scaled(course.growth())))
        });
        let text = format!(
            "{} grew on device {} by {} after the warm-up{scaled}: from {} to at most {}, and {} at \
             last, by {by}. The limit is {}{unit}.{}",
            process.who(), process.device, bytes(course.growth()), bytes(course.baseline_bytes),
            bytes(course.peak_bytes), bytes(course.final_bytes), bytes(over),
            taken(process),
        );
        measured(rule, text, vec![process.pid], process.grown_at.as_ref())
    });
    let most = processes.iter().map(|process| scaled(process.growth_bytes)).max().unwrap_or(0);
    (words.collect(), format!("at most {} of a process{unit}", bytes(most)))
}

/// What each process never used of what it had reserved.
pub(super) fn frag(rule: &Rule, over: f64, processes: &[ProcessCourse]) -> (Vec<Word>, String) {
    let of = |process: &ProcessCourse| process.frag.unwrap_or(0.0);
    let words = processes.iter().filter(|process| of(process) > over).map(|process| {
        let text = format!(
            "{} never used {:.2} of what PyTorch's allocator had reserved at most on device {}; the \
             limit is {over}.",
            process.who(), of(process), process.device,
        );
        measured(rule, text, vec![process.pid], None)
    });
    let most = processes.iter().map(of).fold(0.0, f64::max);
    (words.collect(), format!("at most {most:.2} of a process"))
}

/// What each process gained on a straight line.
pub(super) fn trend(
    rule: &Rule,
    over: f64,
    waves: Option<&Waves>,
    processes: &[ProcessCourse],
) -> (Vec<Word>, String) {
    let none = Waves::default();
    let waves = waves.unwrap_or(&none);
    let mut words = Vec::new();
    let mut most: Option<Trend> = None;
    for process in processes {
        let Some(trend) = line(waves, &process.wave_bytes) else {
            let why = "fewer than ten waves came after the warm-up".to_owned();
            return (vec![Word::Unknown(why)], "not judged".to_owned());
        };
        if trend.slope > over && trend.r2 > LEAST_R2 {
            let text = format!(
                "{} grew on device {} wave by wave, by {} with a request on a line that explains {:.0} % of it; \
                 the limits are {} and {:.0} %.{}",
                process.who(),
                process.device,
                small(trend.slope),
                trend.r2 * 100.0,
                small(over),
                LEAST_R2 * 100.0,
                taken(process),
            );
            words.push(measured(rule, text, vec![process.pid], process.grown_at.as_ref()));
        }
        most = most.filter(|most| most.slope >= trend.slope).or(Some(trend));
    }
    let text = most.map_or_else(
        || "nothing to look at".to_owned(),
        |most| {
            format!(
                "at most {} with a request, on a line that explains {:.0} %",
                small(most.slope),
                most.r2 * 100.0
            )
        },
    );
    (words, text)
}

/// Bytes that may be fewer than none.
fn small(amount: f64) -> String {
    let sign = if amount <= -0.5 { "-" } else { "" };
    format!("{sign}{}", bytes(amount.abs().round() as u64))
}

/// Where most of what a process gained was taken.
fn taken(process: &ProcessCourse) -> String {
    let line = process.grown_at.as_ref();
    line.map(|line| format!(" Most of it was taken at {}.", line.text)).unwrap_or_default()
}
