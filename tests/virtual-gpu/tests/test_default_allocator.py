"""torch's own allocator on cudaMalloc: the driver's count and torch's must agree at every step."""

import pytest
import torch

from machine import GIB, MIB, Child, used

HOLDS_TEN_GIB = """
import sys, torch
x = torch.empty(10 << 30, dtype=torch.uint8, device="cuda")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def context():
    """What the card holds before torch allocates."""
    torch.cuda.init()
    torch.cuda.synchronize()
    return used()


def test_reserved_is_what_the_driver_gave(context):
    small = torch.empty(100, device="cuda")
    assert torch.cuda.memory_allocated() == 512
    assert torch.cuda.memory_reserved() == 2 * MIB == used() - context
    large = torch.empty(50 * MIB, dtype=torch.uint8, device="cuda")
    assert torch.cuda.memory_allocated() == 512 + 50 * MIB
    assert torch.cuda.memory_reserved() == 52 * MIB == used() - context
    del large
    assert torch.cuda.memory_reserved() == 52 * MIB, "a freed block stays reserved"
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() == 2 * MIB == used() - context
    assert small.is_cuda


def test_snapshot_lists_each_segment_and_block(context):
    blocks = [torch.empty(size, dtype=torch.uint8, device="cuda") for size in (512, 3 * MIB, 30 * MIB)]
    snapshot = torch.cuda.memory_snapshot()
    assert sum(segment["total_size"] for segment in snapshot) == torch.cuda.memory_reserved()
    live = {
        block["address"]: block["size"]
        for segment in snapshot
        for block in segment["blocks"]
        if block["state"] == "active_allocated"
    }
    assert live == {block.data_ptr(): block.numel() for block in blocks}


def test_copies_and_fills_are_real():
    there = torch.arange(1 << 16, dtype=torch.int32)
    back = there.to("cuda").clone().cpu()
    assert torch.equal(there, back)
    assert torch.zeros(1 << 16, device="cuda").cpu().abs().sum() == 0


def test_a_block_used_on_a_side_stream_is_not_reused_early():
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        block = torch.empty(4 * MIB, dtype=torch.uint8, device="cuda")
    block.record_stream(torch.cuda.current_stream())
    del block
    assert torch.cuda.memory_allocated() == 0
    assert torch.cuda.memory_reserved() == 20 * MIB


def test_out_of_memory_is_real_and_leaves_the_rest_usable(context):
    free, total = torch.cuda.mem_get_info()
    kept = torch.empty(GIB, dtype=torch.uint8, device="cuda")
    with pytest.raises(torch.OutOfMemoryError) as error:
        torch.empty(free, dtype=torch.uint8, device="cuda")
    assert "CUDA out of memory" in str(error.value)
    assert torch.cuda.memory_stats()["num_ooms"] >= 1
    assert used() - context == torch.cuda.memory_reserved() == GIB
    assert kept.numel() == GIB


def test_a_killed_process_gives_its_memory_back(context):
    child = Child(HOLDS_TEN_GIB)
    assert used() - context >= 10 * GIB
    child.kill()
    assert used() == context


def test_pinned_memory_is_no_device_memory(context):
    pinned = torch.empty(8 * MIB, dtype=torch.uint8).pin_memory()
    assert pinned.is_pinned()
    assert used() == context
    pinned[:] = 7
    assert pinned.to("cuda", non_blocking=True).cpu().min() == 7


def test_history_carries_the_python_line():
    torch.cuda.memory._record_memory_history(stacks="python")
    block = torch.empty(5 * MIB, dtype=torch.uint8, device="cuda")
    found = [
        frame["filename"]
        for segment in torch.cuda.memory_snapshot()
        for live in segment["blocks"]
        if live["address"] == block.data_ptr()
        for frame in live["frames"]
    ]
    torch.cuda.memory._record_memory_history(enabled=None)
    assert __file__ in found
