//! Streams. Work is done when its call returns, so a stream is always idle; what it has is a
//! priority, flags, and perhaps a capture.

use std::collections::BTreeMap;
use std::ffi::c_void;

use crate::capture::NodeKind;
use crate::driver::{self, Driver};
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};

/// Handles of the default streams: 0 and 1 the legacy one, 2 the calling thread's.
const LAST_DEFAULT: u64 = 2;

/// A stream that somebody created.
struct Stream {
    context: u64,
    flags: u32,
    priority: i32,
}

/// All created streams.
#[derive(Default)]
pub struct Streams {
    living: BTreeMap<u64, Stream>,
}

impl Streams {
    /// A context's streams end with it.
    pub fn forget_context(&mut self, context: u64) {
        self.living.retain(|_, stream| stream.context != context);
    }
}

impl Driver {
    /// The context of a stream: its own, or for a default stream the thread's.
    pub fn stream_context(&self, stream: u64) -> Outcome<u64> {
        match self.streams.living.get(&stream) {
            Some(found) => Ok(found.context),
            None if stream <= LAST_DEFAULT => self.current(),
            None => Err(Code::INVALID_HANDLE),
        }
    }

    /// The card of a stream.
    pub fn stream_device(&mut self, stream: u64) -> Outcome<usize> {
        let context = self.stream_context(stream)?;
        Ok(self.contexts.get(context)?.device)
    }
}

fn create(driver: &mut Driver, out: Out<u64>, flags: u32) -> Outcome {
    create_with_priority(driver, out, flags, 0)
}

fn create_with_priority(driver: &mut Driver, out: Out<u64>, flags: u32, priority: i32) -> Outcome {
    let context = driver.current()?;
    if flags > 1 {
        return Err(Code::INVALID_VALUE);
    }
    let handle = driver.new_handle();
    let priority = priority.clamp(-5, 0);
    driver.streams.living.insert(handle, Stream { context, flags, priority });
    out.set(handle)
}

fn destroy(driver: &mut Driver, stream: u64) -> Outcome {
    driver.streams.living.remove(&stream).map(|_| ()).ok_or(Code::INVALID_HANDLE)
}

fn synchronize(driver: &mut Driver, stream: u64) -> Outcome {
    let device = driver.stream_device(stream)?;
    driver.refuse_captured(stream)?;
    driver.settle_pools(device);
    Ok(())
}

fn query(driver: &mut Driver, stream: u64) -> Outcome {
    driver.stream_context(stream)?;
    driver.refuse_captured(stream)
}

fn get_priority(driver: &mut Driver, stream: u64, out: Out<i32>) -> Outcome {
    driver.stream_context(stream)?;
    out.set(driver.streams.living.get(&stream).map_or(0, |stream| stream.priority))
}

fn get_flags(driver: &mut Driver, stream: u64, out: Out<u32>) -> Outcome {
    driver.stream_context(stream)?;
    out.set(driver.streams.living.get(&stream).map_or(0, |stream| stream.flags))
}

fn get_context(driver: &mut Driver, stream: u64, out: Out<u64>) -> Outcome {
    out.set(driver.stream_context(stream)?)
}

fn get_context_v2(driver: &mut Driver, stream: u64, out: Out<u64>, green: Out<u64>) -> Outcome {
    green.set_if_given(0);
    get_context(driver, stream, out)
}

fn get_device(driver: &mut Driver, stream: u64, out: Out<i32>) -> Outcome {
    out.set(driver.stream_device(stream)? as i32)
}

fn get_id(driver: &mut Driver, stream: u64, out: Out<u64>) -> Outcome {
    let context = driver.stream_context(stream)?;
    out.set(if stream <= LAST_DEFAULT { context >> 6 } else { stream >> 6 })
}

fn copy_attributes(driver: &mut Driver, to: u64, from: u64) -> Outcome {
    driver.stream_context(to)?;
    driver.stream_context(from).map(|_| ())
}

