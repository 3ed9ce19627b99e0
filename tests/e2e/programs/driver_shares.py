"""Memory for another process by every way that NVIDIA's bindings have: old handles, descriptors, pools.

The owner starts the importer; both ask about themselves at each resting point. The owner frees one piece
while the importer has it open, which keeps it on the card.
"""

import ctypes
import os
import subprocess
import sys

import own
from cuda.bindings import driver as cu
from driver_bindings import GRANULE, MIB, call, free_bytes, location, physical, start

FD = cu.CUmemAllocationHandleType.CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
LINEAR, HANDLE, BLOCK = 64 * MIB, 12 * GRANULE, 8 * MIB


def rest(**expected):
    """A resting point: what the report tells of this process is what is expected, and what the log says."""
    _, process = own.check()
    found = {kind: size for (_, kind), size in own.held(process).items()}
    assert found == expected, (found, expected)
    (device,) = process["devices"]
    return device


def text(handle):
    """The 64 bytes of a handle, for a command line."""
    return ctypes.string_at(handle.getPtr(), 64).hex()


def read(handle, text):
    ctypes.memmove(handle.getPtr(), bytes.fromhex(text), 64)
    return handle


def owner():
    linear = call(cu.cuMemAlloc, LINEAR)
    old = call(cu.cuIpcGetMemHandle, linear)
    handle = physical(HANDLE)
    descriptor = call(cu.cuMemExportToShareableHandle, handle, FD, 0)
    props = cu.CUmemPoolProps()
    props.allocType, props.handleTypes = cu.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED, FD
    props.location = location()
    pool = call(cu.cuMemPoolCreate, props)
    block = call(cu.cuMemAllocFromPoolAsync, BLOCK, pool, 0)
    of_pool = call(cu.cuMemPoolExportToShareableHandle, pool, FD, 0)
    pointer = call(cu.cuMemPoolExportPointer, block)
    rest(linear=LINEAR, vmm=HANDLE, pool=32 * MIB)
    shared = text(old), str(descriptor), str(of_pool), text(pointer)
    importer = subprocess.Popen(
        [sys.executable, __file__, *shared],
        pass_fds=[descriptor, of_pool],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def heard(word):
        line = importer.stdout.readline()
        assert line == f"{word}\n", line
        print("importer:", word, flush=True)

    def say():
        importer.stdin.write("go on\n")
        importer.stdin.flush()

    heard("open")
    device = rest(linear=LINEAR, vmm=HANDLE, pool=32 * MIB)
    opened = {export["bytes"]: [o["by"]["pid"] for o in export["opened_by"]] for export in device["exports"]}
    # The pool as a whole has no opener: what is opened are blocks of it.
    assert opened == {size: [importer.pid] for size in (LINEAR, HANDLE, BLOCK)} | {32 * MIB: []}, opened
    (by,) = [o for export in device["exports"] if export["bytes"] == HANDLE for o in export["opened_by"]]
    assert (by["bytes"], by["pieces"], by["opens"], by["closes"]) == (HANDLE, 2, 2, 0), by
    before = free_bytes()
    call(cu.cuMemFree, linear)
    assert free_bytes() == before, "open elsewhere"
    device = rest(vmm=HANDLE, pool=32 * MIB)
    assert sum(export["given_back_bytes"] for export in device["exports"]) == LINEAR
    say()
    heard("closed")
    assert free_bytes() == before + LINEAR
    device = rest(vmm=HANDLE, pool=32 * MIB)
    assert not any(o["bytes"] for export in device["exports"] for o in export["opened_by"])
    say()
    assert importer.wait(60) == 0
    call(cu.cuMemFreeAsync, block, 0)
    call(cu.cuMemPoolDestroy, pool)
    call(cu.cuMemRelease, handle)
    print("ends", flush=True)


def importer(old, descriptor, of_pool, pointer):
    kept = call(cu.cuMemAlloc, 2 * MIB)
    theirs = read(cu.CUipcMemHandle(), old)
    linear = call(cu.cuIpcOpenMemHandle, theirs, 1)
    # Opened twice: one address, and one memory.
    assert int(call(cu.cuIpcOpenMemHandle, theirs, 1)) == int(linear)
    # Opened twice by a descriptor each: two handles, and one memory as well.
    descriptors = int(descriptor), os.dup(int(descriptor))
    handle, other = [call(cu.cuMemImportFromShareableHandle, each, FD) for each in descriptors]
    assert int(other) != int(handle)
    va, beside = [call(cu.cuMemAddressReserve, HANDLE, 0, 0, 0) for _ in range(2)]
    call(cu.cuMemMap, va, HANDLE, 0, handle, 0)
    call(cu.cuMemMap, beside, HANDLE, 0, other, 0)
    pool = call(cu.cuMemPoolImportFromShareableHandle, int(of_pool), FD, 0)
    data = read(cu.CUmemPoolPtrExportData(), pointer)
    block = call(cu.cuMemPoolImportPointer, pool, data)
    device = rest(linear=2 * MIB, imported=LINEAR + HANDLE + BLOCK)
    told = {i["bytes"]: (i["from"] or {}).get("pid") for i in device["imports"]}
    assert told == {size: os.getppid() for size in (LINEAR, HANDLE, BLOCK)}, told
    (twice,) = [i for i in device["imports"] if i["bytes"] == HANDLE]
    assert (twice["pieces"], twice["opens"], twice["closes"]) == (2, 2, 0), twice
    again = call(cu.cuMemRetainAllocationHandle, int(va))
    call(cu.cuMemRelease, handle)
    call(cu.cuIpcCloseMemHandle, linear)
    rest(linear=2 * MIB, imported=LINEAR + HANDLE + BLOCK)
    print("open", flush=True)
    sys.stdin.readline()
    call(cu.cuIpcCloseMemHandle, linear)
    call(cu.cuMemFreeAsync, block, 0)
    call(cu.cuMemUnmap, va, HANDLE)
    rest(linear=2 * MIB, imported=HANDLE)
    call(cu.cuMemRelease, again)
    # The other handle is left.
    (left,) = rest(linear=2 * MIB, imported=HANDLE)["imports"]
    assert (left["bytes"], left["pieces"]) == (HANDLE, 1), left
    call(cu.cuMemUnmap, beside, HANDLE)
    call(cu.cuMemRelease, other)
    rest(linear=2 * MIB)
    print("closed", flush=True)
    sys.stdin.readline()
    call(cu.cuMemFree, kept)


if __name__ == "__main__":
    start()
    importer(*sys.argv[1:]) if sys.argv[1:] else owner()
