"""The module without memtrace: everything may be called, and nothing happens."""

import gpu_memtrace

assert not gpu_memtrace.is_traced()


@gpu_memtrace.phase("update")
def update(number):
    """Twice a number."""
    return 2 * number


with gpu_memtrace.phase("rollout"):
    gpu_memtrace.mark("a\0b")
    assert update(2) == 4 and update.__doc__ == "Twice a number."
    gpu_memtrace.step(1)
    gpu_memtrace.step(2)
try:
    with gpu_memtrace.phase("fails"):
        raise KeyError("goes on")
except KeyError:
    pass
else:
    raise AssertionError("the exception was swallowed")
