//! Contexts: the primary one of each card, own ones, and each thread's stack of current ones.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};

thread_local! {
    /// Contexts that this thread made current, the last one on top. 0 is "none".
    static STACK: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// One living context.
pub struct Context {
    pub device: usize,
    primary: bool,
    /// How often it is to be detached before it ends.
    users: u32,
    flags: u32,
    limits: BTreeMap<u32, usize>,
    cache_config: i32,
    peers: BTreeSet<u64>,
}

/// All living contexts.
#[derive(Default)]
pub struct Contexts {
    living: BTreeMap<u64, Context>,
}

impl Contexts {
    /// The context behind a handle.
    pub fn get(&mut self, handle: u64) -> Outcome<&mut Context> {
        self.living.get_mut(&handle).ok_or(Code::INVALID_CONTEXT)
    }
}

/// A thread in its last moments has no stack any more; to it no context is current.
fn stack<T: Default>(body: impl FnOnce(&mut Vec<u64>) -> T) -> T {
    STACK.try_with(|stack| body(&mut stack.borrow_mut())).unwrap_or_default()
}

impl Driver {
    /// Handle of the calling thread's context.
    pub fn current(&self) -> Outcome<u64> {
        let top = stack(|stack| stack.last().copied()).unwrap_or(0);
        match top {
            0 => Err(Code::INVALID_CONTEXT),
            handle if self.contexts.living.contains_key(&handle) => Ok(handle),
            _ => Err(Code::CONTEXT_IS_DESTROYED),
        }
    }

    /// The card of the calling thread's context.
    pub fn current_device(&self) -> Outcome<usize> {
        Ok(self.contexts.living[&self.current()?].device)
    }

    fn make_context(&mut self, handle: u64, device: usize, flags: u32, primary: bool) -> Outcome {
        let bytes = self.config.context_bytes;
        let index = self.devices[device].index;
        self.machine.charge(index, bytes).map_err(|_| Code::OUT_OF_MEMORY)?;
        let (limits, peers) = (BTreeMap::new(), BTreeSet::new());
        let context = Context { device, primary, users: 1, flags, limits, cache_config: 0, peers };
        self.contexts.living.insert(handle, context);
        Ok(())
    }

    /// Everything that lives in a context goes with it. Gives the freed bytes.
    fn end_context(&mut self, handle: u64) -> u64 {
        let Some(context) = self.contexts.living.remove(&handle) else { return 0 };
        let freed = self.free_all_of(handle);
        for array in self.arrays.without_memory(handle) {
            self.end_without_memory(array);
        }
        if context.primary {
            self.empty_pools(context.device);
        }
        self.streams.forget_context(handle);
        self.events.retain(|_, event| event.context != handle);
        self.machine.give_back(self.devices[context.device].index, self.config.context_bytes);
        freed
    }
}

fn retain(driver: &mut Driver, out: Out<u64>, device: i32) -> Outcome {
    let handle = driver.device(device)?.primary;
    let flags = driver.device(device)?.primary_flags;
    let mut outcome = Ok(());
    if driver.device(device)?.primary_users == 0 {
        let ordinal = device as usize;
        outcome = driver.make_context(handle, ordinal, flags, true);
        let fields = [dec("dev", device as u64), hex("ctx", handle)];
        outcome = driver.note("cuDevicePrimaryCtxRetain", &fields, outcome);
    }
    outcome?;
    driver.device(device)?.primary_users += 1;
    out.set(handle)
}

fn release(driver: &mut Driver, device: i32) -> Outcome {
    let primary = driver.device(device)?;
    primary.primary_users = primary.primary_users.checked_sub(1).ok_or(Code::INVALID_CONTEXT)?;
    match primary.primary_users {
        0 => end_primary(driver, device, "cuDevicePrimaryCtxRelease"),
        _ => Ok(()),
    }
}

fn reset(driver: &mut Driver, device: i32) -> Outcome {
    driver.device(device)?.primary_users = 0;
    end_primary(driver, device, "cuDevicePrimaryCtxReset")
}

fn end_primary(driver: &mut Driver, device: i32, name: &str) -> Outcome {
    let handle = driver.device(device)?.primary;
    let freed = driver.end_context(handle);
    let fields = [dec("dev", device as u64), hex("ctx", handle), dec("freed", freed)];
    driver.note(name, &fields, Ok(()))
}

fn set_primary_flags(driver: &mut Driver, device: i32, flags: u32) -> Outcome {
    driver.device(device)?.primary_flags = flags;
    Ok(())
}

fn primary_state(driver: &mut Driver, device: i32, flags: Out<u32>, active: Out<i32>) -> Outcome {
    let primary = driver.device(device)?;
    flags.set(primary.primary_flags)?;
    active.set((primary.primary_users > 0).into())
}

fn create(driver: &mut Driver, out: Out<u64>, flags: u32, device: i32) -> Outcome {
    driver.device(device)?;
    let handle = driver.new_handle();
    let outcome = driver.make_context(handle, device as usize, flags, false);
    driver.note("cuCtxCreate", &[dec("dev", device as u64), hex("ctx", handle)], outcome)?;
    stack(|stack| stack.push(handle));
    out.set(handle)
}

fn create_v3(
    driver: &mut Driver,
    out: Out<u64>,
    _: u64,
    _: i32,
    flags: u32,
    device: i32,
) -> Outcome {
    create(driver, out, flags, device)
}

fn create_v4(driver: &mut Driver, out: Out<u64>, _: u64, flags: u32, device: i32) -> Outcome {
    create(driver, out, flags, device)
}

fn destroy(driver: &mut Driver, handle: u64) -> Outcome {
    if driver.contexts.get(handle)?.primary {
        return Err(Code::INVALID_CONTEXT);
    }
    let freed = driver.end_context(handle);
    stack(|stack| {
        if stack.last() == Some(&handle) {
            stack.pop();
        }
    });
    driver.note("cuCtxDestroy", &[hex("ctx", handle), dec("freed", freed)], Ok(()))
}

fn attach(driver: &mut Driver, out: Out<u64>, flags: u32) -> Outcome {
    let handle = driver.current()?;
    if flags != 0 {
        return Err(Code::INVALID_VALUE);
    }
    driver.contexts.get(handle)?.users += 1;
    out.set(handle)
}

/// Gives one reference to the thread's own context back; the last destroys it.
fn detach(driver: &mut Driver, handle: u64) -> Outcome {
    if driver.current()? != handle {
        return Err(Code::INVALID_CONTEXT);
    }
    let context = driver.contexts.get(handle)?;
    if context.users > 1 {
        context.users -= 1;
        return Ok(());
    }
    destroy(driver, handle)
}

fn push(driver: &mut Driver, handle: u64) -> Outcome {
    driver.contexts.get(handle)?;
    stack(|stack| stack.push(handle));
    Ok(())
}

fn pop(_: &mut Driver, out: Out<u64>) -> Outcome {
    out.set_if_given(stack(|stack| stack.pop()).ok_or(Code::INVALID_CONTEXT)?);
    Ok(())
}

fn set_current(driver: &mut Driver, handle: u64) -> Outcome {
    if handle != 0 {
        driver.contexts.get(handle)?;
    }
    stack(|stack| {
        stack.pop();
        if handle != 0 {
            stack.push(handle);
        }
    });
    Ok(())
}

fn get_current(_: &mut Driver, out: Out<u64>) -> Outcome {
    out.set(stack(|stack| stack.last().copied()).unwrap_or(0))
}

fn get_device(driver: &mut Driver, out: Out<i32>) -> Outcome {
    out.set(driver.current_device()? as i32)
}

fn get_device_v2(driver: &mut Driver, out: Out<i32>, handle: u64) -> Outcome {
    match handle {
        0 => get_device(driver, out),
        _ => out.set(driver.contexts.get(handle)?.device as i32),
    }
}

fn get_id(driver: &mut Driver, handle: u64, out: Out<u64>) -> Outcome {
    let handle = if handle == 0 { driver.current()? } else { handle };
    driver.contexts.get(handle)?;
    out.set(handle >> 6)
}

fn get_flags(driver: &mut Driver, out: Out<u32>) -> Outcome {
    let handle = driver.current()?;
    out.set(driver.contexts.get(handle)?.flags)
}

fn set_flags(driver: &mut Driver, flags: u32) -> Outcome {
    let handle = driver.current()?;
    driver.contexts.get(handle)?.flags = flags;
    Ok(())
}

fn synchronize(driver: &mut Driver) -> Outcome {
    let device = driver.current_device()?;
    driver.settle_pools(device);
    Ok(())
}

fn synchronize_v2(driver: &mut Driver, handle: u64) -> Outcome {
    let handle = if handle == 0 { driver.current()? } else { handle };
    let device = driver.contexts.get(handle)?.device;
    driver.settle_pools(device);
    Ok(())
}

/// Limits 0 to 6 can be set; what the card would start with is as on a real one.
fn default_limit(limit: u32) -> Outcome<usize> {
    const DEFAULTS: [usize; 7] = [1024, 1 << 20, 8 << 20, 2, 2048, 64, 0];
    DEFAULTS.get(limit as usize).copied().ok_or(Code::UNSUPPORTED_LIMIT)
}

fn set_limit(driver: &mut Driver, limit: u32, value: usize) -> Outcome {
    default_limit(limit)?;
    let handle = driver.current()?;
    driver.contexts.get(handle)?.limits.insert(limit, value);
    Ok(())
}

fn get_limit(driver: &mut Driver, out: Out<usize>, limit: u32) -> Outcome {
    let default = default_limit(limit)?;
    let handle = driver.current()?;
    out.set(driver.contexts.get(handle)?.limits.get(&limit).copied().unwrap_or(default))
}

fn get_cache_config(driver: &mut Driver, out: Out<i32>) -> Outcome {
    let handle = driver.current()?;
    out.set(driver.contexts.get(handle)?.cache_config)
}

fn set_cache_config(driver: &mut Driver, config: i32) -> Outcome {
    let handle = driver.current()?;
    driver.contexts.get(handle)?.cache_config = config;
    Ok(())
}

fn get_shared_config(driver: &mut Driver, out: Out<i32>) -> Outcome {
    driver.current()?;
    out.set(1)
}

fn ignored(driver: &mut Driver) -> Outcome {
    driver.current().map(|_| ())
}

fn ignored_config(driver: &mut Driver, _: i32) -> Outcome {
    ignored(driver)
}

fn api_version(driver: &mut Driver, handle: u64, out: Out<u32>) -> Outcome {
    let handle = if handle == 0 { driver.current()? } else { handle };
    driver.contexts.get(handle)?;
    out.set(3020)
}

fn priority_range(driver: &mut Driver, least: Out<i32>, greatest: Out<i32>) -> Outcome {
    driver.current()?;
    least.set_if_given(0);
    greatest.set_if_given(-5);
    Ok(())
}

fn exec_affinity(driver: &mut Driver, _: In<u64>, _: i32) -> Outcome {
    driver.current()?;
    Err(Code::NOT_SUPPORTED)
}

fn enable_peer(driver: &mut Driver, peer: u64, _flags: u32) -> Outcome {
    driver.contexts.get(peer)?;
    let handle = driver.current()?;
    match driver.contexts.get(handle)?.peers.insert(peer) {
        true => Ok(()),
        false => Err(Code::PEER_ACCESS_ALREADY_ENABLED),
    }
}

fn disable_peer(driver: &mut Driver, peer: u64) -> Outcome {
    let handle = driver.current()?;
    match driver.contexts.get(handle)?.peers.remove(&peer) {
        true => Ok(()),
        false => Err(Code::PEER_ACCESS_NOT_ENABLED),
    }
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuDevicePrimaryCtxRetain(out: Out<u64>, device: i32) => locked retain {
        7000: cuDevicePrimaryCtxRetain,
    }
    cuDevicePrimaryCtxRelease(device: i32) => locked release {
        7000: cuDevicePrimaryCtxRelease, 11000: cuDevicePrimaryCtxRelease_v2,
    }
    cuDevicePrimaryCtxReset(device: i32) => locked reset {
        7000: cuDevicePrimaryCtxReset, 11000: cuDevicePrimaryCtxReset_v2,
    }
    cuDevicePrimaryCtxSetFlags(device: i32, flags: u32) => locked set_primary_flags {
        7000: cuDevicePrimaryCtxSetFlags, 11000: cuDevicePrimaryCtxSetFlags_v2,
    }
    cuDevicePrimaryCtxGetState(
        device: i32, flags: Out<u32>, active: Out<i32>,
    ) => locked primary_state {
        7000: cuDevicePrimaryCtxGetState,
    }
    cuCtxCreate(out: Out<u64>, flags: u32, device: i32) => locked create {
        2000: cuCtxCreate, 3020: cuCtxCreate_v2,
    }
    cuCtxCreate(
        out: Out<u64>, params: u64, count: i32, flags: u32, device: i32,
    ) => locked create_v3 {
        11040: cuCtxCreate_v3,
    }
    cuCtxCreate(out: Out<u64>, params: u64, flags: u32, device: i32) => locked create_v4 {
        12050: cuCtxCreate_v4,
    }
    cuCtxAttach(out: Out<u64>, flags: u32) => locked attach { 2000: cuCtxAttach }
    cuCtxDetach(handle: u64) => locked detach { 2000: cuCtxDetach }
    cuCtxDestroy(handle: u64) => locked destroy { 2000: cuCtxDestroy, 4000: cuCtxDestroy_v2 }
    cuCtxPushCurrent(handle: u64) => locked push {
        2000: cuCtxPushCurrent, 4000: cuCtxPushCurrent_v2,
    }
    cuCtxPopCurrent(out: Out<u64>) => locked pop { 2000: cuCtxPopCurrent, 4000: cuCtxPopCurrent_v2 }
    cuCtxSetCurrent(handle: u64) => locked set_current { 4000: cuCtxSetCurrent }
    cuCtxGetCurrent(out: Out<u64>) => locked get_current { 4000: cuCtxGetCurrent }
    cuCtxGetDevice(out: Out<i32>) => locked get_device { 2000: cuCtxGetDevice }
    cuCtxGetDevice(out: Out<i32>, handle: u64) => locked get_device_v2 { 13000: cuCtxGetDevice_v2 }
    cuCtxGetId(handle: u64, out: Out<u64>) => locked get_id { 12000: cuCtxGetId }
    cuCtxGetFlags(out: Out<u32>) => locked get_flags { 7000: cuCtxGetFlags }
    cuCtxSetFlags(flags: u32) => locked set_flags { 12010: cuCtxSetFlags }
    cuCtxSynchronize() => locked synchronize { 2000: cuCtxSynchronize }
    cuCtxSynchronize(handle: u64) => locked synchronize_v2 { 13000: cuCtxSynchronize_v2 }
    cuCtxSetLimit(limit: u32, value: usize) => locked set_limit { 3010: cuCtxSetLimit }
    cuCtxGetLimit(out: Out<usize>, limit: u32) => locked get_limit { 3010: cuCtxGetLimit }
    cuCtxGetCacheConfig(out: Out<i32>) => locked get_cache_config { 3020: cuCtxGetCacheConfig }
    cuCtxSetCacheConfig(config: i32) => locked set_cache_config { 3020: cuCtxSetCacheConfig }
    cuCtxGetSharedMemConfig(out: Out<i32>) => locked get_shared_config {
        4020: cuCtxGetSharedMemConfig,
    }
    cuCtxSetSharedMemConfig(config: i32) => locked ignored_config { 4020: cuCtxSetSharedMemConfig }
    cuCtxGetApiVersion(handle: u64, out: Out<u32>) => locked api_version {
        3020: cuCtxGetApiVersion,
    }
    cuCtxGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) => locked priority_range {
        5050: cuCtxGetStreamPriorityRange,
    }
    cuCtxResetPersistingL2Cache() => locked ignored { 11000: cuCtxResetPersistingL2Cache }
    cuCtxGetExecAffinity(out: In<u64>, kind: i32) => locked exec_affinity {
        11040: cuCtxGetExecAffinity,
    }
    cuCtxEnablePeerAccess(peer: u64, flags: u32) => locked enable_peer {
        4000: cuCtxEnablePeerAccess,
    }
    cuCtxDisablePeerAccess(peer: u64) => locked disable_peer { 4000: cuCtxDisablePeerAccess }
};
