"""A Triton kernel: its code costs the card what no call shows, its scratch memory is whatever one gives it.

Prints what the card holds more once the kernel was loaded, in MiB.
"""

import own
import torch
import triton
import triton.language as tl

MIB = 1 << 20
SCRATCH = []


@triton.jit
def double(source, target, rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    first = tl.make_tensor_descriptor(source, [rows, columns], [columns, 1], [ROWS, COLUMNS])
    second = tl.make_tensor_descriptor(target, [rows, columns], [columns, 1], [ROWS, COLUMNS])
    at = tl.program_id(0) * ROWS
    second.store([at, 0], first.load([at, 0]) * 2)


def scratch(size, alignment, stream):
    """Triton asks for the room of its descriptors here."""
    SCRATCH.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
    return SCRATCH[-1]


def rest():
    """What the report and NVML say of this process: reserved by PyTorch, and all."""
    torch.cuda.synchronize()
    _, process = own.check()
    (device,) = process["devices"]
    assert device["reserved_bytes"] == torch.cuda.memory_reserved()
    blocks = {int(b["address"], 16): b["size"] for s in device["segments"] for b in s["blocks"]}
    assert sum(blocks.values()) == torch.cuda.memory_allocated()
    return device, blocks


def main():
    triton.set_allocator(scratch)
    source = torch.empty(1024, 64, device="cuda")
    target = torch.empty_like(source)
    before, _ = rest()
    for _ in range(3):
        double[(8,)](source, target, 1024, 64, 128, 64)
    after, blocks = rest()
    assert len(SCRATCH) == 3, "nothing was launched"
    assert {block.data_ptr() for block in SCRATCH} <= set(blocks)
    assert after["reserved_bytes"] == before["reserved_bytes"]
    print((after["nvml_bytes"] - before["nvml_bytes"]) // MIB)


if __name__ == "__main__":
    main()
