//! Multicast objects: one address for the memory of several cards. What is bound to one stays
//! alive until it is unbound or the object is gone.
//!
//! An object that another process exported is a team of its own here: each process binds its own
//! memory, and nobody waits until all cards of the team have been added.

use std::collections::BTreeSet;

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};
use crate::physical::{Backing, Props, whole_granules};
use crate::store::GRANULE;

/// `CUmulticastObjectProp`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TeamProps {
    pub devices: u32,
    pub size: u64,
    pub handle_types: u64,
    pub flags: u64,
}

struct Binding {
    device: usize,
    /// Where in the object it starts.
    offset: u64,
    size: u64,
    /// The handle of what is bound.
    memory: u64,
}

impl Binding {
    fn overlaps(&self, device: usize, offset: u64, size: u64) -> bool {
        self.device == device && self.offset < offset + size && offset < self.offset + self.size
    }
}

/// The cards of a multicast object and what is bound to it.
pub struct Team {
    pub props: TeamProps,
    members: BTreeSet<usize>,
    bindings: Vec<Binding>,
}

impl Driver {
    /// Puts a new multicast object into the books and gives its handle.
    pub fn book_team(&mut self, props: TeamProps) -> u64 {
        let team = Team { props, members: BTreeSet::new(), bindings: Vec::new() };
        let facts = Props::of_device(0, props.handle_types as i32);
        self.book_physical(0, (0, props.size), facts, Backing::Multicast(team))
    }

    fn team(&mut self, handle: u64) -> Outcome<&mut Team> {
        match &mut self.physical(handle)?.backing {
            Backing::Multicast(team) => Ok(team),
            _ => Err(Code::INVALID_VALUE),
        }
    }

    /// The object is gone: what was bound to it has one reference less.
    pub fn unbind_all(&mut self, team: Team) {
        for binding in team.bindings {
            self.unbind_memory(binding.memory);
        }
    }
}

fn check(props: TeamProps) -> Outcome {
    whole_granules(props.size as usize)?;
    match props.devices > 0 && props.flags == 0 {
        true if props.handle_types & !1 != 0 => Err(Code::NOT_SUPPORTED),
        true => Ok(()),
        false => Err(Code::INVALID_VALUE),
    }
}

fn create(driver: &mut Driver, out: Out<u64>, props: In<TeamProps>) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let props = props.get()?;
    let made = check(props).map(|()| driver.book_team(props));
    let (handle, devices) = (made.unwrap_or(0), u64::from(props.devices));
    let fields = [hex("handle", handle), dec("size", props.size), dec("devices", devices)];
    out.set(driver.note("cuMulticastCreate", &fields, made)?)
}

fn join(driver: &mut Driver, handle: u64, device: i32) -> Outcome {
    driver.device(device)?;
    let team = driver.team(handle)?;
    let room = team.members.len() < team.props.devices as usize;
    match room && team.members.insert(device as usize) {
        true => Ok(()),
        false => Err(Code::INVALID_VALUE),
    }
}

fn add_device(driver: &mut Driver, handle: u64, device: i32) -> Outcome {
    let outcome = join(driver, handle, device);
    driver.note(
        "cuMulticastAddDevice",
        &[hex("handle", handle), dec("dev", device as u64)],
        outcome,
    )
}

/// Part of some memory, and where in the object it is to be seen.
struct Bind {
    handle: u64,
    offset: u64,
    memory: u64,
    memory_offset: u64,
    size: u64,
    /// The card that it is bound for, where that was said.
    device: Option<i32>,
}

/// Gives the card.
fn bind(driver: &mut Driver, wish: &Bind) -> Outcome<usize> {
    let Bind { handle, offset, memory, memory_offset, size, device } = *wish;
    whole_granules(size as usize)?;
    if !(offset | memory_offset).is_multiple_of(GRANULE) {
        return Err(Code::INVALID_VALUE);
    }
    // A mapping alone may hold the memory: its handle may be released.
    let physical = driver.physical.living.get(&memory).ok_or(Code::INVALID_VALUE)?;
    let fits = |offset: u64, whole: u64| offset.checked_add(size).is_some_and(|end| end <= whole);
    if matches!(physical.backing, Backing::Multicast(_)) || !fits(memory_offset, physical.size) {
        return Err(Code::INVALID_VALUE);
    }
    let card = physical.device;
    let team = driver.team(handle)?;
    if device.is_some_and(|device| device as usize != card) || !team.members.contains(&card) {
        return Err(Code::INVALID_DEVICE);
    }
    let taken = team.bindings.iter().any(|binding| binding.overlaps(card, offset, size));
    if taken || !fits(offset, team.props.size) {
        return Err(Code::INVALID_VALUE);
    }
    team.bindings.push(Binding { device: card, offset, size, memory });
    driver.bind_memory(memory);
    Ok(card)
}

