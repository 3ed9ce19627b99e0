"""A card too small: the scheduler dies of it, SGLang kills the tree, and the report explains it afterwards."""

import pytest
from ledger import files
from machine import MEMTRACE
from server import ServerEnded

# Less than the weights need beside the context.
CARD_MB = 850


@pytest.mark.parametrize("collected", [False, True], ids=["preload", "run"])
def test_the_report_explains_a_card_that_was_too_small(machine, serve, collected):
    trace = machine.scratch / "trace"
    how = {"before": [MEMTRACE, "run", "-o", trace, "--"]} if collected else machine.preload()
    server = serve("qwen2_5_vl", ready=False, VGPU_TOTAL_MB=str(CARD_MB), **how)
    with pytest.raises(ServerEnded, match="the server ended"):
        server.wait_until_ready()
    assert "torch.OutOfMemoryError" in server.log.read_text(errors="replace")
    report = machine.report(*[trace] if collected else [])
    (scheduler,) = [process for process in report["processes"] if process["role"] == "scheduler"]
    # SGLang kills the tree. How a process died that nobody waited for only newer kernels tell.
    assert scheduler["state"] in (["killed"] if collected else ["killed", "ended"])
    assert not server.look()
    (device,) = scheduler["devices"]
    (failure,) = device["ooms"]
    assert any("sglang/srt/" in file for file in files(report, failure))
    assert failure["requested_bytes"] > failure["device_free_bytes"]
    text = machine.run(MEMTRACE, "report", *[trace] if collected else []).stdout
    assert text.startswith("NO MEMORY:  scheduler ")
