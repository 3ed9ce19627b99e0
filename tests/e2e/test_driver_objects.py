"""Device memory that has no address of its own is told by kind and to the byte."""

import pytest

RESTS = {"arrays": 4, "sparse": 4, "multicast": 4, "graphs": 5, "external": 3}


@pytest.mark.parametrize("part", RESTS)
def test_memory_without_an_address_is_told_as_the_driver_counts_it(machine, part):
    out = machine.python("driver_objects.py", part, VGPU_LOG=str(machine.scratch), **machine.preload())
    assert (out.returncode, out.stdout) == (0, "rests\n" * RESTS[part]), out.stdout + out.stderr
