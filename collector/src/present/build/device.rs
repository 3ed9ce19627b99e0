//! What a process holds on one device.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use wire::header::Counter;

use super::{
    Detail, Subject, gpu, graph_pools, loose, owners, shared, shared::Commons, sites::SiteBook,
    trend, uuid_text,
};
use crate::{
    ledger::{Event, Gauges},
    nvml::Reading,
    present::report::{Allocator, Block, ByKind, Device, Oom, Peak, Segment, SiteUse},
    process::Process,
    state::{self, Backend, Kind, Owned, Site, Use},
    symbol::{modules::file_name, owner},
};

pub(super) fn device(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    commons: &Commons<'_>,
    gauges: &Gauges,
    reading: Option<&Reading>,
    detail: Detail,
) -> Device {
    let state = &subject.process.played.state;
    let totals = state.totals(gauges.device);
    let owned = owned(subject, gauges.device);
    let reserved = reserved(subject.process, gauges);
    let again = shared::open_again(subject, commons, gauges.device);
    Device {
        device: gauges.device,
        uuid: uuid_text(gauges.uuid),
        reserved_bytes: reserved,
        peak_reserved_bytes: gauges.reserved_peak.max(reserved),
        by_kind: ByKind {
            linear: totals.linear,
            vmm: totals.vmm,
            pool: totals.pool,
            array: totals.array,
            graph: totals.graph,
        },
        sites: live(subject, book, &owned, state.sites(gauges.device)),
        peak: peak(subject, book, gauges),
        imported_bytes: totals.imported.saturating_sub(again),
        managed_bytes: totals.managed,
        nvml_bytes: gpu::bytes_of(subject, gauges.uuid, reading),
        owners: owners::owners(subject, book, &owned),
        allocators: allocators(subject, book, &owned, gauges),
        ooms: subject
            .process
            .played
            .ooms
            .iter()
            .filter(|event| event.record.device == gauges.device)
            .map(|event| oom(subject, book, event))
            .collect(),
        segments: detail.segments.then(|| segments(subject, book, &owned)),
        unbacked_blocks: detail.segments.then(|| unbacked_blocks(subject, book, &owned)),
        trend: trend::trend(subject, book, gauges.device),
        imports: shared::imports(subject, book, commons, gauges.device),
        exports: shared::exports(subject, book, commons, gauges.device),
        loose_handles: loose::of_device(subject, book, gauges.device),
        untracked_steps: Vec::new(),
    }
}

/// What a process took from the driver on a device. What found no room in the live table is in the
/// recorder's gauge all the same.
pub(super) fn reserved(process: &Process, gauges: &Gauges) -> u64 {
    match process.health.counter(Counter::LiveOverflow) {
        0 => process.played.state.totals(gauges.device).reserved(),
        _ => gauges.reserved,
    }
}

/// The memory of a device by owner.
pub(super) fn owned(subject: &mut Subject<'_>, device: u8) -> Rc<Owned<Rc<str>>> {
    if let Some(known) = subject.owned.get(&device) {
        return known.clone();
    }
    let tables = &subject.process.tables;
    let program: Rc<str> = file_name(&subject.identity().executable).into();
    let torch: Rc<str> = owner::TORCH.into();
    // Many segments share a stack.
    let names: RefCell<HashMap<u32, Rc<str>>> = RefCell::default();
    let owned = subject.process.played.state.owned(device, &torch, |site| {
        let look_up = || {
            let frames = tables.frames(site.native);
            owner::owner(subject.stacks.modules(), &frames).map_or(program.clone(), Rc::from)
        };
        names.borrow_mut().entry(site.native).or_insert_with(look_up).clone()
    });
    subject.owned.entry(device).or_insert_with(|| Rc::new(owned)).clone()
}

/// Owners whose blocks are known. The recorder keeps peaks of PyTorch's allocator only; of others
/// what they hold now is the least their peak can have been.
fn allocators(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    owned: &Owned<Rc<str>>,
    gauges: &Gauges,
) -> Vec<Allocator> {
    let known = owned.allocators.iter().filter(|(_, sums)| sums.allocated.is_some());
    let mut allocators: Vec<Allocator> = known
        .map(|(name, sums)| {
            let (reserved_peak, allocated_peak) = match &**name {
                owner::TORCH => (gauges.torch_reserved_peak, gauges.allocated_peak),
                _ => (0, 0),
            };
            Allocator {
                name: name.to_string(),
                backend: sums.backend.map(|backend| backend_name(backend).to_owned()),
                reserved_bytes: sums.reserved,
                allocated_bytes: sums.allocated,
                peak_reserved_bytes: reserved_peak.max(sums.reserved),
                peak_allocated_bytes: sums.allocated.map(|bytes| bytes.max(allocated_peak)),
                unbacked_bytes: sums.unbacked,
                stranded_bytes: sums.free.stranded,
                releasable_bytes: sums.free.releasable,
                private_bytes: sums.free.private,
                graph_pools: graph_pools::of_owner(subject, book, owned, name),
            }
        })
        .collect();
    allocators.sort_by_key(|allocator| Reverse(allocator.reserved_bytes));
    allocators
}

