"""NVIDIA's own bindings of the driver: every way to take memory that they give, and back.

At each resting point memtrace's report is held against the driver's own counters (`cuMemGetInfo`,
pool attributes) and against the virtual driver's log.

    driver_bindings.py PART...
"""

import ctypes
import mmap
import os
import sys

import own
from cuda.bindings import driver as cu

MIB = 1 << 20
GRANULE = 2 * MIB


def call(function, *arguments):
    """The results of a call that must succeed."""
    status, *results = function(*arguments)
    assert status == cu.CUresult.CUDA_SUCCESS, (function.__name__, status)
    return results[0] if len(results) == 1 else results


def free_bytes():
    return call(cu.cuMemGetInfo)[0]


def start():
    """Makes the first card's context current; what is free then is what `rest` counts from."""
    global START
    call(cu.cuInit, 0)
    call(cu.cuCtxSetCurrent, call(cu.cuDevicePrimaryCtxRetain, 0))
    START = free_bytes()


def rest(taken):
    """A resting point: memtrace says what the log says, and the card has less by what was taken."""
    _, process = own.check()
    assert START - free_bytes() == taken, (START - free_bytes(), taken)
    print("rests", flush=True)
    return process


def location():
    place = cu.CUmemLocation()
    place.type, place.id = cu.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE, 0
    return place


def linear():
    """`cuMemAlloc` and pitched memory; what is below 1 MiB shares a chunk of the card."""
    large = call(cu.cuMemAlloc, 64 * MIB)
    small = [call(cu.cuMemAlloc, 1000) for _ in range(3)]
    pitched, pitch = call(cu.cuMemAllocPitch, 1000, 4096, 4)
    assert pitch == 1024
    rest(64 * MIB + 2 * MIB + 4 * MIB)
    status, _ = cu.cuMemAlloc(1 << 40)
    assert status == cu.CUresult.CUDA_ERROR_OUT_OF_MEMORY
    for address in [pitched, *small]:
        call(cu.cuMemFree, address)
    # What came without a stream may go in a stream's order.
    call(cu.cuMemFreeAsync, large, 0)
    assert own.held(rest(0)) == {}


def physical(size, usage=0):
    props = cu.CUmemAllocationProp()
    props.type = cu.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    props.location = location()
    props.requestedHandleTypes = cu.CUmemAllocationHandleType.CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
    props.allocFlags.usage = usage
    return call(cu.cuMemCreate, size, props, 0)


def graph_with_memory(size):
    """A graph with a node that allocates so much, that node, and the address there will be."""
    graph = call(cu.cuGraphCreate, 0)
    params = cu.CUDA_MEM_ALLOC_NODE_PARAMS()
    params.poolProps.allocType = cu.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    params.poolProps.location = location()
    params.bytesize = size
    node = call(cu.cuGraphAddMemAllocNode, graph, None, 0, params)
    return graph, node, params.dptr


def virtual():
    """Handles outlive their mappings and mappings their handles; retain and export give references."""
    first, second = physical(8 * GRANULE), physical(4 * GRANULE)
    rest(12 * GRANULE)
    va = call(cu.cuMemAddressReserve, 32 * GRANULE, 0, 0, 0)
    call(cu.cuMemMap, va, 8 * GRANULE, 0, first, 0)
    call(cu.cuMemMap, int(va) + 8 * GRANULE, 4 * GRANULE, 0, second, 0)
    access = cu.CUmemAccessDesc()
    access.location, access.flags = location(), cu.CUmemAccess_flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE
    call(cu.cuMemSetAccess, va, 12 * GRANULE, [access], 1)
    call(cu.cuMemRelease, first)
    rest(12 * GRANULE)
    retained = call(cu.cuMemRetainAllocationHandle, int(va))
    call(cu.cuMemUnmap, va, 8 * GRANULE)
    rest(12 * GRANULE)
    call(cu.cuMemRelease, retained)
    rest(4 * GRANULE)
    kind = cu.CUmemAllocationHandleType.CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
    descriptor = call(cu.cuMemExportToShareableHandle, second, kind, 0)
    # What a process opens of its own is one more reference, also to what it has released.
    opened = call(cu.cuMemImportFromShareableHandle, descriptor, kind)
    for handle in (second, opened):
        call(cu.cuMemRelease, handle)
        rest(4 * GRANULE)
    opened = call(cu.cuMemImportFromShareableHandle, descriptor, kind)
    os.close(descriptor)
    call(cu.cuMemUnmap, int(va) + 8 * GRANULE, 4 * GRANULE)
    rest(4 * GRANULE)
    call(cu.cuMemRelease, opened)
    call(cu.cuMemAddressFree, va, 32 * GRANULE)
    assert own.held(rest(0)) == {}


