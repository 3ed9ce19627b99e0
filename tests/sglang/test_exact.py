"""Every server process's ledger equals what PyTorch says inside that process."""

import pytest
from client import requests
from truth import compare

# A scheduler that has loaded a model and captured its graphs holds more than this many.
LEAST_BLOCKS = 50


@pytest.mark.parametrize("configuration", ["", "expandable_segments:True"], ids=["default", "expandable"])
def test_the_ledger_of_each_server_process_is_pytorchs(machine, serve, configuration):
    server = serve("qwen2_5_vl", PYTORCH_CUDA_ALLOC_CONF=configuration, **machine.preload())
    (scheduler,) = server.pids_of("scheduler")
    assert compare(machine, server, [scheduler]) >= LEAST_BLOCKS
    kinds = {segment["is_expandable"] for segment in server.probe(scheduler)["snapshot"]}
    assert kinds == {bool(configuration)}
    for body in requests(40):
        server.chat(body)
    # The launcher preprocesses the images; what it held for that is given back to its allocator.
    assert compare(machine, server, server.pids_of("launcher")) >= 1
    assert compare(machine, server, [scheduler]) >= LEAST_BLOCKS
    (detokenizer,) = server.pids_of("detokenizer")
    devices = server.probe(detokenizer)["devices"].values()
    assert all(stats["reserved_bytes.all.peak"] == 0 for stats in devices)
    (process,) = machine.report("-p", detokenizer)["processes"]
    assert process["role"] == "detokenizer" and not process["devices"]
