"""The Qwen2-VL image processor of transformers on the device, built from its own defaults: nothing is fetched."""

import numpy
import torch
from PIL import Image
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

from machine import MIB

SIZES = ((640, 480), (1280, 720), (333, 777))


def images():
    random = numpy.random.default_rng(0)
    return [
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=numpy.uint8)) for width, height in SIZES
    ]


def test_patches_come_out_on_the_device_with_their_grid():
    processor = Qwen2VLImageProcessor()
    torch.cuda.reset_peak_memory_stats()
    batch = processor(images=images(), device="cuda", return_tensors="pt")
    patches = batch["pixel_values"]
    assert patches.is_cuda
    grid = batch["image_grid_thw"]
    assert len(grid) == len(SIZES)
    assert int(grid.prod(dim=1).sum()) == patches.shape[0]
    assert patches.shape[1] == 3 * 2 * 14 * 14
    # Resizing and normalizing work on whole images, so the peak is well above what stays.
    assert torch.cuda.max_memory_allocated() > patches.numel() * 4 + 5 * MIB


def test_a_larger_image_takes_more_than_a_smaller_one():
    processor = Qwen2VLImageProcessor()
    peaks = []
    for picture in images()[:2]:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        processor(images=[picture], device="cuda", return_tensors="pt")
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[0] < peaks[1]
