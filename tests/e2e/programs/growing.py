"""Steps that keep something and give something back, and PyTorch's own word of it at each step's end.

    growing.py STEPS KEPT [wait|kill]    each step keeps a block of KEPT bytes; then it ends, after a
                                         line if it waits, or by SIGKILL

Prints what is held at the end of each step, as memory_snapshot() says. `keep`, `weights` and `scratch`
are the functions that hold memory.
"""

import json
import os
import signal
import sys
import time

import gpu_memtrace
import torch

STEPS, KEPT = int(sys.argv[1]), int(sys.argv[2])


def take(size):
    return torch.empty(size, dtype=torch.uint8, device="cuda")


def keep(number):
    return take(KEPT * (1 + number % 3))


def weights():
    return take(6 << 20)


def scratch():
    return take(3 << 20)


def held():
    """Bytes of the blocks under `tensors`, as the allocator has them."""
    blocks = [block for segment in torch.cuda.memory_snapshot() for block in segment["blocks"]]
    return {block["address"]: block["size"] for block in blocks if block["state"] == "active_allocated"}


model, early = weights(), scratch()
kept, ends = [], []
gpu_memtrace.mark("model loaded")
for number in range(STEPS):
    with gpu_memtrace.phase(f"step {number}"):
        temporary = take(1 << 20)
        kept.append(keep(number))
        if number == STEPS // 2:
            early = None
        if number > 10:
            kept[number - 10] = None
        del temporary
        time.sleep(0.01)
    sizes = held()
    ends.append(
        {
            "allocated": torch.cuda.memory_allocated(),
            "reserved": torch.cuda.memory_reserved(),
            "kept": {n: sizes[t.data_ptr()] for n, t in enumerate(kept) if t is not None},
            "early": sizes[early.data_ptr()] if early is not None else 0,
            "weights": sizes[model.data_ptr()],
        }
    )
print(json.dumps(ends), flush=True)
if "wait" in sys.argv:
    sys.stdin.readline()
if "kill" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
