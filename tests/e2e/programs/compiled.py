"""torch.compile: a function becomes Triton kernels, whose blocks and buffers are PyTorch's as before.

A compiled training step and a compiled step under CUDA graphs; at each resting point memtrace's report is held
against PyTorch's own word.
"""

import gc
import os
import pathlib

import ledger
import own
import torch


def rest():
    torch.cuda.synchronize()
    snapshot = torch.cuda.memory_snapshot()
    _, process = own.check()
    totals = torch.cuda.memory_reserved(), torch.cuda.memory_allocated()
    wrong = ledger.differences(process, 0, snapshot, *totals)
    if wrong:
        raise SystemExit("\n".join(wrong))
    print("rests", flush=True)
    return snapshot


def step(x, weight):
    hidden = torch.nn.functional.gelu(x @ weight) * 2
    return (hidden.softmax(-1) + x).sum()


def train(compiled):
    x = torch.empty(512, 512, device="cuda", requires_grad=True)
    weight = torch.empty(512, 512, device="cuda", requires_grad=True)
    for _ in range(3):
        compiled(x, weight).backward()
    rest()


def main():
    train(torch.compile(step))
    kernels = list(pathlib.Path(os.environ["TRITON_CACHE_DIR"]).rglob("*.cubin"))
    assert kernels, "nothing was compiled"
    gc.collect()
    rest()
    graphs = torch.compile(step, mode="reduce-overhead")
    with torch.no_grad():
        x = torch.empty(1024, 1024, device="cuda")
        for _ in range(4):
            torch.compiler.cudagraph_mark_step_begin()
            graphs(x, x)
            snapshot = rest()
        assert any(segment["segment_pool_id"] != (0, 0) for segment in snapshot), "nothing was captured"


if __name__ == "__main__":
    main()
