"""PyTorch's memory pools: what lies in them is told as PyTorch tells it, whoever gives them their segments."""

import subprocess

import pytest
from conftest import PROGRAMS


@pytest.mark.parametrize("configuration", ["", "expandable_segments:True"], ids=["default", "expandable"])
def test_what_lies_in_pools_is_what_pytorch_says(machine, configuration):
    out = machine.python(
        "memory_pools.py",
        "plain",
        PYTORCH_CUDA_ALLOC_CONF=configuration,
        VGPU_LOG=str(machine.scratch),
        **machine.preload(),
    )
    assert (out.returncode, out.stdout) == (0, "rests\n" * 4), out.stdout + out.stderr


def test_segments_of_a_pool_with_an_allocator_of_its_own_count_once_and_name_it(machine):
    library = machine.scratch / "pluggable.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, PROGRAMS / "pluggable.c"], check=True)
    out = machine.python(
        "memory_pools.py", "pluggable", library, VGPU_LOG=str(machine.scratch), **machine.preload()
    )
    assert (out.returncode, out.stdout) == (0, "rests\n" * 3), out.stdout + out.stderr
