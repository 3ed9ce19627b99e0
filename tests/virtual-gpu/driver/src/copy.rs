//! Copies. They are real and done when the call returns, except in a stream that is capturing.

use crate::array::Arrays;
use crate::capture::NodeKind;
use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::In;

/// One side of a copy by rows, as in `CUDA_MEMCPY3D`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Side3 {
    x: u64,
    y: u64,
    z: u64,
    _level: u64,
    kind: u32,
    host: u64,
    device: u64,
    array: u64,
    _context: u64,
    pitch: u64,
    height: u64,
}

/// `CUDA_MEMCPY3D`, and `CUDA_MEMCPY3D_PEER`, which differs only in the contexts.
#[repr(C)]
#[derive(Clone, Copy)]
struct Copy3 {
    from: Side3,
    to: Side3,
    width: u64,
    height: u64,
    depth: u64,
}

/// One side of `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Side2 {
    x: u64,
    y: u64,
    kind: u32,
    host: u64,
    device: u64,
    array: u64,
    pitch: u64,
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Copy2 {
    from: Side2,
    to: Side2,
    width: u64,
    height: u64,
}

impl From<Side2> for Side3 {
    fn from(side: Side2) -> Self {
        let Side2 { x, y, kind, host, device, array, pitch } = side;
        let (z, _level, _context, height) = (0, 0, 0, 0);
        Self { x, y, z, _level, kind, host, device, array, _context, pitch, height }
    }
}

impl From<Copy2> for Copy3 {
    fn from(copy: Copy2) -> Self {
        let (from, to) = (copy.from.into(), copy.to.into());
        Self { from, to, width: copy.width, height: copy.height, depth: 1 }
    }
}

impl Side3 {
    /// Address of a row.
    fn row(&self, arrays: &Arrays, y: u64, z: u64) -> Outcome<u64> {
        let (base, pitch, height) = match self.kind {
            1 => (self.host, self.pitch, self.height),
            2 | 4 => (self.device, self.pitch, self.height),
            3 => arrays.get(self.array)?.rows()?,
            _ => return Err(Code::INVALID_VALUE),
        };
        Ok(base + ((self.z + z) * height + self.y + y) * pitch + self.x)
    }
}

impl Driver {
    /// Copies bytes between any two places. Both sides are checked as far as anybody can.
    fn transfer(&mut self, to: u64, from: u64, bytes: u64) -> Outcome {
        if bytes == 0 {
            return Ok(());
        }
        if to == 0 || from == 0 {
            return Err(Code::INVALID_VALUE);
        }
        self.check_range(to, bytes)?;
        self.check_range(from, bytes)?;
        if bytes <= self.config.copy_max_bytes {
            // SAFETY: ranges of ours are allocated and accessible; for others the caller vouches.
            unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes as usize) };
        }
        Ok(())
    }
}

fn copy(driver: &mut Driver, to: u64, from: u64, bytes: usize) -> Outcome {
    driver.current()?;
    driver.transfer(to, from, bytes as u64)
}

fn copy_async(driver: &mut Driver, to: u64, from: u64, bytes: usize, stream: u64) -> Outcome {
    match driver.runs_now(stream, NodeKind::Copy)? {
        true => driver.transfer(to, from, bytes as u64),
        false => Ok(()),
    }
}

fn to_device(driver: &mut Driver, to: u64, from: u64, bytes: usize) -> Outcome {
    driver.check_device_range(to, bytes as u64)?;
    copy(driver, to, from, bytes)
}

fn from_device(driver: &mut Driver, to: u64, from: u64, bytes: usize) -> Outcome {
    driver.check_device_range(from, bytes as u64)?;
    copy(driver, to, from, bytes)
}

fn within_device(driver: &mut Driver, to: u64, from: u64, bytes: usize) -> Outcome {
    driver.check_device_range(from, bytes as u64)?;
    to_device(driver, to, from, bytes)
}

fn to_device_async(driver: &mut Driver, to: u64, from: u64, bytes: usize, stream: u64) -> Outcome {
    driver.check_named_range(to, bytes as u64)?;
    copy_async(driver, to, from, bytes, stream)
}

fn from_device_async(
    driver: &mut Driver,
    to: u64,
    from: u64,
    bytes: usize,
    stream: u64,
) -> Outcome {
    driver.check_named_range(from, bytes as u64)?;
    copy_async(driver, to, from, bytes, stream)
}

fn within_device_async(
    driver: &mut Driver,
    to: u64,
    from: u64,
    bytes: usize,
    stream: u64,
) -> Outcome {
    driver.check_named_range(from, bytes as u64)?;
    to_device_async(driver, to, from, bytes, stream)
}

fn peer(driver: &mut Driver, to: u64, _: u64, from: u64, _: u64, bytes: usize) -> Outcome {
    within_device(driver, to, from, bytes)
}

fn peer_async(
    driver: &mut Driver,
    to: u64,
    _: u64,
    from: u64,
    _: u64,
    bytes: usize,
    stream: u64,
) -> Outcome {
    within_device_async(driver, to, from, bytes, stream)
}

fn rows(driver: &mut Driver, copy: Copy3) -> Outcome {
    driver.current()?;
    for z in 0..copy.depth {
        for y in 0..copy.height {
            let arrays = &driver.arrays;
            let (to, from) = (copy.to.row(arrays, y, z)?, copy.from.row(arrays, y, z)?);
            driver.transfer(to, from, copy.width)?;
        }
    }
    Ok(())
}

fn rows_async(driver: &mut Driver, copy: Copy3, stream: u64) -> Outcome {
    match driver.runs_now(stream, NodeKind::Copy)? {
        true => rows(driver, copy),
        false => Ok(()),
    }
}

