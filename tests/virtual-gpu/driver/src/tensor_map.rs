//! Descriptions of tensors in a card's memory, which kernels copy pieces of by hardware.

use crate::error::Outcome;
use crate::export::{Export, exports};
use crate::ffi::Out;

/// `CUtensorMap`: only ever read by kernels. Its alignment is not the driver's to rely on.
type TensorMap = [u64; 16];

/// The arguments describe a tensor; what they make is defined, and describes none.
fn encode_tiled(
    map: Out<TensorMap>,
    _data_type: i32,
    _rank: u32,
    _address: u64,
    _dims: u64,
    _strides: u64,
    _box: u64,
    _element_strides: u64,
    _interleave: i32,
    _swizzle: i32,
    _promotion: i32,
    _fill: i32,
) -> Outcome {
    map.set([0; 16])
}

fn encode_im2col(
    map: Out<TensorMap>,
    _data_type: i32,
    _rank: u32,
    _address: u64,
    _dims: u64,
    _strides: u64,
    _lower: u64,
    _upper: u64,
    _channels: u32,
    _pixels: u32,
    _element_strides: u64,
    _interleave: i32,
    _swizzle: i32,
    _promotion: i32,
    _fill: i32,
) -> Outcome {
    map.set([0; 16])
}

fn encode_im2col_wide(
    map: Out<TensorMap>,
    _data_type: i32,
    _rank: u32,
    _address: u64,
    _dims: u64,
    _strides: u64,
    _lower_width: i32,
    _upper_width: i32,
    _channels: u32,
    _pixels: u32,
    _element_strides: u64,
    _interleave: i32,
    _mode: i32,
    _swizzle: i32,
    _promotion: i32,
    _fill: i32,
) -> Outcome {
    map.set([0; 16])
}

fn replace_address(map: Out<TensorMap>, _address: u64) -> Outcome {
    map.get().map(|_| ())
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuTensorMapEncodeTiled(
        map: Out<TensorMap>, data_type: i32, rank: u32, address: u64, dims: u64, strides: u64,
        extent: u64, element_strides: u64, interleave: i32, swizzle: i32, promotion: i32, fill: i32,
    ) => free encode_tiled {
        12000: cuTensorMapEncodeTiled,
    }
    cuTensorMapEncodeIm2col(
        map: Out<TensorMap>, data_type: i32, rank: u32, address: u64, dims: u64, strides: u64,
        lower: u64, upper: u64, channels: u32, pixels: u32, element_strides: u64, interleave: i32,
        swizzle: i32, promotion: i32, fill: i32,
    ) => free encode_im2col {
        12000: cuTensorMapEncodeIm2col,
    }
    cuTensorMapEncodeIm2colWide(
        map: Out<TensorMap>, data_type: i32, rank: u32, address: u64, dims: u64, strides: u64,
        lower_width: i32, upper_width: i32, channels: u32, pixels: u32, element_strides: u64,
        interleave: i32, mode: i32, swizzle: i32, promotion: i32, fill: i32,
    ) => free encode_im2col_wide {
        12080: cuTensorMapEncodeIm2colWide,
    }
    cuTensorMapReplaceAddress(map: Out<TensorMap>, address: u64) => free replace_address {
        12000: cuTensorMapReplaceAddress,
    }
};