def pool_counters(pool):
    attributes = cu.CUmemPool_attribute
    wanted = attributes.CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, attributes.CU_MEMPOOL_ATTR_USED_MEM_CURRENT
    return [int(call(cu.cuMemPoolGetAttribute, pool, attribute)) for attribute in wanted]


def pools():
    """The default pool and one of its own: reserved and used are what the driver says they are."""
    props = cu.CUmemPoolProps()
    props.allocType = cu.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    props.location = location()
    pool = call(cu.cuMemPoolCreate, props)
    default = call(cu.cuDeviceGetDefaultMemPool, 0)
    sizes = [3 * MIB, 40 * MIB, 5 * MIB, 512]
    blocks = [call(cu.cuMemAllocFromPoolAsync, size, pool, 0) for size in sizes]
    others = [call(cu.cuMemAllocAsync, size, 0) for size in (6 * MIB, 7 * MIB)]

    def same():
        of = pool_counters(pool), pool_counters(default)
        process = rest(of[0][0] + of[1][0])
        (device,) = process["devices"]
        found = sum(a["reserved_bytes"] for a in device["allocators"]), sum(
            b["size"] for s in device["segments"] for b in s["blocks"]
        )
        assert found == (of[0][0] + of[1][0], of[0][1] + of[1][1]), (found, of)

    same()
    for block in blocks[:2] + others:
        call(cu.cuMemFreeAsync, block, 0)
    same()
    call(cu.cuStreamSynchronize, 0)
    same()
    for block in blocks[2:]:
        call(cu.cuMemFreeAsync, block, 0)
    call(cu.cuMemPoolTrimTo, pool, 0)
    call(cu.cuMemPoolTrimTo, default, 0)
    call(cu.cuMemPoolDestroy, pool)
    assert own.held(rest(0)) == {}


def beside():
    """Managed and pinned memory stand beside what is reserved of the card, never in it."""
    managed = call(cu.cuMemAllocManaged, 32 * MIB, cu.CUmemAttach_flags.CU_MEM_ATTACH_GLOBAL.value)
    pinned = call(cu.cuMemHostAlloc, 3 * MIB, 0)
    plain = call(cu.cuMemAllocHost, 5 * MIB)
    room = mmap.mmap(-1, 2 * MIB)
    registered = ctypes.addressof(ctypes.c_char.from_buffer(room))
    call(cu.cuMemHostRegister, registered, 2 * MIB, 0)
    process = rest(0)
    (device,) = process["devices"]
    assert (device["reserved_bytes"], device["managed_bytes"]) == (0, 32 * MIB)
    assert process["pinned_host_bytes"] == 10 * MIB
    call(cu.cuMemFree, managed)
    for address in pinned, plain:
        call(cu.cuMemFreeHost, address)
    call(cu.cuMemHostUnregister, registered)
    assert own.held(rest(0)) == {}


def leaving():
    """A pool that was destroyed keeps its memory until the last of its blocks is freed."""
    props = cu.CUmemPoolProps()
    props.allocType = cu.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    props.location = location()
    pool = call(cu.cuMemPoolCreate, props)
    first, last = [call(cu.cuMemAllocFromPoolAsync, 24 * MIB, pool, 0) for _ in range(2)]
    rest(64 * MIB)
    call(cu.cuMemPoolDestroy, pool)
    rest(64 * MIB)
    call(cu.cuMemFreeAsync, first, 0)
    rest(64 * MIB)
    call(cu.cuMemFreeAsync, last, 0)
    assert own.held(rest(0)) == {}


