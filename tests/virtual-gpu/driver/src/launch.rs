//! Kernel launches, which run nothing, and what one may ask before a launch.

use crate::capture::NodeKind;
use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};

/// The head of `CUlaunchConfig`; attributes follow.
#[repr(C)]
#[derive(Clone, Copy)]
struct Config {
    _grid: [u32; 3],
    _block: [u32; 3],
    _shared: u32,
    stream: u64,
}

fn launch_in(driver: &mut Driver, function: u64, stream: u64) -> Outcome {
    if function == 0 {
        return Err(Code::INVALID_HANDLE);
    }
    driver.runs_now(stream, NodeKind::Kernel).map(|_| ())
}

fn launch(
    driver: &mut Driver,
    function: u64,
    _grid_x: u32,
    _grid_y: u32,
    _grid_z: u32,
    _block_x: u32,
    _block_y: u32,
    _block_z: u32,
    _shared: u32,
    stream: u64,
    _params: u64,
    _extra: u64,
) -> Outcome {
    launch_in(driver, function, stream)
}

fn launch_cooperative(
    driver: &mut Driver,
    function: u64,
    _grid_x: u32,
    _grid_y: u32,
    _grid_z: u32,
    _block_x: u32,
    _block_y: u32,
    _block_z: u32,
    _shared: u32,
    stream: u64,
    _params: u64,
) -> Outcome {
    launch_in(driver, function, stream)
}

fn launch_ex(driver: &mut Driver, config: In<Config>, function: u64, _: u64, _: u64) -> Outcome {
    launch_in(driver, function, config.get()?.stream)
}

fn max_active_blocks(driver: &mut Driver, out: Out<i32>, _: u64, block: i32, _: usize) -> Outcome {
    driver.current()?;
    match block {
        1..=1024 => out.set((2048 / block).min(32)),
        _ => Err(Code::INVALID_VALUE),
    }
}

fn max_active_blocks_with_flags(
    driver: &mut Driver,
    out: Out<i32>,
    function: u64,
    block: i32,
    shared: usize,
    _flags: u32,
) -> Outcome {
    max_active_blocks(driver, out, function, block, shared)
}

fn best_block(
    driver: &mut Driver,
    grid: Out<i32>,
    block: Out<i32>,
    _function: u64,
    _shared_for: u64,
    _shared: usize,
    limit: i32,
) -> Outcome {
    driver.current()?;
    grid.set(132 * 2)?;
    block.set(if limit > 0 { limit.min(1024) } else { 1024 })
}

fn best_block_with_flags(
    driver: &mut Driver,
    grid: Out<i32>,
    block: Out<i32>,
    function: u64,
    shared_for: u64,
    shared: usize,
    limit: i32,
    _flags: u32,
) -> Outcome {
    best_block(driver, grid, block, function, shared_for, shared, limit)
}

fn available_shared(driver: &mut Driver, out: Out<usize>, _: u64, _: i32, _: i32) -> Outcome {
    driver.current()?;
    out.set(49152)
}

fn max_cluster(driver: &mut Driver, out: Out<i32>, _function: u64, _config: u64) -> Outcome {
    driver.current()?;
    out.set(8)
}

fn max_active_clusters(driver: &mut Driver, out: Out<i32>, _: u64, _: u64) -> Outcome {
    driver.current()?;
    out.set(16)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuLaunchKernel(
        function: u64, gx: u32, gy: u32, gz: u32, bx: u32, by: u32, bz: u32, shared: u32,
        stream: u64, params: u64, extra: u64,
    ) => locked launch {
        4000: cuLaunchKernel, 7000 twin: cuLaunchKernel_ptsz,
    }
    cuLaunchCooperativeKernel(
        function: u64, gx: u32, gy: u32, gz: u32, bx: u32, by: u32, bz: u32, shared: u32,
        stream: u64, params: u64,
    ) => locked launch_cooperative {
        9000: cuLaunchCooperativeKernel, 9000 twin: cuLaunchCooperativeKernel_ptsz,
    }
    cuLaunchKernelEx(
        config: In<Config>, function: u64, params: u64, extra: u64,
    ) => locked launch_ex {
        11060: cuLaunchKernelEx, 11060 twin: cuLaunchKernelEx_ptsz,
    }
    cuOccupancyMaxActiveBlocksPerMultiprocessor(
        out: Out<i32>, function: u64, block: i32, shared: usize,
    ) => locked max_active_blocks {
        6050: cuOccupancyMaxActiveBlocksPerMultiprocessor,
    }
    cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        out: Out<i32>, function: u64, block: i32, shared: usize, flags: u32,
    ) => locked max_active_blocks_with_flags {
        7000: cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags,
    }
    cuOccupancyMaxPotentialBlockSize(
        grid: Out<i32>, block: Out<i32>, function: u64, shared_for: u64, shared: usize, limit: i32,
    ) => locked best_block {
        6050: cuOccupancyMaxPotentialBlockSize,
    }
    cuOccupancyMaxPotentialBlockSizeWithFlags(
        grid: Out<i32>, block: Out<i32>, function: u64, shared_for: u64, shared: usize, limit: i32,
        flags: u32,
    ) => locked best_block_with_flags {
        7000: cuOccupancyMaxPotentialBlockSizeWithFlags,
    }
    cuOccupancyAvailableDynamicSMemPerBlock(
        out: Out<usize>, function: u64, blocks: i32, block: i32,
    ) => locked available_shared {
        10020: cuOccupancyAvailableDynamicSMemPerBlock,
    }
    cuOccupancyMaxPotentialClusterSize(
        out: Out<i32>, function: u64, config: u64,
    ) => locked max_cluster {
        11070: cuOccupancyMaxPotentialClusterSize,
    }
    cuOccupancyMaxActiveClusters(
        out: Out<i32>, function: u64, config: u64,
    ) => locked max_active_clusters {
        11070: cuOccupancyMaxActiveClusters,
    }
};
