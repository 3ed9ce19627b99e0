"""Case S7: NCCL takes 1.06 GB when it starts and 3.28 GB more at the first all-to-all, in blocks of
10,485,760 and of 2,097,152 bytes, by functions that it finds itself.

Prints the bytes it has in blocks of each size before and after that, and waits to be looked at.
"""

import ctypes
import sys
import time

import torch

LARGE, SMALL = 10_485_760, 2_097_152


def take(nccl, sizes):
    address = ctypes.c_void_p()
    for size in sizes:
        if nccl.ncclMemAlloc(ctypes.byref(address), ctypes.c_size_t(size)):
            raise SystemExit("no memory from NCCL")


def start(nccl):
    take(nccl, [LARGE] * 96 + [SMALL] * 26)


def all_to_all(nccl):
    take(nccl, [LARGE] * 296 + [SMALL] * 84)  # the first collective


def main():
    tensor = torch.empty(64 << 20, dtype=torch.uint8, device="cuda")
    driver = ctypes.CDLL("libcuda.so.1")
    if driver.cuMemAlloc_v2(ctypes.byref(ctypes.c_uint64()), ctypes.c_size_t(6 << 20)):
        raise SystemExit("no memory from the driver")
    nccl = ctypes.CDLL("libnccl.so.2")
    start(nccl)
    print(96 * LARGE, 26 * SMALL, flush=True)
    time.sleep(2)  # a pause, so that it is another burst
    all_to_all(nccl)
    print(392 * LARGE, 110 * SMALL, flush=True)
    sys.stdin.read()
    del tensor


if __name__ == "__main__":
    main()
