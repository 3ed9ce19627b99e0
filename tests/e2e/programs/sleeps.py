"""A server that sleeps: it has weights and a KV pool, and gives back both, one of them, or neither.

    sleeps.py all | pool-kept | weights-kept | cache-kept

    all            everything lies in regions of torch_memory_saver, which a sleep pauses
    pool-kept      the KV pool is taken outside of them, and stays
    weights-kept   the weights stay on purpose, and the pool, which is larger, goes
    cache-kept     the pool's tensor is dropped, and stays in PyTorch's allocator

Prints a line when it sleeps, and ends when it is told to.
"""

import contextlib
import sys

import torch
from gpu_memtrace import phase
from torch_memory_saver import torch_memory_saver

MIB = 1 << 20
WEIGHTS = 256 * MIB
LARGE_WEIGHTS = 1536 * MIB
POOL = 4096 * MIB


def take(size):
    return torch.empty(size, dtype=torch.uint8, device="cuda")


def paused(tag):
    return torch_memory_saver.region(tag=tag)


def main():
    how = sys.argv[1]
    regions = {"weights": paused, "pool": paused}
    if how == "pool-kept":
        regions["pool"] = contextlib.nullcontext
    if how == "weights-kept":
        regions["weights"] = contextlib.nullcontext
    if how == "cache-kept":
        regions["pool"] = contextlib.nullcontext
    with regions["weights"]("weights"):
        weights = take(LARGE_WEIGHTS if how == "weights-kept" else WEIGHTS)
    with regions["pool"]("pool"):
        pool = take(POOL)  # the KV pool
    with phase("release_memory_occupation"):
        if how == "cache-kept":
            del pool
        torch_memory_saver.pause()
    print("asleep", flush=True)
    sys.stdin.readline()
    torch_memory_saver.resume()
    print("awake", flush=True)
    sys.stdin.readline()
    del weights


if __name__ == "__main__":
    main()
