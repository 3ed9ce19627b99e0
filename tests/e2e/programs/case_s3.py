"""Case S3: two ranks of a trainer send weights to an engine, each in a staging buffer of its own each step,
by CUDA IPC. The engine that copies them keeps the tensor that came; or it drops it.

    case_s3.py keep|drop STEPS

Prints the pids of the ranks and of the engine, and waits to be looked at.
"""

import os
import sys

import gpu_memtrace
import torch
import torch.multiprocessing as mp

STAGING = 32 << 20
RANKS = 2


def engine(keep, steps, queues, answers):
    weights = torch.zeros(STAGING, dtype=torch.uint8, device="cuda")
    kept = []
    for _ in range(steps):
        for queue, answer in zip(queues, answers):
            staged = queue.get()  # opened by the engine
            weights.copy_(staged)
            torch.cuda.synchronize()
            if keep:
                kept.append(staged)
            del staged
            answer.put(os.getpid())
    queues[0].get()


def stage():
    return torch.empty(STAGING, dtype=torch.uint8, device="cuda")  # the staging buffer


def rank(steps, queue, answer, done):
    torch.cuda.init()
    for _ in range(steps):
        with gpu_memtrace.phase("sync weights"):
            buffer = stage()
            queue.put(buffer)
            opener = answer.get(timeout=120)
            del buffer
            torch.cuda.ipc_collect()
    done.put((os.getpid(), opener))
    answer.get()


def main():
    keep, steps = sys.argv[1] == "keep", int(sys.argv[2])
    context = mp.get_context("spawn")
    queues, answers = [[context.Queue() for _ in range(RANKS)] for _ in range(2)]
    done = context.Queue()
    started = [context.Process(target=engine, args=(keep, steps, queues, answers))]
    for pair in zip(queues, answers):
        started.append(context.Process(target=rank, args=(steps, *pair, done)))
    for number, process in enumerate(started):
        os.environ["MEMTRACE_ROLE"] = f"rank {number - 1}" if number else "engine"
        process.start()
    ranks = [done.get(timeout=240) for _ in range(RANKS)]
    print(*sorted(pid for pid, _ in ranks), ranks[0][1], flush=True)
    sys.stdin.readline()
    for queue in [*answers, queues[0]]:
        queue.put("end")
    for process in started:
        process.join(60)


if __name__ == "__main__":
    main()