const fn backend_name(backend: Backend) -> &'static str {
    match backend {
        Backend::Native => "native",
        Backend::Expandable => "expandable",
        Backend::Async => "cudaMallocAsync",
    }
}

/// What was live when most was; the sites only if the timeline is known since before that.
fn peak(subject: &mut Subject<'_>, book: &mut SiteBook, gauges: &Gauges) -> Peak {
    let played = &subject.process.played;
    let known = gauges.allocated_peak_time >= played.known_since;
    let time =
        if known { played.state.peak(gauges.device).time } else { gauges.allocated_peak_time };
    Peak {
        // Of a device on which nothing ever was there is no such moment.
        time_ns: if time == 0 { 0 } else { subject.identity().realtime(time) },
        sites: known.then(|| uses(subject, book, played.state.sites_at_peak(gauges.device))),
    }
}

/// What is live now, by site.
fn live(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    owned: &Owned<Rc<str>>,
    sites: BTreeMap<Site, Use>,
) -> Vec<SiteUse> {
    let mut uses = uses(subject, book, sites);
    let in_pools = graph_pools::live(subject, book, owned, owner::TORCH);
    let mut unbacked: HashMap<String, u64> = HashMap::new();
    for (_, block) in &owned.adrift {
        *unbacked.entry(book.id(subject, block.site)).or_default() += block.size;
    }
    for used in &mut uses {
        used.graph_pool_bytes = Some(in_pools.get(&used.site).copied().unwrap_or(0));
        used.unbacked_bytes = Some(unbacked.get(&used.site).copied().unwrap_or(0));
    }
    uses
}

/// Uses by site, most bytes first. Stacks that are one site by content are one here.
fn uses(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    sites: BTreeMap<Site, Use>,
) -> Vec<SiteUse> {
    let mut by_content: BTreeMap<String, Use> = BTreeMap::new();
    for (site, used) in sites {
        let sum = by_content.entry(book.id(subject, site)).or_default();
        sum.bytes = sum.bytes.saturating_add(used.bytes);
        sum.blocks = sum.blocks.saturating_add(used.blocks);
    }
    let mut uses: Vec<SiteUse> = by_content
        .into_iter()
        .map(|(site, used)| SiteUse {
            site,
            live_bytes: used.bytes,
            blocks: used.blocks,
            graph_pool_bytes: None,
            unbacked_bytes: None,
        })
        .collect();
    uses.sort_by_key(|used| Reverse(used.live_bytes));
    uses
}

fn oom(subject: &mut Subject<'_>, book: &mut SiteBook, event: &Event) -> Oom {
    let record = &event.record;
    let site = Site { native: record.native, python: record.python };
    Oom {
        time_ns: subject.identity().realtime(record.time),
        requested_bytes: record.size,
        allocated_bytes: record.address,
        reserved_bytes: record.aux,
        device_free_bytes: event.extra.map_or(0, |[free, ..]| free),
        site: book.id(subject, site),
    }
}

fn segments(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    owned: &Owned<Rc<str>>,
) -> Vec<Segment> {
    let segments = owned.segments.iter();
    segments
        .map(|(owner, segment, free)| Segment {
            address: format!("{:#x}", segment.start),
            size: segment.size,
            kind: kind_name(segment.kind).to_owned(),
            owner: owner.to_string(),
            extents: segment.extents.len() as u64,
            releasable_bytes: free.releasable,
            stranded_bytes: free.stranded,
            site: book.id(subject, segment.site),
            blocks: segment.blocks.iter().map(|lent| block(subject, book, lent)).collect(),
            private_bytes: free.private,
        })
        .collect()
}

fn unbacked_blocks(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    owned: &Owned<Rc<str>>,
) -> Vec<Block> {
    let mut blocks: Vec<&state::Block> = owned.adrift.iter().map(|(_, block)| block).collect();
    blocks.sort_by_key(|block| block.address);
    blocks.into_iter().map(|lent| block(subject, book, lent)).collect()
}

fn block(subject: &mut Subject<'_>, book: &mut SiteBook, block: &state::Block) -> Block {
    Block {
        address: format!("{:#x}", block.address),
        size: block.size,
        site: book.id(subject, block.site),
        time_ns: subject.identity().realtime(block.birth),
    }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Linear => "linear",
        Kind::Vmm => "vmm",
        Kind::Pool => "pool",
        Kind::Array => "array",
        Kind::Graph => "graph",
        Kind::Managed => "managed",
        Kind::Imported => "imported",
        Kind::Host => "host",
    }
}
