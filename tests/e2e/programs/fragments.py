"""Memory that is fragmented by a known amount, and a request that fails of it.

    fragments.py pinned | first | fails

    pinned   a small tensor is taken from each of two segments of 2 GiB while they are free, so that
             neither can serve the requests of 2 GiB that follow
    first    the same tensors, taken before the segments: nothing is fragmented
    fails    as pinned, until a request finds no room although its size is free in all

Prints what PyTorch says of its segments: free bytes in those that hold a live block, and how many
bytes those blocks have; with `fails`, at the moment of the failure.
"""

import sys

import torch

MIB = 1 << 20
SEGMENT = 2048 * MIB
PIN = 2 * MIB
PINS = 2
STEPS = 6


def take(size):
    return torch.empty(size, dtype=torch.uint8, device="cuda")


def stranded():
    segments = [s for s in torch.cuda.memory_snapshot() if s["allocated_size"]]
    free = sum(segment["total_size"] - segment["allocated_size"] for segment in segments)
    return free, sum(segment["allocated_size"] for segment in segments)


def main():
    how = sys.argv[1]
    pins = [take(PIN) for _ in range(PINS)] if how == "first" else []
    segments = [take(SEGMENT) for _ in range(PINS)]
    del segments
    if how != "first":
        rest = []
        for _ in range(PINS):
            pins.append(take(PIN))  # pinned here
            rest.append(take(SEGMENT - PIN))  # or the next pin would lie in the same segment
        del rest
    try:
        for _ in range(STEPS):
            large = take(SEGMENT)
            if how == "fails":
                pins.append(large)
            del large
    except torch.OutOfMemoryError:
        print("out of memory", flush=True)
    print(*stranded(), flush=True)
    sys.stdin.read()  # judged while it lives


if __name__ == "__main__":
    main()
