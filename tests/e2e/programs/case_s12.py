"""Case S12: the capture of a CUDA graph fails, and what it took stays in the graph's private pool: no
tensor is left in it, and `empty_cache()` does not give it back.

Prints what PyTorch says is reserved, allocated, and in private pools, and waits to be looked at.
"""

import sys
import time

import torch

SCRATCH = 62 << 20


def take(size):
    return torch.empty(size, dtype=torch.uint8, device="cuda")


def capture(graph):
    with torch.cuda.graph(graph):
        scratch = take(SCRATCH)  # for the graph
        torch.cuda.current_stream().synchronize()  # not allowed while a graph is captured
        del scratch


def main():
    take(1)
    began = time.time_ns()
    graph = torch.cuda.CUDAGraph()
    try:
        capture(graph)
    except Exception as error:
        print(type(error).__name__, file=sys.stderr)
    else:
        raise SystemExit("the capture did not fail")
    torch.cuda.empty_cache()
    pools = [s for s in torch.cuda.memory_snapshot() if tuple(s["segment_pool_id"]) != (0, 0)]
    reserved = sum(segment["total_size"] for segment in pools)
    allocated = sum(segment["allocated_size"] for segment in pools)
    print(began, time.time_ns(), reserved, allocated, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
