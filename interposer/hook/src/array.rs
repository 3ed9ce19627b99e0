//! Arrays: device memory without an address, which the driver lays out as it likes.
//!
//! How many bytes that takes drivers tell only of arrays whose memory is mapped later. Of the others
//! it is counted as what their elements need; padding of the layout is not in it. A sparse array, and
//! one whose mapping is deferred, owns no memory: it is listed with no bytes.

use wire::record::Class;

use crate::{
    abi::{
        ARRAY_CUBEMAP, ARRAY_LAYERED, ARRAY_WITHOUT_MEMORY, Array3dDescriptor, ArrayDescriptor,
        OUT_OF_MEMORY, SUCCESS, Status, read,
    },
    call::{Call, Guard},
    event::{Event, Op},
};

type Create<W> = unsafe extern "C" fn(*mut u64, *const ArrayDescriptor<W>) -> Status;
type Create3d<W> = unsafe extern "C" fn(*mut u64, *const Array3dDescriptor<W>) -> Status;
type CreateMipmapped = unsafe extern "C" fn(*mut u64, *const Array3dDescriptor<u64>, u32) -> Status;
type Destroy = unsafe extern "C" fn(u64) -> Status;

/// What an array is, whatever words it was described in.
#[derive(Clone, Copy)]
struct Shape {
    width: u64,
    height: u64,
    depth: u64,
    bits: u64,
    flags: u32,
    /// Levels of a mipmapped array.
    levels: Option<u32>,
}

impl Shape {
    fn of<W: Copy + Into<u64>>(descriptor: &ArrayDescriptor<W>) -> Self {
        let ArrayDescriptor { width, height, format, channels } = *descriptor;
        let (width, height) = (width.into(), height.into());
        Self { width, height, depth: 0, bits: bits(format, channels), flags: 0, levels: None }
    }

    fn of_3d<W: Copy + Into<u64>>(descriptor: &Array3dDescriptor<W>) -> Self {
        let Array3dDescriptor { width, height, depth, format, channels, flags } = *descriptor;
        let (width, height, depth) = (width.into(), height.into(), depth.into());
        Self { width, height, depth, bits: bits(format, channels), flags, levels: None }
    }

    /// Bytes of all its elements.
    fn bytes(self) -> u64 {
        if self.flags & ARRAY_WITHOUT_MEMORY != 0 {
            return 0;
        }
        let is_volume = self.flags & (ARRAY_LAYERED | ARRAY_CUBEMAP) == 0;
        let at = |length: u64, level: u32| length.checked_shr(level).unwrap_or(0).max(1);
        let level = |level: u32| {
            let depth = at(self.depth, if is_volume { level } else { 0 });
            let elements =
                at(self.width, level).saturating_mul(at(self.height, level)).saturating_mul(depth);
            elements.saturating_mul(self.bits).div_ceil(8)
        };
        // Beyond 64 halvings every length is 1.
        let levels = self.levels.unwrap_or(1).clamp(1, 64);
        (0..levels).fold(0, |sum, each| level(each).saturating_add(sum))
    }
}

/// Bits of an element of a `CUarray_format`. Those of several planes have as many as their elements
/// take together.
const fn bits(format: u32, channels: u32) -> u64 {
    let channel = match format {
        0x91 | 0x92 | 0x97 | 0x98 => return 4,         // BC1, BC4
        0x93..=0x96 | 0x99..=0x9e => return 8,         // BC2, BC3, BC5 to BC7
        0xb0 | 0x53 | 0x59 => return 12,               // NV12 and other planes of 8 bits, 4:2:0
        0x9f | 0xa1 | 0x54 | 0x5a => return 24,        // P010, P016 and the like
        0xa2 | 0xa5 | 0x51 | 0x55 | 0x5b => return 16, // 8 bits, 4:2:2
        0xa3 | 0xa4 | 0xa6 | 0xa7 | 0x56 | 0x5c => return 32, // 16 bits, 4:2:2
        0xa8 | 0xa9 | 0x50 => return 32,               // AYUV, Y410, 10:10:10:2
        0xb1 => return 64,                             // Y416
        0xb2 | 0xb4 | 0x52 | 0x57 | 0x5d => return 24, // 8 bits, 4:4:4
        0xb3 | 0xb5 | 0x58 | 0x5e => return 48,        // 16 bits, 4:4:4
        0x02 | 0x09 | 0x10 | 0xc3..=0xc5 | 0xc9..=0xcb => 16,
        0x03 | 0x0a | 0x20 => 32,
        _ => 8,
    };
    channel * channels as u64
}

/// What a call for an array gave.
///
/// # Safety
/// `out` is the program's out-parameter of the call that returned `status`; `shape` reads the
/// descriptor that the driver read.
unsafe fn took(
    guard: &Guard<'_>,
    status: Status,
    out: *const u64,
    shape: impl Fn() -> Option<Shape>,
) {
    let Some(note) = guard.note(status) else { return };
    // SAFETY: the caller's promise.
    let address = unsafe { note.read(out) };
    let device = note.current_device();
    // Other failures may come before the driver ever looked at the descriptor.
    let read = matches!(status, SUCCESS | OUT_OF_MEMORY);
    let size = read.then(shape).flatten().map_or(0, |shape| {
        let told = || note.driver().array_size(address, shape.levels.is_some(), device);
        match shape.bytes() {
            0 => 0,
            least if note.succeeded() => told().filter(|told| *told >= least).unwrap_or(least),
            least => least,
        }
    });
    let aux = note.driver().context().unwrap_or_default();
    let class = Class::Array;
    note.took(Event { class, address, size, aux, device, ..note.event(Op::Took) });
}

