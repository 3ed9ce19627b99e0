"""The stream-ordered backend, whose blocks are the driver's own."""


def test_stream_ordered_blocks_are_exact(machine):
    out = machine.python(
        "pool.py", "0", PYTORCH_CUDA_ALLOC_CONF="backend:cudaMallocAsync", **machine.preload()
    )
    assert (out.returncode, out.stdout) == (0, "20 rests\n"), out.stdout + out.stderr
