//! Arrays and mipmapped arrays: device memory without an address, for textures.
//!
//! Where a real card tiles an array in ways that nobody knows, here its rows stand one after the
//! other, and it takes of its card what `cuMemAlloc` of that many bytes would.

use std::collections::BTreeMap;

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};
use crate::memory::Kind;

/// `CUDA_ARRAY3D_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    width: u64,
    height: u64,
    depth: u64,
    format: u32,
    channels: u32,
    flags: u32,
}

/// `CUDA_ARRAY_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy)]
struct FlatShape {
    width: u64,
    height: u64,
    format: u32,
    channels: u32,
}

const LAYERED: u32 = 0x01;
const SPARSE: u32 = 0x40;
/// Memory comes to the whole of it at once.
const DEFERRED_MAPPING: u32 = 0x80;

impl From<FlatShape> for Shape {
    fn from(flat: FlatShape) -> Self {
        let FlatShape { width, height, format, channels } = flat;
        Self { width, height, depth: 0, format, channels, flags: 0 }
    }
}

impl Shape {
    /// Bytes of one element. Formats that pack several into one block have no such number.
    fn element(&self) -> Outcome<u64> {
        let channel = match self.format {
            0x01 | 0x08 | 0xc0..=0xc2 | 0xc6..=0xc8 => 1,
            0x02 | 0x09 | 0x10 | 0xc3..=0xc5 | 0xc9..=0xcb => 2,
            0x03 | 0x0a | 0x20 => 4,
            0 => return Err(Code::INVALID_VALUE),
            _ => return Err(Code::NOT_SUPPORTED),
        };
        match self.channels {
            1 | 2 | 4 => Ok(channel * u64::from(self.channels)),
            _ => Err(Code::INVALID_VALUE),
        }
    }

    fn bytes(&self) -> Outcome<u64> {
        if self.width == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let sides = [self.width, self.height.max(1), self.depth.max(1)];
        let product = |total: u64, side: u64| total.checked_mul(side).ok_or(Code::OUT_OF_MEMORY);
        sides.into_iter().try_fold(self.element()?, product)
    }

    /// Layers stay as many at every level, everything else halves.
    fn level(self, level: u32) -> Self {
        let half = |side: u64| if side == 0 { 0 } else { (side >> level).max(1) };
        let depth = if self.flags & LAYERED != 0 { self.depth } else { half(self.depth) };
        Self { width: half(self.width), height: half(self.height), depth, ..self }
    }

    /// Its memory comes by other calls, if at all.
    fn owns_nothing(&self) -> bool {
        self.flags & (SPARSE | DEFERRED_MAPPING) != 0
    }

    /// The part of an array of this shape that is mapped alone, if one is at all.
    fn region(&self, part: [u64; 3]) -> Outcome<[u64; 3]> {
        match self.flags {
            flags if flags & DEFERRED_MAPPING != 0 => Ok([0; 3]),
            flags if flags & SPARSE != 0 => Ok(part),
            _ => Err(Code::INVALID_VALUE),
        }
    }
}

/// One array, or one level of a mipmapped one.
#[derive(Clone, Copy)]
pub struct Array {
    shape: Shape,
    /// Of its first byte; none where it owns nothing.
    address: Option<u64>,
    /// The mipmapped array that it is a level of, and that owns its memory.
    level_of: Option<u64>,
    context: u64,
}

impl Array {
    /// Where the rows are, what lies between two of them, and how many make a slice.
    pub fn rows(&self) -> Outcome<(u64, u64, u64)> {
        let base = self.address.ok_or(Code::INVALID_VALUE)?;
        Ok((base, self.shape.width * self.shape.element()?, self.shape.height.max(1)))
    }
}

struct Mipmapped {
    shape: Shape,
    address: Option<u64>,
    levels: Vec<u64>,
    context: u64,
}

/// All arrays, by handle.
#[derive(Default)]
pub struct Arrays {
    living: BTreeMap<u64, Array>,
    mipmapped: BTreeMap<u64, Mipmapped>,
}

impl Arrays {
    /// The array behind a handle.
    pub fn get(&self, handle: u64) -> Outcome<Array> {
        self.living.get(&handle).copied().ok_or(Code::INVALID_HANDLE)
    }

    /// What `part` of an array or of a mipmapped one is mapped alone.
    pub fn region(&self, handle: u64, is_mipmapped: bool, part: [u64; 3]) -> Outcome<[u64; 3]> {
        if is_mipmapped {
            let whole = self.mipmapped.get(&handle).ok_or(Code::INVALID_HANDLE)?;
            return whole.shape.region(part);
        }
        let array = self.get(handle)?;
        if array.level_of.is_some() { Err(Code::INVALID_VALUE) } else { array.shape.region(part) }
    }

