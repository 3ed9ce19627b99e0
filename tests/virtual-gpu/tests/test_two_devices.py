"""Two cards: each has its own memory, and copies go between them."""

import os

os.environ["VGPU_DEVICES"] = "2"

import threading

import pytest
import torch

from machine import GIB, MIB, used


def test_both_are_there_and_differ():
    assert torch.cuda.device_count() == 2
    first, second = (torch.cuda.get_device_properties(index) for index in range(2))
    assert first.uuid != second.uuid
    assert first.total_memory == second.total_memory


def test_each_counts_its_own():
    for index in range(2):
        torch.cuda.synchronize(index)
    context = [used(index) for index in range(2)]
    block = torch.empty(64 * MIB, dtype=torch.uint8, device="cuda:1")
    assert [used(index) - context[index] for index in range(2)] == [0, 64 * MIB]
    assert torch.cuda.memory_reserved(0) == 0
    assert torch.cuda.memory_reserved(1) == block.numel()


def test_copies_between_them_are_real():
    values = torch.arange(1 << 20, dtype=torch.int32)
    assert torch.cuda.can_device_access_peer(0, 1)
    assert torch.equal(values.to("cuda:0").to("cuda:1").cpu(), values)


def test_a_thread_has_its_own_current_device():
    seen = []

    def other():
        seen.append(torch.cuda.current_device())
        torch.cuda.set_device(1)
        seen.append(torch.empty(1, device="cuda").device.index)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [0, 1]
    assert torch.cuda.current_device() == 0


def test_one_card_full_leaves_the_other_alone():
    free, _ = torch.cuda.mem_get_info(0)
    with pytest.raises(torch.OutOfMemoryError, match="GPU 0"):
        torch.empty(free + GIB, dtype=torch.uint8, device="cuda:0")
    assert torch.empty(GIB, dtype=torch.uint8, device="cuda:1").is_cuda


def test_an_ordinal_that_is_no_device_is_refused():
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        torch.empty(1, device="cuda:2")
