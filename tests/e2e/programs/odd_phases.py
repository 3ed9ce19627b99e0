"""Marks as no program should set them."""

import ctypes
import os
import threading

import gpu_memtrace
import torch

gpu_memtrace.mark("before CUDA: nobody hears it")
block = torch.empty(1 << 20, dtype=torch.uint8, device="cuda")
library = ctypes.CDLL(None)

library.memtrace_phase_begin(b"outer")
library.memtrace_phase_begin(b"never ended")
library.memtrace_phase_end(b"outer")

library.memtrace_phase_end(b"never begun")
library.memtrace_phase_end(b"outer")
torch.cuda.nvtx.range_pop()

gpu_memtrace.mark("a moment")
with gpu_memtrace.phase("n" * (1 << 20)):
    pass
with gpu_memtrace.phase("red \x1b[31m bell \x07 and newline \n"):
    pass
library.memtrace_phase_begin(b"no text \xff\xfe")
library.memtrace_phase_end(b"no text \xff\xfe")
library.memtrace_phase_begin(None)
library.memtrace_phase_end(None)


def work():
    with gpu_memtrace.phase("in a thread"):
        torch.empty(1 << 10, dtype=torch.uint8, device="cuda")


for _ in range(40):
    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

with gpu_memtrace.phase("endless"):
    print(os.getpid(), flush=True)
    os._exit(0)
