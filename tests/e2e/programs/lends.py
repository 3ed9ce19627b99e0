"""An owner lends two tensors to a borrower in another process, which gives one of them back.

    lends.py

Each prints its pid, and they wait to be looked at.
"""

import os
import sys

import torch
import torch.multiprocessing as mp

SIZES = [32 << 20, 64 << 20]


def borrow(queue, answers):
    torch.cuda.init()
    lent = [queue.get() for _ in SIZES]  # opened here
    del lent[1]
    torch.cuda.synchronize()
    answers.put(os.getpid())
    queue.get()


def lend(size):
    return torch.empty(size, dtype=torch.uint8, device="cuda")  # lent to another process


def main():
    context = mp.get_context("spawn")
    queue, answers = context.Queue(), context.Queue()
    borrower = context.Process(target=borrow, args=(queue, answers))
    borrower.start()
    lent = [lend(size) for size in SIZES]
    for tensor in lent:
        queue.put(tensor)
    print(os.getpid(), answers.get(timeout=120), flush=True)
    sys.stdin.readline()
    queue.put("end")
    borrower.join(60)


if __name__ == "__main__":
    main()
