"""torch_memory_saver, as engines use it: paused memory is gone from the card and keeps its addresses.

    memory_saver.py preload | torch        how the saver gets between PyTorch and the driver
"""

import os
import sys

import own
import torch
from torch_memory_saver import torch_memory_saver as saver

MIB = 1 << 20
WEIGHTS, POOL, OUTSIDE = 64 * MIB, 128 * MIB, 20 * MIB


def take(size):
    return torch.empty(size, dtype=torch.uint8, device="cuda")


def rest(expected):
    """A resting point: bytes that the card has, what is live, and live without memory behind it."""
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    _, process = own.check()
    (device,) = process["devices"]
    sums = {"reserved": 0, "allocated": 0, "unbacked": 0}
    for allocator in device["allocators"]:
        for name in sums:
            sums[name] += allocator[f"{name}_bytes"]
    assert tuple(sums.values()) == expected, (sums, expected)
    assert device["reserved_bytes"] == expected[0], (device["reserved_bytes"], expected)
    # PyTorch does not know that anything is paused: what it holds is what is live here.
    assert torch.cuda.memory_allocated() == expected[1]
    print("rests", flush=True)
    return device, total - free


def main():
    saver.hook_mode = sys.argv[1]
    outside = take(OUTSIDE)
    with saver.region(tag="weights", enable_cpu_backup=True):
        weights = take(WEIGHTS)
    with saver.region(tag="pool"):
        pool = take(POOL)
    live = OUTSIDE + WEIGHTS + POOL
    addresses = {weights.data_ptr(), pool.data_ptr()}
    _, full = rest((live, live, 0))
    saver.pause("pool")
    device, used = rest((live - POOL, live, POOL))
    assert full - used == POOL
    saver.pause("weights")
    device, used = rest((OUTSIDE, live, WEIGHTS + POOL))
    assert full - used == WEIGHTS + POOL
    unbacked = {int(block["address"], 16) for block in device["unbacked_blocks"]}
    assert unbacked == addresses, (unbacked, addresses)
    for round in range(2):
        saver.resume()
        _, used = rest((live, live, 0))
        assert used == full
        saver.pause()
        rest((OUTSIDE, live, WEIGHTS + POOL))
    saver.resume()
    assert {weights.data_ptr(), pool.data_ptr()} == addresses and outside.numel() == OUTSIDE
    rest((live, live, 0))
    sys.stdout.flush()
    # In torch mode the saver ends the process with status 1 when the interpreter's end frees its pool.
    os._exit(0)


if __name__ == "__main__":
    main()