    /// What owns no memory in a context, without the levels of mipmapped arrays.
    pub fn without_memory(&self, context: u64) -> Vec<u64> {
        let alone = self.living.iter().filter(|(_, array)| {
            array.context == context && array.address.is_none() && array.level_of.is_none()
        });
        let whole = self
            .mipmapped
            .iter()
            .filter(|(_, whole)| whole.context == context && whole.address.is_none());
        alone.map(|(handle, _)| *handle).chain(whole.map(|(handle, _)| *handle)).collect()
    }

    /// Some memory is gone, and with it the arrays that lay there.
    pub fn forget(&mut self, address: u64) {
        self.mipmapped.retain(|_, whole| whole.address != Some(address));
        let (living, mipmapped) = (&mut self.living, &self.mipmapped);
        living.retain(|_, array| match array.level_of {
            Some(whole) => mipmapped.contains_key(&whole),
            None => array.address != Some(address),
        });
    }
}

fn take(driver: &mut Driver, shape: Shape, bytes: u64) -> Outcome<Option<u64>> {
    let device = driver.current_device()?;
    if shape.owns_nothing() {
        return Ok(None);
    }
    driver.refuse_while_capturing()?;
    let (address, room) = driver.take_linear(device, bytes)?;
    driver.book(address, bytes, room, Kind::Array, device);
    Ok(Some(address))
}

/// Writes what came of making an array: what it owns, which is nothing for a sparse one.
fn note_made(
    driver: &mut Driver,
    name: &str,
    bytes: u64,
    made: Outcome<(u64, Option<u64>)>,
) -> Outcome<u64> {
    let device = driver.current_device().map_or(u64::MAX, |device| device as u64);
    let size = if matches!(made, Ok((_, None))) { 0 } else { bytes };
    let handle = made.map_or(0, |(handle, _)| handle);
    let fields = [hex("array", handle), dec("size", size), dec("dev", device)];
    Ok(driver.note(name, &fields, made)?.0)
}

fn make(driver: &mut Driver, name: &str, out: Out<u64>, shape: Shape) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let bytes = shape.bytes()?;
    let made = take(driver, shape, bytes).map(|address| {
        let (handle, context) = (driver.new_handle(), driver.current().unwrap_or(0));
        driver.arrays.living.insert(handle, Array { shape, address, level_of: None, context });
        (handle, address)
    });
    out.set(note_made(driver, name, bytes, made)?)
}

fn create(driver: &mut Driver, out: Out<u64>, shape: In<FlatShape>) -> Outcome {
    make(driver, "cuArrayCreate", out, shape.get()?.into())
}

fn create_3d(driver: &mut Driver, out: Out<u64>, shape: In<Shape>) -> Outcome {
    make(driver, "cuArray3DCreate", out, shape.get()?)
}

fn create_mipmapped(driver: &mut Driver, out: Out<u64>, shape: In<Shape>, wanted: u32) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let shape = shape.get()?;
    let longest = shape.width.max(shape.height).max(shape.depth);
    let most = longest.checked_ilog2().ok_or(Code::INVALID_VALUE)? + 1;
    let shapes: Vec<_> = (0..wanted.clamp(1, most)).map(|level| shape.level(level)).collect();
    let mut offsets = vec![0u64];
    for shape in &shapes {
        let end = offsets[offsets.len() - 1].checked_add(shape.bytes()?);
        offsets.push(end.ok_or(Code::OUT_OF_MEMORY)?);
    }
    let bytes = offsets[shapes.len()];
    let made = take(driver, shape, bytes).map(|address| {
        let (handle, context) = (driver.new_handle(), driver.current().unwrap_or(0));
        let mut levels = Vec::new();
        for (shape, offset) in shapes.into_iter().zip(offsets) {
            let address = address.map(|start| start + offset);
            levels.push(driver.new_handle());
            let level = Array { shape, address, level_of: Some(handle), context };
            driver.arrays.living.insert(levels[levels.len() - 1], level);
        }
        driver.arrays.mipmapped.insert(handle, Mipmapped { shape, address, levels, context });
        (handle, address)
    });
    out.set(note_made(driver, "cuMipmappedArrayCreate", bytes, made)?)
}

impl Driver {
    /// Ends an array that has no memory but what is mapped into it.
    pub fn end_without_memory(&mut self, handle: u64) {
        self.unmap_regions(handle);
        self.arrays.living.retain(|&own, array| own != handle && array.level_of != Some(handle));
        self.arrays.mipmapped.remove(&handle);
    }
}

/// Ends what a handle owned; without memory there is nobody but the handle to forget it.
fn give(driver: &mut Driver, handle: u64, address: Option<u64>) -> Outcome {
    match address {
        Some(address) => driver.free_at(address).map(|_| ()),
        None => {
            driver.end_without_memory(handle);
            Ok(())
        }
    }
}

