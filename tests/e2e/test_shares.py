"""CUDA tensors carried between processes: the importer's bytes stand beside what it has reserved, never inside."""

import pytest


@pytest.mark.parametrize("kind", ["legacy", "expandable"])
def test_imported_memory_stands_beside_what_is_reserved(machine, kind):
    out = machine.python(
        "shares.py",
        kind,
        PYTORCH_CUDA_ALLOC_CONF=f"expandable_segments:{kind == 'expandable'}",
        VGPU_LOG=str(machine.scratch),
        **machine.preload(),
    )
    # The 64 MiB that are shared, and what PyTorch takes for them.
    reserved = 64 if kind == "legacy" else 80
    expected = [
        "child: reserved 20 MiB, imported 0 MiB",
        f"child: reserved 20 MiB, imported {reserved} MiB",
        f"child: reserved 20 MiB, imported {reserved} MiB",
        f"parent: reserved {reserved} MiB, imported 0 MiB",
        "child: reserved 20 MiB, imported 0 MiB",
        f"parent: reserved {reserved} MiB, imported 0 MiB",
    ]
    assert (out.returncode, out.stdout.splitlines()) == (0, expected), out.stdout + out.stderr
