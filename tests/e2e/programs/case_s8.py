"""Case S8: reserved memory grows for ever beside a small allocated one. Each cycle takes a scratch that is
a little larger than the last one's, and keeps a small tensor behind it in the same segment, which
fences the segment off: the next scratch does not fit in what is free of it.

Prints for each cycle what PyTorch says is reserved and allocated, then the free bytes of segments with a
live block, and waits to be looked at.
"""

import sys

import torch

KIB = 1 << 10
MIB = 1 << 20
BASE = 66 * MIB
CYCLES = 20
SCRATCH = 136 * MIB
# A segment is a multiple of 2 MiB: this much is left behind a scratch, and one fence fills it.
LEFT = 1536 * KIB
FENCE = 1280 * KIB


def take(size):
    return torch.empty(size, dtype=torch.uint8, device="cuda")


def main():
    base = take(BASE)
    fences = []
    for cycle in range(CYCLES):
        scratch = take(SCRATCH + 2 * MIB * cycle + 2 * MIB - LEFT)
        fences.append(take(FENCE))  # the fence
        del scratch
        print(torch.cuda.memory_reserved(), torch.cuda.memory_allocated())
    live = [segment for segment in torch.cuda.memory_snapshot() if segment["allocated_size"]]
    print(sum(segment["total_size"] - segment["allocated_size"] for segment in live), flush=True)
    sys.stdin.read()
    del base, fences


if __name__ == "__main__":
    main()
