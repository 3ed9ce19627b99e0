"""numba-cuda: arrays on the card, managed, pinned and mapped ones, and memory that it frees late.

At each resting point memtrace's report is held against numba's own `get_memory_info()` and against the
virtual driver's log. Prints a line for each.
"""

import gc

import numpy
import own
from numba import cuda

MIB = 1 << 20


def take_array(size):
    return cuda.device_array(size, dtype=numpy.uint8)


def rest(process_wide):
    """A resting point: free memory is less by what the report calls reserved; beside it nothing else counts."""
    free, _ = cuda.current_context().get_memory_info()
    told, process = own.check()
    device = process["devices"][0] if process["devices"] else {"reserved_bytes": 0, "managed_bytes": 0}
    found = device["reserved_bytes"], device["managed_bytes"], process["pinned_host_bytes"]
    assert found == process_wide, (found, process_wide)
    assert START - free == process_wide[0], (START - free, process_wide)
    print("rests", flush=True)
    return told, device


def main():
    arrays = list(map(take_array, (2 * MIB, 16 * MIB, 100 * MIB)))
    copied = cuda.to_device(numpy.arange(2 * MIB, dtype=numpy.uint32))
    told, device = rest((126 * MIB, 0, 0))
    sites = [told["sites"][segment["site"]]["frames"] for segment in device["segments"]]
    callers = [[f["function"] for f in frames if f.get("file") == __file__] for frames in sites]
    assert callers.count(["take_array", "main", "<module>"]) == 3, callers
    assert int(copied.copy_to_host()[77]) == 77
    managed = cuda.managed_array(8 * MIB, dtype=numpy.uint8)
    pinned = cuda.pinned_array(3 * MIB, dtype=numpy.uint8)
    mapped = cuda.mapped_array(5 * MIB, dtype=numpy.uint8)
    rest((126 * MIB, 8 * MIB, 8 * MIB))
    # numba keeps what is dropped until there is enough of it, or until it is asked.
    del arrays[1:], managed, pinned, mapped
    gc.collect()
    cuda.current_context().memory_manager.deallocations.clear()
    rest((10 * MIB, 0, 0))
    del arrays, copied
    gc.collect()
    cuda.current_context().memory_manager.deallocations.clear()
    rest((0, 0, 0))


if __name__ == "__main__":
    START, _ = cuda.current_context().get_memory_info()
    main()
