"""What NVIDIA's Python bindings take from the driver is told by kind and to the byte."""

import pytest

RESTS = {
    "linear": 2,
    "virtual": 8,
    "pools": 4,
    "beside": 2,
    "leaving": 4,
    "cards": 3,
    "contexts": 6,
    "twice": 1,
}


@pytest.mark.parametrize("part", RESTS)
def test_every_way_to_take_memory_is_told_as_the_driver_counts_it(machine, part):
    environment = {"VGPU_LOG": str(machine.scratch), "VGPU_DEVICES": "2"}
    out = machine.python("driver_bindings.py", part, **environment, **machine.preload())
    assert (out.returncode, out.stdout) == (0, "rests\n" * RESTS[part]), out.stdout + out.stderr
