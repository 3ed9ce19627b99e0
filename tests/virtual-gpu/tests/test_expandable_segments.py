"""expandable_segments:True: one reservation per pool that grows by mapping handles into it."""

import os

os.environ["PYTORCH_ALLOC_CONF"] = "expandable_segments:True"

import pytest
import torch

from machine import GIB, MIB, Child, used


@pytest.fixture
def context():
    """What the card holds before torch allocates."""
    torch.cuda.init()
    torch.cuda.synchronize()
    return used()


def test_a_segment_grows_in_place(context):
    first = torch.empty(30 * MIB, dtype=torch.uint8, device="cuda")
    before = torch.cuda.memory_snapshot()
    second = torch.empty(300 * MIB, dtype=torch.uint8, device="cuda")
    after = torch.cuda.memory_snapshot()
    assert all(segment["is_expandable"] for segment in after)
    assert len(before) == len(after) == 1, "the second allocation extended the first one's segment"
    assert before[0]["address"] == after[0]["address"]
    assert after[0]["total_size"] == torch.cuda.memory_reserved() == used() - context
    assert first.numel() + second.numel() == torch.cuda.memory_allocated()


def test_empty_cache_unmaps_a_hole_in_the_middle(context):
    blocks = [torch.empty(40 * MIB, dtype=torch.uint8, device="cuda") for _ in range(3)]
    blocks[1] = None
    held = used()
    torch.cuda.empty_cache()
    assert held - used() == 40 * MIB
    assert used() - context == torch.cuda.memory_reserved() == 80 * MIB
    assert len(torch.cuda.memory_snapshot()) == 2, "two runs of mapped handles in one reservation"


def test_memory_comes_back_zero_for_another_use_and_keeps_what_was_written():
    block = torch.empty(64 * MIB, dtype=torch.uint8, device="cuda")
    block.copy_(torch.full((64 * MIB,), 3, dtype=torch.uint8))
    other = torch.empty(64 * MIB, dtype=torch.uint8, device="cuda")
    assert block[-1:].cpu().item() == 3
    assert other[:1].cpu().item() == 0


def test_out_of_memory_is_real(context):
    free, _ = torch.cuda.mem_get_info()
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(free + GIB, dtype=torch.uint8, device="cuda")
    torch.cuda.empty_cache()
    assert used() == context


def test_a_killed_process_gives_its_memory_back(context):
    child = Child(
        """
import sys, torch
x = torch.empty(4 << 30, dtype=torch.uint8, device="cuda")
print("ready", flush=True)
sys.stdin.read()
"""
    )
    assert used() - context >= 4 * GIB
    child.kill()
    assert used() == context
