"""A kernel that is compiled again for every length it meets: recompiling.py SECONDS PAUSE [same]

Triton keeps each version loaded, and the code of each lies on the card. With `same` there is one length."""

import sys
import time

import torch
import triton
import triton.language as tl


@triton.jit
def scale(values, count: tl.constexpr):
    offsets = tl.arange(0, 1024)
    held = tl.load(values + offsets, mask=offsets < count)
    tl.store(values + offsets, held * 2, mask=offsets < count)


def main(seconds, pause, same):
    values = torch.zeros(1024, device="cuda")
    ends = time.monotonic() + seconds
    length = 1
    while time.monotonic() < ends:
        scale[(1,)](values, length)
        request = torch.empty(64 << 20, dtype=torch.uint8, device="cuda")
        time.sleep(pause)
        del request
        length += not same


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), "same" in sys.argv[3:])
