"""`memtrace run`: the server answers what it answers untraced, and the report tells who holds what."""

import concurrent.futures

from client import requests
from ledger import files
from machine import MEMTRACE, VGPU

REQUESTS = 60


def answers(server):
    """All requests at once, so that the batches differ from run to run; the answers do not."""
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        return list(clients.map(server.chat, requests(REQUESTS)))


def test_traced_answers_are_the_untraced_and_the_report_tells_who_holds_what(machine, serve):
    home = machine.scratch / "home"
    home.mkdir()
    untraced = serve("qwen2_5_vl", HOME=str(home))
    expected = answers(untraced)
    # Different requests, different answers: what is compared is not one constant.
    assert len(set(expected)) > REQUESTS // 2
    assert {answer[1] for answer in expected} == {"stop", "length"}
    untraced.stop()
    # What the server compiles here is linked with the virtual GPU's runtime: none of it may get to
    # where the user's own servers look.
    assert not list(home.rglob("*.so"))

    trace = machine.scratch / "trace"
    server = serve("qwen2_5_vl", before=[MEMTRACE, "run", "-o", trace, "--"], LD_LIBRARY_PATH=VGPU)
    assert answers(server) == expected
    (scheduler,) = server.pids_of("scheduler")
    stats = server.probe(scheduler)["devices"][0]
    assert server.stop() == 0
    report = machine.report(trace)
    by_role = {process["role"]: process for process in report["processes"]}

    (launcher,) = by_role["tokenizer"]["devices"]
    assert "transformers/image_processing_backends.py" in files(report, launcher["peak"]["sites"][0])
    (held,) = by_role["scheduler"]["devices"]
    (torch,) = held["allocators"]
    assert torch["peak_reserved_bytes"] == stats["reserved_bytes.all.peak"]
    assert "sglang/srt/mem_cache/memory_pool.py" in files(report, held["sites"][0])
    assert "sglang/srt/layers/linear.py" in {file for site in held["sites"] for file in files(report, site)}
    assert torch["graph_pools"]["reserved_bytes"] > 0
    assert not by_role["detokenizer"]["devices"]