def cards():
    """Memory lies on the card of the stream that it is taken in, whichever card's context is current."""
    first, second = call(cu.cuCtxGetCurrent), call(cu.cuDevicePrimaryCtxRetain, 1)
    call(cu.cuCtxSetCurrent, second)
    stream = call(cu.cuStreamCreate, 0)
    call(cu.cuCtxSetCurrent, first)
    block = call(cu.cuMemAllocAsync, 8 * MIB, stream)
    assert own.held(rest(0)) == {(1, "pool"): 32 * MIB}
    call(cu.cuMemFreeAsync, block, stream)
    call(cu.cuMemPoolTrimTo, call(cu.cuDeviceGetDefaultMemPool, 1), 0)
    assert own.held(rest(0)) == {}
    # So does the memory of a graph that is captured there.
    call(cu.cuStreamBeginCapture, stream, cu.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_GLOBAL)
    call(cu.cuMemFreeAsync, call(cu.cuMemAllocAsync, 8 * MIB, stream), stream)
    program = call(cu.cuGraphInstantiate, call(cu.cuStreamEndCapture, stream), 0)
    call(cu.cuGraphLaunch, program, stream)
    assert own.held(rest(0)) == {(1, "graph"): 32 * MIB}


def holds(**expected):
    """A resting point where the log, which names no pieces of a context that ended, tells too little."""
    _, process = own.report("--segments")
    found = {key if key == "pinned" else key[1]: size for key, size in own.held(process).items()}
    assert found == {kind: size * MIB for kind, size in expected.items()}, (found, expected)
    print("rests", flush=True)


def contexts():
    """With a context goes what was taken in it, and no more; with the card's own also what its pools hold."""
    pool = call(cu.cuDeviceGetDefaultMemPool, 0)
    kept = cu.cuuint64_t(1 << 40)
    call(cu.cuMemPoolSetAttribute, pool, cu.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, kept)
    call(cu.cuMemAlloc, 8 * MIB)
    call(cu.cuMemAllocAsync, 40 * MIB, 0)
    handle = physical(4 * GRANULE)
    theirs = call(cu.cuCtxCreate, None, 0, 0)
    call(cu.cuMemAlloc, 16 * MIB)
    call(cu.cuMemAllocManaged, 4 * MIB, cu.CUmemAttach_flags.CU_MEM_ATTACH_GLOBAL.value)
    call(cu.cuMemHostAlloc, 2 * MIB, 0)
    holds(linear=24, pool=64, vmm=8, managed=4, pinned=2)
    before = free_bytes()
    call(cu.cuDevicePrimaryCtxReset, 0)
    holds(linear=16, vmm=8, managed=4, pinned=2)
    assert free_bytes() - before >= (8 + 64) * MIB
    call(cu.cuCtxDestroy, theirs)
    holds(vmm=8)
    call(cu.cuMemRelease, handle)
    holds()
    theirs = call(cu.cuCtxCreate, None, 0, 0)
    call(cu.cuMemAlloc, 16 * MIB)
    # Only the last of its references takes it along.
    call(cu.cuCtxDetach, call(cu.cuCtxAttach, 0))
    holds(linear=16)
    call(cu.cuCtxDetach, theirs)
    holds()


def twice():
    """What is freed once more is refused, and told; what a graph gave may be freed, and is not."""
    address, handle = call(cu.cuMemAlloc, 8 * MIB), physical(4 * GRANULE)
    for function, what in (cu.cuMemFree, address), (cu.cuMemRelease, handle):
        call(function, what)
        assert function(what)[0] == cu.CUresult.CUDA_ERROR_INVALID_VALUE
    process = rest(0)
    events, warnings = process["events"], process["warnings"]
    assert (events["unknown_frees"], events["refused_frees"]) == (2, 2), events
    assert [w for w in warnings if "freed twice" in w and w.endswith("(2 times)")], warnings
    graph, _, address = graph_with_memory(40 * MIB)
    call(cu.cuGraphLaunch, call(cu.cuGraphInstantiate, graph, 0), 0)
    call(cu.cuMemFree, address)
    events = own.report()[1]["events"]
    assert (events["unknown_frees"], events["refused_frees"]) == (3, 2), events


PARTS = {part.__name__: part for part in (linear, virtual, pools, beside, leaving, cards, contexts, twice)}

if __name__ == "__main__":
    start()
    for name in sys.argv[1:]:
        PARTS[name]()
