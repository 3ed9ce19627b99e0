//! The phase in which it happens: that which the blocks of a finding survive.

use crate::present::report::{Finding, Phase, Process};

/// Verdicts about blocks that stay.
const STAY: [&str; 3] = ["leak", "retained", "fragmentation"];

/// Names the phase, in the finding and in its sentence.
pub(super) fn tell(finding: &mut Finding, processes: &[Process]) {
    if finding.phase.is_some() || !STAY.contains(&finding.verdict.as_str()) {
        return;
    }
    if let Some(name) = survived(finding, processes) {
        finding.text.push_str(&format!(" Blocks of it survived the last {name}."));
        finding.phase = Some(name);
    }
}

/// Of the phases that blocks of its site survived the one that takes least time: what is around it
/// was survived, too. Of the instance with most bytes.
fn survived(finding: &Finding, processes: &[Process]) -> Option<String> {
    let first = finding.instances.first()?;
    let is_it = |process: &&Process| process.instance.as_deref() == Some(&first.instance);
    let process = processes.iter().find(is_it)?;
    let holds = |phase: &&Phase| {
        let mut devices = phase.devices.iter().filter(|device| device.device == first.device);
        devices.any(|device| device.survivor_sites.iter().any(|used| used.site == finding.site))
    };
    let ended = process.phases.phases.iter().filter(|phase| phase.count > 0).filter(holds);
    ended.min_by_key(|phase| phase.time_ns / phase.count).map(|phase| phase.name.clone())
}
