"""A server that sleeps: it has weights and a KV pool, and gives back both, one of them, or neither.

    sleeps.py all | pool-kept | weights-kept | cache-kept | pool-lent

    all            everything lies in regions of torch_memory_saver, which a sleep pauses
    pool-kept      the KV pool is taken outside of them, and stays
    weights-kept   the weights stay on purpose, and the pool, which is larger, goes
    pool-lent      the pool is dropped, and another process has it open: it stays
    cache-kept     the pool's tensor is dropped, and stays in PyTorch's allocator

Prints a line when it sleeps, and ends when it is told to.
"""

import contextlib
import os
import sys

import torch
import torch.multiprocessing as mp
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


def borrow(queue, answers):
    lent = queue.get()
    answers.put((os.getpid(), lent.numel()))
    queue.get()


def lend(pool):
    """Another process that has the pool open, and how to end it."""
    context = mp.get_context("spawn")
    queue, answers = context.Queue(), context.Queue()
    borrower = context.Process(target=borrow, args=(queue, answers))
    borrower.start()
    queue.put(pool)
    pid, size = answers.get(timeout=120)
    assert size == POOL
    print("lent to", pid, file=sys.stderr, flush=True)

    def end():
        queue.put("end")
        borrower.join(60)

    return end


def main():
    how = sys.argv[1]
    regions = {"weights": paused, "pool": paused}
    if how in ("pool-kept", "pool-lent"):
        regions["pool"] = contextlib.nullcontext
    if how == "weights-kept":
        regions["weights"] = contextlib.nullcontext
    if how == "cache-kept":
        regions["pool"] = contextlib.nullcontext
    with regions["weights"]("weights"):
        weights = take(LARGE_WEIGHTS if how == "weights-kept" else WEIGHTS)
    with regions["pool"]("pool"):
        pool = take(POOL)  # the KV pool
    end = lend(pool) if how == "pool-lent" else lambda: None
    with phase("release_memory_occupation"):
        if how in ("cache-kept", "pool-lent"):
            del pool
        if how == "pool-lent":
            torch.cuda.empty_cache()
        torch_memory_saver.pause()
    print("asleep", flush=True)
    sys.stdin.readline()
    torch_memory_saver.resume()
    print("awake", flush=True)
    sys.stdin.readline()
    end()
    del weights


if __name__ == "__main__":
    main()