/// `cuArrayCreate`, whose lengths have 32 bits or 64.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn create<W: Copy + Into<u64>>(
    call: &Call<'_>,
    real: Create<W>,
    out: *mut u64,
    descriptor: *const ArrayDescriptor<W>,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, descriptor) };
    // SAFETY: the driver read it, whenever this is called.
    let shape = || unsafe { read(descriptor) }.as_ref().map(Shape::of);
    // SAFETY: the program's own out-parameter.
    unsafe { took(&guard, status, out, shape) };
    status
}

/// `cuArray3DCreate`, whose lengths have 32 bits or 64.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn create_3d<W: Copy + Into<u64>>(
    call: &Call<'_>,
    real: Create3d<W>,
    out: *mut u64,
    descriptor: *const Array3dDescriptor<W>,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, descriptor) };
    // SAFETY: the driver read it, whenever this is called.
    let shape = || unsafe { read(descriptor) }.as_ref().map(Shape::of_3d);
    // SAFETY: the program's own out-parameter.
    unsafe { took(&guard, status, out, shape) };
    status
}

/// `cuMipmappedArrayCreate`: an array for each level.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn create_mipmapped(
    call: &Call<'_>,
    real: CreateMipmapped,
    out: *mut u64,
    descriptor: *const Array3dDescriptor<u64>,
    levels: u32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, descriptor, levels) };
    let shape = || {
        // SAFETY: the driver read the descriptor.
        let descriptor = unsafe { read(descriptor) }?;
        Some(Shape { levels: Some(levels), ..Shape::of_3d(&descriptor) })
    };
    // SAFETY: the program's own out-parameter.
    unsafe { took(&guard, status, out, shape) };
    status
}

/// `cuArrayDestroy` and `cuMipmappedArrayDestroy`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn destroy(call: &Call<'_>, real: Destroy, array: u64) -> Status {
    let guard = call.enter();
    let mut end = guard.giving_back(array, 0, &[Class::Array, Class::View]);
    // SAFETY: the program's own call.
    let status = unsafe { real(array) };
    guard.gave_back(&mut end, status);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::ArrayRequirements,
        table::Api,
        testing::{event, on, recording},
    };

    extern "C" fn create_ok(out: *mut u64, _: *const Array3dDescriptor<u64>, _: u32) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0xa1 };
        SUCCESS
    }

    extern "C" fn create_invalid(_: *mut u64, _: *const ArrayDescriptor<u32>) -> Status {
        1
    }

    fn shape(width: u64, height: u64, depth: u64, format: u32, channels: u32) -> Shape {
        Shape::of_3d(&Array3dDescriptor { width, height, depth, format, channels, flags: 0 })
    }

    #[test]
    fn an_array_needs_what_its_elements_do() {
        assert_eq!(shape(100, 0, 0, 0x20, 1).bytes(), 400);
        assert_eq!(shape(100, 10, 0, 0x10, 4).bytes(), 8000);
        assert_eq!(shape(100, 10, 3, 1, 2).bytes(), 6000);
        assert_eq!(shape(64, 64, 0, 0x91, 4).bytes(), 2048, "eight bytes for sixteen");
        assert_eq!(shape(64, 64, 0, 0xb0, 3).bytes(), 6144, "half as much again for colour");
        for flags in [0x40, 0x80] {
            assert_eq!(Shape { flags, ..shape(64, 64, 0, 1, 1) }.bytes(), 0);
        }
        assert_eq!(shape(u64::MAX, u64::MAX, 2, 0x20, 4).bytes(), u64::MAX / 8 + 1);
    }

    #[test]
    fn each_level_halves_lengths_but_not_layers() {
        let volume = Shape { levels: Some(3), ..shape(8, 8, 8, 1, 1) };
        assert_eq!(volume.bytes(), 512 + 64 + 8);
        assert_eq!(Shape { flags: ARRAY_LAYERED, ..volume }.bytes(), 512 + 128 + 32);
        assert_eq!(Shape { levels: Some(u32::MAX), ..volume }.bytes(), 512 + 64 + 8 + 61);
    }

    extern "C" fn requirements(out: *mut ArrayRequirements, _: u64, device: i32) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { (*out).size = 4096 };
        Status::from(device != 2)
    }

    #[test]
    fn a_driver_that_tells_the_size_is_believed() {
        let hooks = recording();
        let (width, height, depth, format, channels) = (8_u64, 8, 8, 1, 1);
        let plain = Array3dDescriptor { width, height, depth, format, channels, flags: 0 };
        for (tells, flags, size) in [(false, 0, 584), (true, 0, 4096), (true, 0x80, 0)] {
            if tells {
                let told = requirements as *const () as usize;
                hooks.driver.set("cuMipmappedArrayGetMemoryRequirements", told);
            }
            let (mut out, descriptor) = (0, Array3dDescriptor { flags, ..plain });
            // SAFETY: valid arguments.
            on(&hooks, Api::cuMipmappedArrayCreate, |call| unsafe {
                create_mipmapped(call, create_ok, &raw mut out, &raw const descriptor, 3)
            });
            let took = event();
            let got = (took.class, took.address, took.size, took.aux, took.device);
            assert_eq!(got, (Class::Array, 0xa1, size, 0xc0, 2));
        }
    }

    #[test]
    fn a_descriptor_that_the_driver_may_not_have_read_is_not_read() {
        let mut out = 0;
        // SAFETY: the function given as the real one looks at nothing.
        let status = on(&recording(), Api::cuArrayCreate, |call| unsafe {
            create(call, create_invalid, &raw mut out, core::ptr::dangling())
        });
        assert_eq!((status, event().size), (1, 0));
    }
}
