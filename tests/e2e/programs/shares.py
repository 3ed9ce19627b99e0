"""A tensor that torch.multiprocessing carries to another process: its memory is there twice, and counts once.

    shares.py legacy | expandable      by cuIpc handles, or by file descriptors of expandable segments

Both processes ask about themselves at each resting point. Prints a line for each.
"""

import gc
import sys

import own
import torch
import torch.multiprocessing as mp

MIB = 1 << 20
SHARED = 64 * MIB


def rest(reserved, imported):
    """What this process holds of its own, and beside it what another's it has open."""
    torch.cuda.synchronize()
    _, process = own.check()
    device = {"reserved_bytes": 0, "imported_bytes": 0}
    for entry in process["devices"]:
        device = entry
    assert torch.cuda.memory_reserved() == reserved, (torch.cuda.memory_reserved(), reserved)
    found = device["reserved_bytes"], device["imported_bytes"]
    assert found == (reserved, imported), (found, reserved, imported)
    return f"reserved {reserved >> 20} MiB, imported {imported >> 20} MiB"


def child(tensors, told, go_on):
    own_block = torch.empty(2 * MIB, dtype=torch.uint8, device="cuda")
    reserved = torch.cuda.memory_reserved()
    told.put(rest(reserved, 0))
    shared = tensors.get()
    told.put(rest(reserved, SEGMENT))
    second = tensors.get()
    # Two tensors of one segment: opened once.
    told.put(rest(reserved, SEGMENT))
    go_on.get()
    del shared, second
    gc.collect()
    torch.cuda.ipc_collect()
    told.put(rest(reserved, 0))
    go_on.get()
    assert own_block.numel() == 2 * MIB


def main():
    context = mp.get_context("spawn")
    tensors, told, go_on = context.Queue(), context.Queue(), context.Queue()
    other = context.Process(target=child, args=(tensors, told, go_on))
    other.start()
    block = torch.empty(SHARED, dtype=torch.uint8, device="cuda")
    reserved = torch.cuda.memory_reserved()
    print("child:", told.get(timeout=100), flush=True)
    tensors.put(block[: SHARED // 2])
    print("child:", told.get(timeout=100), flush=True)
    tensors.put(block[SHARED // 2 :])
    print("child:", told.get(timeout=100), flush=True)
    print("parent:", rest(reserved, 0), flush=True)
    go_on.put("drop it")
    print("child:", told.get(timeout=100), flush=True)
    print("parent:", rest(reserved, 0), flush=True)
    go_on.put("end")
    other.join(100)
    return other.exitcode


# An expandable segment is carried by its pieces, each of 20 MiB.
SEGMENT = {"legacy": SHARED, "expandable": 80 * MIB}[sys.argv[1]]

if __name__ == "__main__":
    sys.exit(main())