fn get_attribute(driver: &mut Driver, stream: u64, _kind: i32, out: Out<[u8; 64]>) -> Outcome {
    driver.stream_context(stream)?;
    out.set([0; 64])
}

fn set_attribute(driver: &mut Driver, stream: u64, _kind: i32, _value: In<u8>) -> Outcome {
    driver.stream_context(stream).map(|_| ())
}

fn attach(driver: &mut Driver, stream: u64, _address: u64, _bytes: usize, _flags: u32) -> Outcome {
    driver.stream_context(stream).map(|_| ())
}

/// The callback runs at once, without the driver's lock, because it may call the driver.
fn add_callback(
    stream: u64,
    callback: extern "C" fn(u64, i32, *mut c_void),
    argument: *mut c_void,
    _flags: u32,
) -> Outcome {
    driver::with(|driver| {
        driver.stream_context(stream)?;
        driver.refuse_captured(stream)
    })?;
    callback(stream, 0, argument);
    Ok(())
}

fn launch_host(stream: u64, body: extern "C" fn(*mut c_void), argument: *mut c_void) -> Outcome {
    if driver::with(|driver| driver.runs_now(stream, NodeKind::Host))? {
        body(argument);
    }
    Ok(())
}

fn launch_host_v2(
    stream: u64,
    body: extern "C" fn(*mut c_void),
    argument: *mut c_void,
    _mode: u32,
) -> Outcome {
    launch_host(stream, body, argument)
}

/// A wait is over at once: whoever would write the value has written it, as far as this driver
/// runs anything.
fn wait_value(driver: &mut Driver, stream: u64, address: u64, _value: u64, _flags: u32) -> Outcome {
    driver.runs_now(stream, NodeKind::MemoryOperation)?;
    driver.check_device_range(address, 1)
}

fn write_value_32(
    driver: &mut Driver,
    stream: u64,
    address: u64,
    value: u32,
    _flags: u32,
) -> Outcome {
    write_value(driver, stream, address, &value.to_ne_bytes())
}

fn write_value_64(
    driver: &mut Driver,
    stream: u64,
    address: u64,
    value: u64,
    _flags: u32,
) -> Outcome {
    write_value(driver, stream, address, &value.to_ne_bytes())
}

