//! The sites of a report: every id that is named, and what it stands for.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use crate::{
    detect::known,
    present::report::{self, Report},
    state::Site,
    symbol::{
        native::Names,
        place::place,
        site::{Frame, SiteId, Sites},
    },
};

/// Gives ids to stacks, and remembers which it gave.
#[derive(Debug, Default)]
pub(super) struct SiteBook {
    sites: Sites,
    named: BTreeMap<SiteId, String>,
}

impl SiteBook {
    /// A process's site; the report will name it.
    pub fn site(&mut self, subject: &mut Subject<'_>, site: Site) -> SiteId {
        let id = subject.stacks.site(&mut self.sites, site.native, site.python);
        self.named.entry(id).or_insert_with(|| id.to_string());
        id
    }

    /// The id of a process's site.
    pub fn id(&mut self, subject: &mut Subject<'_>, site: Site) -> String {
        let id = self.site(subject, site);
        self.named.get(&id).cloned().unwrap_or_default()
    }

    /// The line of code a site is known by.
    pub fn line(&self, id: SiteId) -> Option<String> {
        place(self.sites.frames(id)).map(|place| place.to_string())
    }

    /// What known cache a site belongs to, by the name of that line's file or function.
    pub fn cache(&self, id: SiteId) -> Option<&'static str> {
        let place = place(self.sites.frames(id))?;
        known::cache(&format!("{} {}", place.file, place.function))
    }

    /// A site in one line, for a sentence. Native functions have no names yet.
    pub fn name(&self, id: SiteId) -> String {
        self.line(id).unwrap_or_else(|| "a line without a Python stack".to_owned())
    }

    /// The same of an id in the report.
    pub fn name_of(&self, text: &str) -> String {
        let known = self.named.iter().find(|(_, named)| *named == text).map(|(id, _)| *id);
        known.map_or_else(String::new, |id| self.name(id))
    }

    /// Writes all sites into the report, with the names of all native functions or only of those
    /// that its text shows.
    pub fn write(self, report: &mut Report, all_names: bool) {
        let shown: BTreeSet<&str> = shown(report).collect();
        let sites = self.told(all_names, &shown);
        report.sites = sites;
    }

    /// All sites by their ids, with the names of all native functions or only of those of sites that
    /// are shown and have no line.
    pub fn told(&self, all_names: bool, shown: &BTreeSet<&str>) -> BTreeMap<String, report::Site> {
        let wanted = self.named.iter().filter(|(id, text)| {
            all_names || shown.contains(text.as_str()) && self.line(**id).is_none()
        });
        let names = self.sites.names(&wanted.map(|(id, _)| *id).collect());
        let sites = self.named.iter().map(|(id, text)| {
            let frames = self.sites.frames(*id).iter().map(|each| frame(each, &names)).collect();
            (text.clone(), report::Site { frames, line: self.line(*id) })
        });
        sites.collect()
    }
}

/// Sites of one list whose native functions are looked up for the text: it shows fewer lines, but
/// some sites are one line.
const NAMED: usize = 40;

/// The sites the text may show.
fn shown(report: &Report) -> impl Iterator<Item = &str> {
    let devices = || report.processes.iter().flat_map(|process| &process.devices);
    let live = devices().flat_map(|device| device.sites.iter().take(NAMED));
    let peak = devices()
        .filter_map(|device| device.peak.sites.as_ref())
        .flat_map(|sites| sites.iter().take(NAMED));
    let pools = devices()
        .flat_map(|device| &device.allocators)
        .flat_map(|allocator| allocator.graph_pools.sites.iter().take(NAMED));
    let ooms = devices().flat_map(|device| &device.ooms).map(|oom| oom.site.as_str());
    let phases = report.processes.iter().flat_map(|process| &process.phases.phases);
    let phases = phases.flat_map(|phase| &phase.devices).flat_map(|device| {
        device.peak_sites.iter().chain(&device.survivor_sites).map(|used| used.site.as_str())
    });
    let findings = report.findings.iter().flat_map(|finding| {
        let pins = finding.pins.iter().map(|pin| pin.site.as_str());
        let holders = finding.holders.iter().take(NAMED).map(|holder| holder.site.as_str());
        pins.chain(holders).chain([finding.site.as_str()])
    });
    let imports = devices().flat_map(|device| &device.imports).map(|import| import.site.as_str());
    let exports = devices().flat_map(|device| &device.exports).map(|export| export.site.as_str());
    let bursts = devices().flat_map(|device| &device.owners).flat_map(|owner| &owner.bursts);
    let bursts = bursts.map(|burst| burst.site.as_str());
    let grown = report.processes.iter().filter_map(|process| process.growth.as_ref());
    let grown = grown.flat_map(|growth| &growth.sites).map(|grown| grown.site.as_str());
    let used = live.chain(peak).map(|used| used.site.as_str()).chain(grown);
    let used = used.chain(imports).chain(exports).chain(bursts);
    used.chain(pools.map(|took| took.site.as_str())).chain(ooms).chain(findings).chain(phases)
}

fn frame(frame: &Frame, names: &Names) -> report::Frame {
    match frame {
        Frame::Python { function, file, line } => report::Frame::Python {
            function: function.to_string(),
            file: file.to_string(),
            line: *line,
        },
        Frame::Native { file, offset } => report::Frame::Native {
            function: names.function(file, *offset).map(str::to_owned),
            module: Some(file.path.clone()),
            build_id: file.build_id.clone(),
            offset: *offset,
        },
        Frame::Generated => {
            report::Frame::Native { function: None, module: None, build_id: None, offset: 0 }
        }
    }
}
