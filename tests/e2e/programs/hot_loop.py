"""Children that allocate as fast as they can, each killed at a moment it does not choose.

    hot_loop.py KILLS      prints "killed PID OPERATIONS" for each

torch is imported once; the children are forked before anything touches CUDA.
"""

import mmap
import os
import random
import signal
import struct
import sys
import threading
import time

import torch

THREADS = 2
# Two slots an operation: from here on the ring of 65,536 slots has wrapped.
WRAPPED = 40_000


def hot_loop(counter):
    def work(seed):
        order = random.Random(seed)
        held = []
        while True:
            held.append(torch.empty(order.choice([512, 4096, 1 << 20, 3 << 20]), dtype=torch.uint8, device="cuda"))
            if len(held) > 200:
                del held[order.randrange(len(held))]
                if order.random() < 0.001:
                    held = held[:20]
                    torch.cuda.empty_cache()
            if seed == 0:
                struct.pack_into("Q", counter, 0, struct.unpack_from("Q", counter)[0] + 1)

    for seed in range(1, THREADS):
        threading.Thread(target=work, args=(seed,), daemon=True).start()
    work(0)


def operations(counter):
    return struct.unpack_from("Q", counter)[0]


def main():
    moments = random.Random(0)
    for kill in range(int(sys.argv[1])):
        counter = mmap.mmap(-1, 8)
        child = os.fork()
        if child == 0:
            hot_loop(counter)
        least = WRAPPED if kill % 2 else 1
        while operations(counter) < least:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print("killed", child, operations(counter), flush=True)


if __name__ == "__main__":
    main()
