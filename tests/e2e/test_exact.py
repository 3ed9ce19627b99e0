"""Segments, blocks, sums and lines equal PyTorch's own, at every resting point of random programs."""

import pytest

SEEDS = 20


@pytest.mark.parametrize("configuration", ["", "expandable_segments:True"], ids=["default", "expandable"])
def test_the_report_is_what_pytorch_says(machine, configuration):
    out = machine.python(
        "exact.py",
        SEEDS,
        timeout=900,
        VGPU_DEVICES="2",
        PYTORCH_CUDA_ALLOC_CONF=configuration,
        **machine.preload(),
    )
    assert out.returncode == 0, out.stdout[-6000:] + out.stderr[-3000:]
    assert len([line for line in out.stdout.splitlines() if "rests" in line]) == SEEDS