fn write_value(driver: &mut Driver, stream: u64, address: u64, bytes: &[u8]) -> Outcome {
    if !driver.runs_now(stream, NodeKind::MemoryOperation)? {
        return Ok(());
    }
    driver.check_device_range(address, bytes.len() as u64)?;
    // SAFETY: allocated and accessible for that many bytes, as just checked.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
    Ok(())
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuStreamCreate(out: Out<u64>, flags: u32) => locked create { 2000: cuStreamCreate }
    cuStreamCreateWithPriority(
        out: Out<u64>, flags: u32, priority: i32,
    ) => locked create_with_priority {
        5050: cuStreamCreateWithPriority,
    }
    cuStreamDestroy(stream: u64) => locked destroy {
        2000: cuStreamDestroy, 4000: cuStreamDestroy_v2,
    }
    cuStreamSynchronize(stream: u64) => locked synchronize {
        2000: cuStreamSynchronize, 7000 twin: cuStreamSynchronize_ptsz,
    }
    cuStreamQuery(stream: u64) => locked query {
        2000: cuStreamQuery, 7000 twin: cuStreamQuery_ptsz,
    }
    cuStreamGetPriority(stream: u64, out: Out<i32>) => locked get_priority {
        5050: cuStreamGetPriority, 7000 twin: cuStreamGetPriority_ptsz,
    }
    cuStreamGetFlags(stream: u64, out: Out<u32>) => locked get_flags {
        5050: cuStreamGetFlags, 7000 twin: cuStreamGetFlags_ptsz,
    }
    cuStreamGetCtx(stream: u64, out: Out<u64>) => locked get_context {
        9020: cuStreamGetCtx, 9020 twin: cuStreamGetCtx_ptsz,
    }
    cuStreamGetCtx(stream: u64, out: Out<u64>, green: Out<u64>) => locked get_context_v2 {
        12050: cuStreamGetCtx_v2, 12050 twin: cuStreamGetCtx_v2_ptsz,
    }
    cuStreamGetDevice(stream: u64, out: Out<i32>) => locked get_device {
        12080: cuStreamGetDevice, 12080 twin: cuStreamGetDevice_ptsz,
    }
    cuStreamGetId(stream: u64, out: Out<u64>) => locked get_id {
        12000: cuStreamGetId, 12000 twin: cuStreamGetId_ptsz,
    }
    cuStreamCopyAttributes(to: u64, from: u64) => locked copy_attributes {
        11000: cuStreamCopyAttributes, 11000 twin: cuStreamCopyAttributes_ptsz,
    }
    cuStreamGetAttribute(stream: u64, kind: i32, out: Out<[u8; 64]>) => locked get_attribute {
        11000: cuStreamGetAttribute, 11000 twin: cuStreamGetAttribute_ptsz,
    }
    cuStreamSetAttribute(stream: u64, kind: i32, value: In<u8>) => locked set_attribute {
        11000: cuStreamSetAttribute, 11000 twin: cuStreamSetAttribute_ptsz,
    }
    cuStreamAttachMemAsync(stream: u64, address: u64, bytes: usize, flags: u32) => locked attach {
        6000: cuStreamAttachMemAsync, 7000 twin: cuStreamAttachMemAsync_ptsz,
    }
    cuStreamAddCallback(
        stream: u64, callback: extern "C" fn(u64, i32, *mut c_void), argument: *mut c_void,
        flags: u32,
    ) => free add_callback {
        5000: cuStreamAddCallback, 7000 twin: cuStreamAddCallback_ptsz,
    }
    cuLaunchHostFunc(
        stream: u64, body: extern "C" fn(*mut c_void), argument: *mut c_void,
    ) => free launch_host {
        10000: cuLaunchHostFunc, 10000 twin: cuLaunchHostFunc_ptsz,
    }
    cuLaunchHostFunc(
        stream: u64, body: extern "C" fn(*mut c_void), argument: *mut c_void, mode: u32,
    ) => free launch_host_v2 {
        13010: cuLaunchHostFunc_v2, 13010 twin: cuLaunchHostFunc_v2_ptsz,
    }
    cuStreamWaitValue32(stream: u64, address: u64, value: u64, flags: u32) => locked wait_value {
        8000: cuStreamWaitValue32, 8000 twin: cuStreamWaitValue32_ptsz,
        11070: cuStreamWaitValue32_v2, 11070 twin: cuStreamWaitValue32_v2_ptsz,
    }
    cuStreamWaitValue64(stream: u64, address: u64, value: u64, flags: u32) => locked wait_value {
        9000: cuStreamWaitValue64, 9000 twin: cuStreamWaitValue64_ptsz,
        11070: cuStreamWaitValue64_v2, 11070 twin: cuStreamWaitValue64_v2_ptsz,
    }
    cuStreamWriteValue32(
        stream: u64, address: u64, value: u32, flags: u32,
    ) => locked write_value_32 {
        8000: cuStreamWriteValue32, 8000 twin: cuStreamWriteValue32_ptsz,
        11070: cuStreamWriteValue32_v2, 11070 twin: cuStreamWriteValue32_v2_ptsz,
    }
    cuStreamWriteValue64(
        stream: u64, address: u64, value: u64, flags: u32,
    ) => locked write_value_64 {
        9000: cuStreamWriteValue64, 9000 twin: cuStreamWriteValue64_ptsz,
        11070: cuStreamWriteValue64_v2, 11070 twin: cuStreamWriteValue64_v2_ptsz,
    }
};
