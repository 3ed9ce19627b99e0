"""PyTorch's memory pools: segments of their own inside the same allocator, and an allocator of their own.

    memory_pools.py plain                  pools of PyTorch's allocator
    memory_pools.py pluggable LIBRARY      a pool whose segments come from a library of one's own
"""

import gc
import sys

import ledger
import own
import torch

MIB = 1 << 20


def take(size):
    return torch.empty(size, dtype=torch.uint8, device="cuda")


def rest():
    """A resting point: the report says what PyTorch says, and what the driver's log says."""
    torch.cuda.synchronize()
    snapshot = torch.cuda.memory_snapshot()
    told, process = own.check()
    totals = torch.cuda.memory_reserved(), torch.cuda.memory_allocated()
    wrong = ledger.differences(process, 0, snapshot, *totals)
    if wrong:
        raise SystemExit("\n".join(wrong))
    print("rests", flush=True)
    return told, process


def plain():
    outside = take(40 * MIB)
    first, second = torch.cuda.MemPool(), torch.cuda.MemPool()
    with torch.cuda.use_mem_pool(first):
        kept = [take(size * MIB) for size in (1, 8, 40)]
        dropped = take(25 * MIB)
    with torch.cuda.use_mem_pool(second):
        others = [take(3 * MIB), take(700)]
    rest()
    del dropped, others[0]
    rest()
    reserved = torch.cuda.memory_reserved()
    of_pool = sum(segment["total_size"] for segment in first.snapshot())
    assert of_pool and of_pool < reserved
    # A pool's free segments come back with the pool only.
    del kept
    gc.collect()
    torch.cuda.empty_cache()
    rest()
    del first, second, others
    gc.collect()
    torch.cuda.empty_cache()
    rest()
    assert torch.cuda.memory_reserved() == outside.numel()


def pluggable():
    library = torch.cuda.memory.CUDAPluggableAllocator(sys.argv[2], "take", "give")
    pool = torch.cuda.MemPool(library.allocator())
    outside = take(40 * MIB)
    with torch.cuda.use_mem_pool(pool):
        inside = [take(size * MIB) for size in (4, 64)]
    told, process = rest()
    (device,) = process["devices"]
    (segment,) = [s for s in device["segments"] if int(s["address"], 16) == inside[1].data_ptr()]
    modules = [frame.get("module", "") for frame in told["sites"][segment["site"]]["frames"]]
    assert any(module.endswith("/pluggable.so") for module in modules), modules
    del inside
    gc.collect()
    rest()
    del pool
    gc.collect()
    torch.cuda.empty_cache()
    rest()
    assert torch.cuda.memory_reserved() == outside.numel()


if __name__ == "__main__":
    {"plain": plain, "pluggable": pluggable}[sys.argv[1]]()
