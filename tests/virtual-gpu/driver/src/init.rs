//! Starting the driver, and its version.

use machine::Config;

use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::Out;

fn init(flags: u32) -> Outcome {
    match flags {
        0 => crate::driver::start(),
        _ => Err(Code::INVALID_VALUE),
    }
}

fn driver_version(out: Out<i32>) -> Outcome {
    out.set(Config::from_env().driver_version as i32)
}

/// The real driver's hidden tables are not modelled: no such table.
fn export_table(out: Out<u64>, _id: u64) -> Outcome {
    out.set(0)?;
    Err(Code::NOT_FOUND)
}

fn profiler() -> Outcome {
    Ok(())
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuInit(flags: u32) => free init { 2000: cuInit }
    cuDriverGetVersion(out: Out<i32>) => free driver_version { 2020: cuDriverGetVersion }
    cuGetExportTable(out: Out<u64>, id: u64) => free export_table { 3000: cuGetExportTable }
    cuProfilerStart() => free profiler { 4000: cuProfilerStart }
    cuProfilerStop() => free profiler { 4000: cuProfilerStop }
};