fn copy_2d(driver: &mut Driver, copy: In<Copy2>) -> Outcome {
    rows(driver, copy.get()?.into())
}

fn copy_2d_async(driver: &mut Driver, copy: In<Copy2>, stream: u64) -> Outcome {
    rows_async(driver, copy.get()?.into(), stream)
}

fn copy_3d(driver: &mut Driver, copy: In<Copy3>) -> Outcome {
    rows(driver, copy.get()?)
}

fn copy_3d_async(driver: &mut Driver, copy: In<Copy3>, stream: u64) -> Outcome {
    rows_async(driver, copy.get()?, stream)
}

/// `cuMemcpyBatchAsync` of CUDA 13: many copies in one call; hints about places are ignored.
fn batch_async(
    driver: &mut Driver,
    to: In<u64>,
    from: In<u64>,
    sizes: In<usize>,
    count: usize,
    _attributes: u64,
    _attribute_indices: u64,
    _attribute_count: usize,
    stream: u64,
) -> Outcome {
    let pairs = to.list(count)?.into_iter().zip(from.list(count)?);
    for ((to, from), bytes) in pairs.zip(sizes.list(count)?) {
        copy_async(driver, to, from, bytes, stream)?;
    }
    Ok(())
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemcpy(to: u64, from: u64, bytes: usize) => locked copy {
        4000: cuMemcpy, 7000 twin: cuMemcpy_ptds,
    }
    cuMemcpyAsync(to: u64, from: u64, bytes: usize, stream: u64) => locked copy_async {
        4000: cuMemcpyAsync, 7000 twin: cuMemcpyAsync_ptsz,
    }
    cuMemcpyHtoD(to: u64, from: u64, bytes: usize) => locked to_device {
        3020: cuMemcpyHtoD_v2, 7000 twin: cuMemcpyHtoD_v2_ptds,
    }
    cuMemcpyDtoH(to: u64, from: u64, bytes: usize) => locked from_device {
        3020: cuMemcpyDtoH_v2, 7000 twin: cuMemcpyDtoH_v2_ptds,
    }
    cuMemcpyDtoD(to: u64, from: u64, bytes: usize) => locked within_device {
        3020: cuMemcpyDtoD_v2, 7000 twin: cuMemcpyDtoD_v2_ptds,
    }
    cuMemcpyHtoDAsync(to: u64, from: u64, bytes: usize, stream: u64) => locked to_device_async {
        3020: cuMemcpyHtoDAsync_v2, 7000 twin: cuMemcpyHtoDAsync_v2_ptsz,
    }
    cuMemcpyDtoHAsync(to: u64, from: u64, bytes: usize, stream: u64) => locked from_device_async {
        3020: cuMemcpyDtoHAsync_v2, 7000 twin: cuMemcpyDtoHAsync_v2_ptsz,
    }
    cuMemcpyDtoDAsync(to: u64, from: u64, bytes: usize, stream: u64) => locked within_device_async {
        3020: cuMemcpyDtoDAsync_v2, 7000 twin: cuMemcpyDtoDAsync_v2_ptsz,
    }
    cuMemcpyPeer(
        to: u64, to_context: u64, from: u64, from_context: u64, bytes: usize,
    ) => locked peer {
        4000: cuMemcpyPeer, 7000 twin: cuMemcpyPeer_ptds,
    }
    cuMemcpyPeerAsync(
        to: u64, to_context: u64, from: u64, from_context: u64, bytes: usize, stream: u64,
    ) => locked peer_async {
        4000: cuMemcpyPeerAsync, 7000 twin: cuMemcpyPeerAsync_ptsz,
    }
    cuMemcpy2D(copy: In<Copy2>) => locked copy_2d {
        3020: cuMemcpy2D_v2, 7000 twin: cuMemcpy2D_v2_ptds,
    }
    cuMemcpy2DUnaligned(copy: In<Copy2>) => locked copy_2d {
        3020: cuMemcpy2DUnaligned_v2, 7000 twin: cuMemcpy2DUnaligned_v2_ptds,
    }
    cuMemcpy2DAsync(copy: In<Copy2>, stream: u64) => locked copy_2d_async {
        3020: cuMemcpy2DAsync_v2, 7000 twin: cuMemcpy2DAsync_v2_ptsz,
    }
    cuMemcpy3D(copy: In<Copy3>) => locked copy_3d {
        3020: cuMemcpy3D_v2, 7000 twin: cuMemcpy3D_v2_ptds,
    }
    cuMemcpy3DAsync(copy: In<Copy3>, stream: u64) => locked copy_3d_async {
        3020: cuMemcpy3DAsync_v2, 7000 twin: cuMemcpy3DAsync_v2_ptsz,
    }
    cuMemcpy3DPeer(copy: In<Copy3>) => locked copy_3d {
        4000: cuMemcpy3DPeer, 7000 twin: cuMemcpy3DPeer_ptds,
    }
    cuMemcpy3DPeerAsync(copy: In<Copy3>, stream: u64) => locked copy_3d_async {
        4000: cuMemcpy3DPeerAsync, 7000 twin: cuMemcpy3DPeerAsync_ptsz,
    }
    cuMemcpyBatchAsync(
        to: In<u64>, from: In<u64>, sizes: In<usize>, count: usize, attributes: u64, indices: u64,
        attribute_count: usize, stream: u64,
    ) => locked batch_async {
        13000: cuMemcpyBatchAsync_v2, 13000 twin: cuMemcpyBatchAsync_v2_ptsz,
    }
};
