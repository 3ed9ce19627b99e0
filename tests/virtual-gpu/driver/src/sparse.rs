//! Sparse arrays: their regions get memory by and by, and hold it until they get other memory or none,
//! or the array is gone. What is mapped is seen by nobody: kernels do nothing here.

use std::collections::BTreeMap;

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::In;
use crate::physical::Backing;

/// `CUarrayMapInfo`.
#[repr(C)]
#[derive(Clone, Copy)]
struct MapInfo {
    resource_kind: u32,
    array: u64,
    subresource_kind: u32,
    /// Level and layer, x and y, z and width, height and depth; or in the tail: layer, offset, bytes.
    subresource: [u64; 4],
    operation: u32,
    handle_kind: u32,
    memory: u64,
    _offset: u64,
    devices: u32,
    flags: u32,
    _reserved: [u32; 2],
}

const ARRAY: u32 = 0;
const MIPMAPPED_ARRAY: u32 = 1;
const MIPTAIL: u32 = 1;
const MAP: u32 = 1;
const UNMAP: u32 = 2;

/// An array, and where in it a region begins.
type Place = (u64, [u64; 3]);

/// The handles whose memory is mapped, by region.
#[derive(Default)]
pub struct Regions(BTreeMap<Place, u64>);

impl Driver {
    fn unmap_region(&mut self, place: Place) {
        if let Some(memory) = self.regions.0.remove(&place) {
            self.unbind_memory(memory);
            let fields = [hex("array", place.0), hex("memory", memory)];
            let _ = self.note("regionUnmapped", &fields, Ok(()));
        }
    }

    /// An array is gone.
    pub fn unmap_regions(&mut self, array: u64) {
        let of_array = self.regions.0.range((array, [0; 3])..=(array, [u64::MAX; 3]));
        for place in of_array.map(|(place, _)| *place).collect::<Vec<_>>() {
            self.unmap_region(place);
        }
    }
}

/// Whether a region may be mapped or unmapped, and which one it is.
fn check(driver: &mut Driver, info: &MapInfo) -> Outcome<Place> {
    let device = driver.current_device()?;
    let is_mipmapped = match info.resource_kind {
        ARRAY => false,
        MIPMAPPED_ARRAY => true,
        _ => return Err(Code::INVALID_VALUE),
    };
    let [first, second, third, _] = info.subresource;
    let low = |word: u64| word & u64::from(u32::MAX);
    let part = match info.subresource_kind {
        MIPTAIL => [low(first), second, u64::MAX],
        _ => [first, second, low(third)],
    };
    let place = (info.array, driver.arrays.region(info.array, is_mipmapped, part)?);
    let fits = match info.operation {
        MAP => {
            let physical = driver.physical(info.memory)?;
            matches!(physical.backing, Backing::Own)
                && physical.props.is_tile_pool()
                && physical.device == device
        }
        UNMAP => info.memory == 0,
        _ => false,
    };
    let here = info.devices == 1 << device && info.flags == 0 && info.handle_kind == 0;
    if fits && here { Ok(place) } else { Err(Code::INVALID_VALUE) }
}

/// Nothing is changed where one of the regions does not fit.
fn map_all(driver: &mut Driver, infos: &[MapInfo]) -> Outcome {
    let places: Vec<Place> =
        infos.iter().map(|info| check(driver, info)).collect::<Outcome<_>>()?;
    for (info, place) in infos.iter().zip(places) {
        driver.unmap_region(place);
        if info.operation == MAP {
            driver.regions.0.insert(place, info.memory);
            driver.bind_memory(info.memory);
            let fields = [hex("array", place.0), hex("memory", info.memory)];
            driver.note("regionMapped", &fields, Ok(()))?;
        }
    }
    Ok(())
}

fn map(driver: &mut Driver, infos: In<MapInfo>, count: u32, _stream: u64) -> Outcome {
    let infos = infos.list(count as usize)?;
    let outcome = map_all(driver, &infos);
    driver.note("cuMemMapArrayAsync", &[dec("count", count.into())], outcome)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuMemMapArrayAsync(infos: In<MapInfo>, count: u32, stream: u64) => locked map {
        11010: cuMemMapArrayAsync, 11010 twin: cuMemMapArrayAsync_ptsz,
    }
};

const _: () = assert!(size_of::<MapInfo>() == 96);