fn bind_handle(driver: &mut Driver, wish: &Bind) -> Outcome {
    let bound = driver.physical(wish.memory).map(|_| ()).and_then(|()| bind(driver, wish));
    let fields = [
        hex("handle", wish.handle),
        hex("memory", wish.memory),
        dec("offset", wish.offset),
        dec("size", wish.size),
        dec("dev", bound.map_or(u64::MAX, |device| device as u64)),
    ];
    driver.note("cuMulticastBindMem", &fields, bound).map(|_| ())
}

fn bind_mem(
    driver: &mut Driver,
    handle: u64,
    offset: u64,
    memory: u64,
    memory_offset: u64,
    size: u64,
    _flags: u64,
) -> Outcome {
    bind_handle(driver, &Bind { handle, offset, memory, memory_offset, size, device: None })
}

fn bind_mem_for(
    driver: &mut Driver,
    handle: u64,
    device: i32,
    offset: u64,
    memory: u64,
    memory_offset: u64,
    size: u64,
    _flags: u64,
) -> Outcome {
    let device = Some(device);
    bind_handle(driver, &Bind { handle, offset, memory, memory_offset, size, device })
}

fn bind_address(
    driver: &mut Driver,
    handle: u64,
    offset: u64,
    address: u64,
    size: u64,
    device: Option<i32>,
) -> Outcome {
    let found = driver.vmm.around(address).map(|(start, found)| (found.handle, address - start));
    let bound = found.ok_or(Code::INVALID_VALUE).and_then(|(memory, memory_offset)| {
        let card = bind(driver, &Bind { handle, offset, memory, memory_offset, size, device })?;
        Ok((memory, card))
    });
    let fields = [
        hex("handle", handle),
        hex("va", address),
        hex("memory", bound.map_or(0, |(memory, _)| memory)),
        dec("offset", offset),
        dec("size", size),
        dec("dev", bound.map_or(u64::MAX, |(_, device)| device as u64)),
    ];
    driver.note("cuMulticastBindAddr", &fields, bound).map(|_| ())
}

fn bind_addr(
    driver: &mut Driver,
    handle: u64,
    offset: u64,
    address: u64,
    size: u64,
    _flags: u64,
) -> Outcome {
    bind_address(driver, handle, offset, address, size, None)
}

fn bind_addr_for(
    driver: &mut Driver,
    handle: u64,
    device: i32,
    offset: u64,
    address: u64,
    size: u64,
    _flags: u64,
) -> Outcome {
    bind_address(driver, handle, offset, address, size, Some(device))
}

/// Takes whole bindings of a card out of a range.
fn take_out(driver: &mut Driver, handle: u64, device: i32, range: (u64, u64)) -> Outcome {
    driver.device(device)?;
    let team = driver.team(handle)?;
    let within = |binding: &mut Binding| {
        binding.device == device as usize
            && binding.offset >= range.0
            && binding.offset + binding.size <= range.0.saturating_add(range.1)
    };
    let gone: Vec<_> = team.bindings.extract_if(.., within).collect();
    for binding in &gone {
        driver.unbind_memory(binding.memory);
    }
    if gone.is_empty() { Err(Code::INVALID_VALUE) } else { Ok(()) }
}

fn unbind(driver: &mut Driver, handle: u64, device: i32, offset: u64, size: u64) -> Outcome {
    let outcome = take_out(driver, handle, device, (offset, size));
    let fields = [
        hex("handle", handle),
        dec("dev", device as u64),
        dec("offset", offset),
        dec("size", size),
    ];
    driver.note("cuMulticastUnbind", &fields, outcome)
}

fn granularity(_: &mut Driver, out: Out<u64>, props: In<TeamProps>, _option: i32) -> Outcome {
    props.get()?;
    out.set(GRANULE)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMulticastCreate(out: Out<u64>, props: In<TeamProps>) => locked create {
        12010: cuMulticastCreate,
    }
    cuMulticastAddDevice(handle: u64, device: i32) => locked add_device {
        12010: cuMulticastAddDevice,
    }
    cuMulticastBindMem(
        handle: u64, offset: u64, memory: u64, memory_offset: u64, size: u64, flags: u64,
    ) => locked bind_mem {
        12010: cuMulticastBindMem,
    }
    cuMulticastBindMem(
        handle: u64, device: i32, offset: u64, memory: u64, memory_offset: u64, size: u64,
        flags: u64,
    ) => locked bind_mem_for {
        13010: cuMulticastBindMem_v2,
    }
    cuMulticastBindAddr(
        handle: u64, offset: u64, address: u64, size: u64, flags: u64,
    ) => locked bind_addr {
        12010: cuMulticastBindAddr,
    }
    cuMulticastBindAddr(
        handle: u64, device: i32, offset: u64, address: u64, size: u64, flags: u64,
    ) => locked bind_addr_for {
        13010: cuMulticastBindAddr_v2,
    }
    cuMulticastUnbind(handle: u64, device: i32, offset: u64, size: u64) => locked unbind {
        12010: cuMulticastUnbind,
    }
    cuMulticastGetGranularity(
        out: Out<u64>, props: In<TeamProps>, option: i32,
    ) => locked granularity {
        12010: cuMulticastGetGranularity,
    }
};

const _: () = assert!(size_of::<TeamProps>() == 32);
