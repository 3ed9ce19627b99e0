"""NCCL: ranks with a card each. Nothing passes between them, but all that they ask works, and what they get is defined."""

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor

os.environ["VGPU_DEVICES"] = "2"

import pytest
import torch

from machine import MIB, run, used

# One of two ranks. No kernel runs, so all values come from the host. It and the other wait for each other by the store.
RANK = """
import sys
import torch
import torch.distributed as dist
from machine import MIB, used

rank, path = int(sys.argv[1]), sys.argv[2]
device = torch.device("cuda", rank)
torch.cuda.set_device(device)
store = dist.FileStore(path, 2)
dist.init_process_group("nccl", store=store, rank=rank, world_size=2, device_id=device)

def here(*values):
    return torch.tensor(values, dtype=torch.int32).to(device)

def meet(where):
    store.set(f"{where} {rank}", "")
    store.wait([f"{where} {1 - rank}"])

own = [rank + 1, rank + 10]
mine = here(*own)
dist.all_reduce(mine)
assert mine.tolist() == own, "copied, and not added up"
whole = here(0, 0, 0, 0)
dist.all_gather_into_tensor(whole, mine)
assert whole.tolist() == own + own, "each piece is this rank's"
dist.all_gather([here(0, 0), here(0, 0)], mine)
share = here(0, 0)
dist.reduce_scatter_tensor(share, here(0, 1, 2, 3))
assert share.tolist() == [2 * rank, 2 * rank + 1], "this rank's share of what it sent"
dist.broadcast(mine, src=0)
assert mine.tolist() == own, "nobody's message came"
(dist.send if rank else dist.recv)(mine, 1 - rank)
dist.barrier()

# A split of the first: who else is in it is not known, so only this rank's piece is written.
second = dist.new_group([0, 1])
whole = here(0, 0, 0, 0)
dist.all_gather_into_tensor(whole, mine, group=second)
assert whole.tolist() == ([0, 0] + own if rank else own + [0, 0])
dist.barrier(group=second)

block = torch.empty(100 * (rank + 1) * MIB, dtype=torch.uint8, device=device)
meet("holding")
assert used(rank) == 500 * MIB + torch.cuda.memory_reserved(rank), "this rank's context and blocks, and nobody else's"
assert torch.cuda.memory_reserved(1 - rank) == 0
meet("seen")
dist.destroy_process_group()
print("done")
"""


def test_two_ranks_run_each_on_its_own_card(tmp_path):
    with ThreadPoolExecutor(2) as threads:
        ranks = threads.map(lambda rank: run(RANK, rank, tmp_path / "store"), range(2))
        assert [out.strip() for out in ranks] == ["done", "done"]


class UniqueId(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_byte * 128)]


@pytest.fixture
def nccl():
    """The library as a client has it that calls it by itself, beside torch."""
    return ctypes.CDLL("libnccl.so.2")


def communicator(nccl, count, rank):
    unique, comm = UniqueId(), ctypes.c_void_p()
    assert nccl.ncclGetUniqueId(ctypes.byref(unique)) == 0
    assert any(unique.bytes)
    nccl.ncclCommInitRank.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, UniqueId, ctypes.c_int]
    assert nccl.ncclCommInitRank(comm, count, unique, rank) == 0
    return comm


def asked(function, comm):
    answer = ctypes.c_int(-1)
    assert function(comm, ctypes.byref(answer)) == 0
    return answer.value


def shape(nccl, comm):
    return [asked(function, comm) for function in (nccl.ncclCommCount, nccl.ncclCommUserRank, nccl.ncclCommCuDevice)]


def test_the_version_is_that_torch_was_built_with(nccl):
    version = ctypes.c_int()
    assert nccl.ncclGetVersion(ctypes.byref(version)) == 0
    assert version.value == int("%d%02d%02d" % torch.cuda.nccl.version())


def test_a_communicator_knows_its_shape(nccl):
    with torch.cuda.device(1):
        torch.cuda.synchronize()
        comm = communicator(nccl, 5, 3)
    assert shape(nccl, comm) == [5, 3, 1]
    assert asked(nccl.ncclCommGetAsyncError, comm) == 0
    smaller = ctypes.c_void_p()
    without = (ctypes.c_int * 2)(1, 4)
    assert nccl.ncclCommShrink(comm, without, 2, ctypes.byref(smaller), None, 0) == 0
    assert shape(nccl, smaller) == [3, 2, 1]
    assert nccl.ncclCommDestroy(smaller) == nccl.ncclCommDestroy(comm) == 0


def test_a_rank_that_cannot_be_is_refused(nccl):
    comm = ctypes.c_void_p()
    communicator(nccl, 1, 0)
    assert nccl.ncclCommInitRank(comm, 2, UniqueId(), 2) == 4
    assert not comm


def test_memory_from_nccl_lies_on_the_current_card_until_it_is_freed(nccl):
    with torch.cuda.device(1):
        torch.cuda.synchronize()
        before = [used(0), used(1)]
        address = ctypes.c_void_p()
        assert nccl.ncclMemAlloc(ctypes.byref(address), ctypes.c_size_t(3 * MIB)) == 0
        assert [used(0), used(1)] == [before[0], before[1] + 4 * MIB]
        comm, window, buffer = communicator(nccl, 1, 0), ctypes.c_void_p(), ctypes.c_void_p()
        assert nccl.ncclCommWindowRegister(comm, address, ctypes.c_size_t(3 * MIB), ctypes.byref(window), 1) == 0
        assert nccl.ncclWinGetUserPtr(comm, window, ctypes.byref(buffer)) == 0
        assert buffer.value == address.value
        assert nccl.ncclCommWindowDeregister(comm, window) == 0
        assert nccl.ncclMemFree(address) == 0
        assert [used(0), used(1)] == before


def test_a_collective_runs_on_its_stream_and_into_a_graph(nccl):
    comm = communicator(nccl, 2, 1)
    send = torch.tensor([1, 2], dtype=torch.int32).to("cuda")
    receive = torch.zeros(4, dtype=torch.int32).to("cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        arguments = map(ctypes.c_void_p, (send.data_ptr(), receive.data_ptr()))
        assert nccl.ncclAllGather(*arguments, ctypes.c_size_t(2), 2, comm, stream) == 0
    assert receive.tolist() == [0, 0, 0, 0]


def test_the_device_side_is_refused(nccl):
    assert nccl.ncclDevCommCreate(None, None, None) == 5
    nccl.ncclGetErrorString.restype = ctypes.c_char_p
    assert nccl.ncclGetErrorString(5) == b"not supported by the virtual GPU's NCCL"
