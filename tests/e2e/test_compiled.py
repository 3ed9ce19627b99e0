"""torch.compile: what its kernels and graphs work on is told as PyTorch tells it."""


def test_blocks_of_compiled_steps_are_what_pytorch_says(machine):
    out = machine.python(
        "compiled.py",
        VGPU_LOG=str(machine.scratch),
        TORCHINDUCTOR_CACHE_DIR=str(machine.scratch / "inductor"),
        TRITON_CACHE_DIR=str(machine.scratch / "triton"),
        **machine.preload(),
        timeout=600,
    )
    assert (out.returncode, out.stdout) == (0, "rests\n" * 6), out.stdout + out.stderr[-6000:]
