"""torch_memory_saver in both of its modes: bytes count once; while paused the physical ones are gone and the blocks stay."""

import pytest
from machine import VGPU, saver


@pytest.mark.parametrize("order", ["saver first", "memtrace first", "torch"])
def test_paused_memory_is_gone_from_the_card_and_its_blocks_are_unbacked(machine, order):
    ours = machine.preload()["LD_PRELOAD"]
    libraries = {"saver first": f"{saver()}:{ours}", "memtrace first": f"{ours}:{saver()}", "torch": ours}
    out = machine.python(
        "memory_saver.py",
        "torch" if order == "torch" else "preload",
        LD_PRELOAD=libraries[order],
        LD_LIBRARY_PATH=VGPU,  # the saver's library needs the driver's before Python has begun
        VGPU_LOG=str(machine.scratch),
    )
    assert (out.returncode, out.stdout) == (0, "rests\n" * 8), out.stdout + out.stderr
