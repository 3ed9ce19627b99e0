//! The driver's state in this process, and the one door to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use machine::{CallLog, Config, Field, Machine};

use crate::array::Arrays;
use crate::capture::Captures;
use crate::context::Contexts;
use crate::device::{self, Device};
use crate::error::{Code, Outcome, status};
use crate::event::Event;
use crate::exchange::Imports;
use crate::external::ExternalMemory;
use crate::graph::Graphs;
use crate::graph_memory::GraphMemory;
use crate::host::HostMemory;
use crate::ipc::IpcHandles;
use crate::memory::Memory;
use crate::module::Modules;
use crate::physical::PhysicalMemory;
use crate::pool::Pools;
use crate::sharing::Sharing;
use crate::sparse::Regions;
use crate::stream::Streams;
use crate::vmm::Vmm;

static STATE: Mutex<Option<Box<Driver>>> = Mutex::new(None);

/// This process was forked off one that had the driver in use. What it inherited is useless, and
/// the lock may be held by a thread that exists in the parent only.
static FORKED: AtomicBool = AtomicBool::new(false);

/// Everything that the driver knows. Guarded by one lock: exactness before speed.
pub struct Driver {
    pub config: Config,
    pub machine: Machine,
    log: Option<CallLog>,
    last_handle: u64,
    pub devices: Vec<Device>,
    pub contexts: Contexts,
    pub memory: Memory,
    pub arrays: Arrays,
    pub regions: Regions,
    pub host: HostMemory,
    pub imports: Imports,
    pub ipc_handles: IpcHandles,
    pub external: ExternalMemory,
    pub sharing: Sharing,
    pub physical: PhysicalMemory,
    pub vmm: Vmm,
    pub pools: Pools,
    pub streams: Streams,
    pub events: BTreeMap<u64, Event>,
    pub captures: Captures,
    pub graphs: Graphs,
    pub graph_memory: GraphMemory,
    pub modules: Modules,
}

impl Driver {
    fn start() -> Outcome<Box<Self>> {
        let config = Config::from_env();
        let machine = Machine::join(&config).map_err(|_| Code::OPERATING_SYSTEM)?;
        let log = config.log_dir.as_deref().map(CallLog::create).transpose();
        let log = log.map_err(|_| Code::OPERATING_SYSTEM)?;
        let mut driver = Box::new(Self {
            config,
            machine,
            log,
            last_handle: 0x5600_0000_0000,
            devices: Vec::new(),
            contexts: Contexts::default(),
            memory: Memory::default(),
            arrays: Arrays::default(),
            regions: Regions::default(),
            host: HostMemory::default(),
            imports: Imports::default(),
            ipc_handles: IpcHandles::default(),
            external: ExternalMemory::default(),
            sharing: Sharing::default(),
            physical: PhysicalMemory::default(),
            vmm: Vmm::default(),
            pools: Pools::default(),
            streams: Streams::default(),
            events: BTreeMap::new(),
            captures: Captures::default(),
            graphs: Graphs::default(),
            graph_memory: GraphMemory::default(),
            modules: Modules::default(),
        });
        let visible = device::visible(driver.machine.devices(), |index| {
            driver.machine.identity(index).uuid_text()
        });
        for (ordinal, index) in visible.into_iter().enumerate() {
            let pool = driver.new_default_pool(ordinal);
            let graph_pool = driver.new_default_pool(ordinal);
            let device = Device::new(&driver.machine, index, pool, graph_pool)?;
            driver.devices.push(device);
        }
        if driver.devices.is_empty() {
            return Err(Code::NO_DEVICE);
        }
        Ok(driver)
    }

    /// A handle that was never given out before. Looks like the pointer a real one is.
    pub fn new_handle(&mut self) -> u64 {
        self.last_handle += 0x40;
        self.last_handle
    }

    /// Writes a call to the log, and gives its outcome on.
    pub fn note<T>(&mut self, name: &str, fields: &[Field], outcome: Outcome<T>) -> Outcome<T> {
        if let Some(log) = &mut self.log {
            log.record(name, fields, status(&outcome));
        }
        outcome
    }

    /// The card with an ordinal.
    pub fn device(&mut self, ordinal: i32) -> Outcome<&mut Device> {
        let index = usize::try_from(ordinal).map_err(|_| Code::INVALID_DEVICE)?;
        self.devices.get_mut(index).ok_or(Code::INVALID_DEVICE)
    }

    /// Takes physical memory of a card; gives its offset in the card's store.
    pub fn take_physical(&mut self, ordinal: usize, bytes: u64) -> Outcome<u64> {
        let device = &mut self.devices[ordinal];
        self.machine.charge(device.index, bytes).map_err(|_| Code::OUT_OF_MEMORY)?;
        let taken = device.store.take(bytes);
        if taken.is_none() {
            self.machine.give_back(device.index, bytes);
        }
        taken.ok_or(Code::OUT_OF_MEMORY)
    }

    /// Gives physical memory back.
    pub fn give_physical(&mut self, ordinal: usize, offset: u64, bytes: u64) {
        let device = &mut self.devices[ordinal];
        device.store.give(offset, bytes);
        self.machine.give_back(device.index, bytes);
    }
}

/// `cuInit`: starts the driver where it does not run yet.
pub fn start() -> Outcome {
    if FORKED.load(Ordering::Relaxed) {
        return Err(Code::NOT_INITIALIZED);
    }
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if state.is_none() {
        *state = Some(Driver::start()?);
        // SAFETY: the handler only stores a flag.
        unsafe { libc::pthread_atfork(None, None, Some(note_fork)) };
    }
    Ok(())
}

extern "C" fn note_fork() {
    FORKED.store(true, Ordering::Relaxed);
}

/// Runs `body` with the driver's state.
///
/// # Errors
/// `NOT_INITIALIZED` before `cuInit`, and for ever in a child forked after it.
pub fn with<T>(body: impl FnOnce(&mut Driver) -> Outcome<T>) -> Outcome<T> {
    if FORKED.load(Ordering::Relaxed) {
        return Err(Code::NOT_INITIALIZED);
    }
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let driver = state.as_mut().ok_or(Code::NOT_INITIALIZED)?;
    driver.settle_waiting();
    body(driver)
}

/// The same for an exported function: gives the number that its caller sees.
pub fn enter(body: impl FnOnce(&mut Driver) -> Outcome) -> i32 {
    status(&with(body))
}
