"""Device memory without an address of its own: arrays, sparse ones too, multicast objects, graphs, other
interfaces' memory.

Taken through NVIDIA's bindings of the driver; at each resting point memtrace's report is held against the
driver's own counters and the virtual driver's log.

    driver_objects.py PART...
"""

import os
import sys

import own
from cuda.bindings import driver as cu
from driver_bindings import GRANULE, MIB, call, graph_with_memory, physical, rest, start

FLOAT = cu.CUarray_format.CU_AD_FORMAT_FLOAT


def arrays():
    """Flat, solid and mipmapped ones; one that is sparse owns nothing."""
    flat = cu.CUDA_ARRAY_DESCRIPTOR()
    flat.Width, flat.Height, flat.Format, flat.NumChannels = 1024, 1024, FLOAT, 4
    solid = cu.CUDA_ARRAY3D_DESCRIPTOR()
    solid.Width, solid.Height, solid.Depth, solid.Format, solid.NumChannels = 256, 256, 64, FLOAT, 1
    pyramid = cu.CUDA_ARRAY3D_DESCRIPTOR()
    pyramid.Width, pyramid.Height, pyramid.Format, pyramid.NumChannels = 2048, 2048, FLOAT, 2
    first, second = call(cu.cuArrayCreate, flat), call(cu.cuArray3DCreate, solid)
    # Pitches and paddings are the card's own affair: what is counted is what the elements take.
    rest(32 * MIB)
    third = call(cu.cuMipmappedArrayCreate, pyramid, 2)
    rest(32 * MIB + 40 * MIB)
    solid.Flags = cu.CUDA_ARRAY3D_SPARSE
    sparse = call(cu.cuArray3DCreate, solid)
    rest(32 * MIB + 40 * MIB)
    for array in first, second, sparse:
        call(cu.cuArrayDestroy, array)
    call(cu.cuMipmappedArrayDestroy, third)
    assert own.held(rest(0)) == {}


def tiles(granules):
    """Memory for sparse arrays."""
    return physical(granules * GRANULE, cu.CU_MEM_CREATE_USAGE_TILE_POOL)


def region(array, x, memory):
    """A tile of an array that shows this memory, or with 0 none."""
    info = cu.CUarrayMapInfo()
    info.resourceType = cu.CUresourcetype.CU_RESOURCE_TYPE_ARRAY
    info.resource.array = array
    info.subresourceType = cu.CUarraySparseSubresourceType.CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_SPARSE_LEVEL
    level = info.subresource.sparseLevel
    level.offsetX, level.extentWidth, level.extentHeight, level.extentDepth = x, 128, 128, 1
    operations = cu.CUmemOperationType
    info.memOperationType = (
        operations.CU_MEM_OPERATION_TYPE_MAP if memory else operations.CU_MEM_OPERATION_TYPE_UNMAP
    )
    info.memHandleType = cu.CUmemHandleType.CU_MEM_HANDLE_TYPE_GENERIC
    info.memHandle.memHandle = memory
    info.deviceBitMask = 1
    return info


def sparse():
    """What a region of a sparse array shows stays until that shows other memory or none, or the array ends."""
    shape = cu.CUDA_ARRAY3D_DESCRIPTOR()
    shape.Width, shape.Height, shape.Format, shape.NumChannels = 1024, 1024, FLOAT, 1
    shape.Flags = cu.CUDA_ARRAY3D_SPARSE
    array = call(cu.cuArray3DCreate, shape)
    handles = [tiles(granules) for granules in (1, 2, 4)]
    regions = [region(array, 128 * at, handle) for at, handle in enumerate(handles)]
    call(cu.cuMemMapArrayAsync, regions, len(regions), 0)
    for handle in handles:
        call(cu.cuMemRelease, handle)
    rest(7 * GRANULE)
    call(cu.cuMemMapArrayAsync, [region(array, 0, 0)], 1, 0)
    rest(6 * GRANULE)
    other = tiles(8)
    call(cu.cuMemMapArrayAsync, [region(array, 128, other)], 1, 0)
    call(cu.cuMemRelease, other)
    rest(12 * GRANULE)
    call(cu.cuArrayDestroy, array)
    assert own.held(rest(0)) == {}


