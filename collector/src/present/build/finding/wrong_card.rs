//! Wrong card: a rank that holds memory on another rank's GPU.

use super::{
    amount, bare, evidence,
    place::{Place, who},
};
use crate::{
    detect::wrong_card::{DEFAULT_STRAY, Rank, Stray, strays},
    present::{
        report::{Confidence, Device, Finding, Process, SiteUse},
        text::bytes,
    },
};

/// The name of the verdict.
const VERDICT: &str = "wrong-card";

/// A UUID of which the driver did not tell.
const UNKNOWN: &str = "GPU-00000000-0000-0000-0000-000000000000";

/// The strays among the processes.
pub(super) fn findings(processes: &[Process]) -> Vec<Finding> {
    let ranks: Vec<Rank<&str>> = processes.iter().map(rank).collect();
    let found = strays(&ranks);
    found.iter().filter_map(|stray| finding(processes, stray)).collect()
}

fn rank(process: &Process) -> Rank<&str> {
    let known = process.devices.iter().filter(|device| device.uuid != UNKNOWN);
    let held = known.map(|device| (device.uuid.as_str(), device.peak_reserved_bytes));
    Rank { role: process.role.clone().unwrap_or_default(), held: held.collect() }
}

fn finding(processes: &[Process], stray: &Stray<&str>) -> Option<Finding> {
    let (process, owner) = (&processes[stray.rank], &processes[stray.owner]);
    let device = process.devices.iter().find(|device| device.uuid == stray.gpu)?;
    let confidence = if stray.meant { Confidence::Suspect } else { Confidence::Alert };
    let place = Place { process, device };
    let most = process.devices.iter().map(|device| device.peak_reserved_bytes).max();
    let now = if place.is_running() { "now" } else { "at its end" };
    Some(Finding {
        instances: vec![place.instance(stray.bytes)],
        bytes: stray.bytes,
        site: site(device).unwrap_or_default(),
        text: format!(
            "{} took memory on the GPU of {}: {} on device {} ({} {now}), where it does not do its \
             work.",
            who(process),
            who(owner),
            bytes(stray.bytes),
            device.device,
            bytes(device.reserved_bytes),
        ),
        advice: format!(
            "call torch.cuda.set_device() in {} before anything else of CUDA, load checkpoints with \
             map_location, or let it see its own card only (CUDA_VISIBLE_DEVICES).",
            who(process)
        ),
        evidence: vec![
            evidence("at most on the other's GPU", stray.bytes, Some(DEFAULT_STRAY), "bytes"),
            amount("at most on its own", most.unwrap_or(0)),
        ],
        ..bare(VERDICT, confidence)
    })
}

/// Where most of it was asked for.
fn site(device: &Device) -> Option<String> {
    let at_peak = device.peak.sites.as_deref().unwrap_or_default();
    let largest = |sites: &[SiteUse]| sites.first().map(|used| used.site.clone());
    largest(&device.sites).or_else(|| largest(at_peak))
}
