"""backend:cudaMallocAsync: the driver's stream-ordered pool is the allocator."""

import os

os.environ["PYTORCH_ALLOC_CONF"] = "backend:cudaMallocAsync"

import pytest
import torch

from machine import MIB, used


def test_the_pool_is_what_torch_reports():
    torch.cuda.init()
    torch.cuda.synchronize()
    context = used()
    assert torch.cuda.get_allocator_backend() == "cudaMallocAsync"
    block = torch.empty(100 * MIB, dtype=torch.uint8, device="cuda")
    assert torch.cuda.memory_allocated() == 100 * MIB
    assert torch.cuda.memory_reserved() == used() - context >= 100 * MIB
    block.copy_(torch.full((100 * MIB,), 9, dtype=torch.uint8))
    assert block[-1:].cpu().item() == 9
    del block
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() == 0
    assert torch.cuda.memory_reserved() >= 100 * MIB, "torch keeps freed memory in the pool"
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() == 0 == used() - context


def test_freed_memory_is_reused_in_stream_order():
    first = torch.empty(20 * MIB, dtype=torch.uint8, device="cuda")
    address = first.data_ptr()
    del first
    assert torch.empty(20 * MIB, dtype=torch.uint8, device="cuda").data_ptr() == address


def test_out_of_memory_is_real():
    free, _ = torch.cuda.mem_get_info()
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(free + MIB, dtype=torch.uint8, device="cuda")