def multicast():
    """What is bound to a multicast object lives until it is unbound, whatever else is released."""
    props = cu.CUmulticastObjectProp()
    props.numDevices, props.size = 1, 8 * GRANULE
    team = call(cu.cuMulticastCreate, props)
    call(cu.cuMulticastAddDevice, team, 0)
    rest(0)
    bound, mapped = physical(4 * GRANULE), physical(4 * GRANULE)
    va = call(cu.cuMemAddressReserve, 4 * GRANULE, 0, 0, 0)
    call(cu.cuMemMap, va, 4 * GRANULE, 0, mapped, 0)
    call(cu.cuMulticastBindMem, team, 0, bound, 0, 4 * GRANULE, 0)
    # From inside of the mapping on.
    call(cu.cuMulticastBindAddr, team, 4 * GRANULE, int(va) + GRANULE, 2 * GRANULE, 0)
    call(cu.cuMemUnmap, va, 4 * GRANULE)
    for handle in bound, mapped:
        call(cu.cuMemRelease, handle)
    rest(8 * GRANULE)
    call(cu.cuMulticastUnbind, team, 0, 0, 4 * GRANULE)
    rest(4 * GRANULE)
    call(cu.cuMemRelease, team)
    call(cu.cuMemAddressFree, va, 4 * GRANULE)
    assert own.held(rest(0)) == {}


def graph_counters():
    attributes = cu.CUgraphMem_attribute
    wanted = (
        attributes.CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT,
        attributes.CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT,
    )
    return [int(call(cu.cuDeviceGetGraphMemAttribute, 0, attribute)) for attribute in wanted]


def graphs():
    """A graph's memory comes with the launch, and stays with the driver until that trims it."""
    graph, node, address = graph_with_memory(40 * MIB)
    call(cu.cuGraphAddMemFreeNode, graph, [node], 1, address)
    program = call(cu.cuGraphInstantiate, graph, 0)
    rest(0)
    stream = call(cu.cuStreamCreate, 0)
    for _ in range(3):
        call(cu.cuGraphLaunch, program, stream)
        call(cu.cuStreamSynchronize, stream)
        assert graph_counters() == [0, 64 * MIB]
        assert own.held(rest(64 * MIB)) == {(0, "graph"): 64 * MIB}
    call(cu.cuGraphExecDestroy, program)
    call(cu.cuGraphDestroy, graph)
    call(cu.cuDeviceGraphMemTrim, 0)
    assert own.held(rest(0)) == {}


def external():
    """Memory of another interface stands beside what is reserved, once, however often it is seen."""
    descriptor = os.memfd_create("theirs")
    os.ftruncate(descriptor, 32 * MIB)
    wanted = cu.CUDA_EXTERNAL_MEMORY_HANDLE_DESC()
    wanted.type = cu.CUexternalMemoryHandleType.CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD
    wanted.handle.fd, wanted.size = descriptor, 32 * MIB
    memory = call(cu.cuImportExternalMemory, wanted)
    part = cu.CUDA_EXTERNAL_MEMORY_BUFFER_DESC()
    part.offset, part.size = 8 * MIB, 16 * MIB
    views = [call(cu.cuExternalMemoryGetMappedBuffer, memory, part) for _ in range(2)]
    assert own.held(rest(0)) == {(0, "imported"): 32 * MIB}
    for view in views:
        call(cu.cuMemFree, view)
    rest(0)
    call(cu.cuDestroyExternalMemory, memory)
    assert own.held(rest(0)) == {}


PARTS = {part.__name__: part for part in (arrays, sparse, multicast, graphs, external)}

if __name__ == "__main__":
    start()
    for name in sys.argv[1:]:
        PARTS[name]()