fn destroy(driver: &mut Driver, handle: u64) -> Outcome {
    let outcome = driver.arrays.get(handle).and_then(|array| match array.level_of {
        // It goes with the mipmapped array that it belongs to.
        Some(_) => Err(Code::INVALID_HANDLE),
        None => give(driver, handle, array.address),
    });
    driver.note("cuArrayDestroy", &[hex("array", handle)], outcome)
}

fn destroy_mipmapped(driver: &mut Driver, handle: u64) -> Outcome {
    let known = driver.arrays.mipmapped.get(&handle).map(|whole| whole.address);
    let outcome =
        known.ok_or(Code::INVALID_HANDLE).and_then(|address| give(driver, handle, address));
    driver.note("cuMipmappedArrayDestroy", &[hex("array", handle)], outcome)
}

fn level(driver: &mut Driver, out: Out<u64>, handle: u64, level: u32) -> Outcome {
    let whole = driver.arrays.mipmapped.get(&handle).ok_or(Code::INVALID_HANDLE)?;
    out.set(whole.levels.get(level as usize).copied().ok_or(Code::INVALID_VALUE)?)
}

fn descriptor(driver: &mut Driver, out: Out<FlatShape>, handle: u64) -> Outcome {
    let Shape { width, height, format, channels, .. } = driver.arrays.get(handle)?.shape;
    out.set(FlatShape { width, height, format, channels })
}

fn descriptor_3d(driver: &mut Driver, out: Out<Shape>, handle: u64) -> Outcome {
    out.set(driver.arrays.get(handle)?.shape)
}

/// `CUDA_ARRAY_MEMORY_REQUIREMENTS`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Requirements {
    size: u64,
    alignment: u64,
    _reserved: [u32; 4],
}

/// Only an array whose memory is still to come has requirements.
fn put_requirements(out: Out<Requirements>, shape: Shape, bytes: u64) -> Outcome {
    if shape.flags & DEFERRED_MAPPING == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let alignment = crate::store::GRANULE;
    let size = bytes.next_multiple_of(alignment);
    out.set(Requirements { size, alignment, _reserved: [0; 4] })
}

fn requirements(driver: &mut Driver, out: Out<Requirements>, handle: u64, device: i32) -> Outcome {
    driver.device(device)?;
    let shape = driver.arrays.get(handle)?.shape;
    put_requirements(out, shape, shape.bytes()?)
}

fn requirements_mipmapped(
    driver: &mut Driver,
    out: Out<Requirements>,
    handle: u64,
    device: i32,
) -> Outcome {
    driver.device(device)?;
    let whole = driver.arrays.mipmapped.get(&handle).ok_or(Code::INVALID_HANDLE)?;
    let mut bytes = 0;
    for &level in &whole.levels {
        bytes += driver.arrays.get(level)?.shape.bytes()?;
    }
    put_requirements(out, whole.shape, bytes)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuArrayCreate(out: Out<u64>, shape: In<FlatShape>) => locked create { 3020: cuArrayCreate_v2 }
    cuArray3DCreate(out: Out<u64>, shape: In<Shape>) => locked create_3d {
        3020: cuArray3DCreate_v2,
    }
    cuArrayDestroy(handle: u64) => locked destroy { 2000: cuArrayDestroy }
    cuArrayGetDescriptor(out: Out<FlatShape>, handle: u64) => locked descriptor {
        3020: cuArrayGetDescriptor_v2,
    }
    cuArray3DGetDescriptor(out: Out<Shape>, handle: u64) => locked descriptor_3d {
        3020: cuArray3DGetDescriptor_v2,
    }
    cuArrayGetMemoryRequirements(
        out: Out<Requirements>, handle: u64, device: i32,
    ) => locked requirements {
        11060: cuArrayGetMemoryRequirements,
    }
    cuMipmappedArrayCreate(
        out: Out<u64>, shape: In<Shape>, levels: u32,
    ) => locked create_mipmapped {
        5000: cuMipmappedArrayCreate,
    }
    cuMipmappedArrayDestroy(handle: u64) => locked destroy_mipmapped {
        5000: cuMipmappedArrayDestroy,
    }
    cuMipmappedArrayGetLevel(out: Out<u64>, handle: u64, wanted: u32) => locked level {
        5000: cuMipmappedArrayGetLevel,
    }
    cuMipmappedArrayGetMemoryRequirements(
        out: Out<Requirements>, handle: u64, device: i32,
    ) => locked requirements_mipmapped {
        11060: cuMipmappedArrayGetMemoryRequirements,
    }
};

const _: () = assert!(size_of::<Shape>() == 40 && size_of::<FlatShape>() == 24);
