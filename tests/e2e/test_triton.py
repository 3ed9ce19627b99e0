"""Triton: its own way to the driver changes nothing of what is told, and its code is not called anybody's memory."""


def test_a_kernel_costs_its_code_beside_what_pytorch_has_reserved(machine):
    out = machine.python(
        "triton_kernel.py",
        VGPU_LOG=str(machine.scratch),
        VGPU_MODULE_MB="16",
        TRITON_CACHE_DIR=str(machine.scratch / "triton"),
        **machine.preload(),
    )
    assert (out.returncode, out.stdout) == (0, "16\n"), out.stdout + out.stderr
