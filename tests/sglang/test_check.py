"""The gate drives the server: it passes as it is, and fails where it keeps what requests bring."""

import json

import pytest
from machine import MEMTRACE, VGPU


@pytest.fixture
def check(machine, serve):
    """The outcome of driving a server, and the server."""

    def run(*arguments, **environment):
        server = serve("qwen2_5_vl", **machine.preload(), **environment)
        url = f"http://127.0.0.1:{server.port}/v1"
        out = machine.run(MEMTRACE, "check", "--url", url, *arguments, "--json", LD_LIBRARY_PATH=VGPU)
        assert out.stdout, out.stderr
        return out.returncode, json.loads(out.stdout), server

    return run


def test_the_server_as_it_is_passes_while_its_caches_fill(check):
    status, outcome, server = check("--scenario", "vlm-images", "--fail-on", "any", "--preset", "images")
    assert status == 0, (outcome["failures"], outcome["undecided"])
    assert outcome["scenario"]["requests"] == 100
    courses = {process["name"]: process for process in outcome["processes"]}
    assert {"tokenizer", "scheduler"} <= courses.keys()
    (scheduler,) = server.pids_of("scheduler")
    assert courses["scheduler"]["pid"] == scheduler
    # Its prefix cache keeps a tensor for each request, and that is said.
    caches = [suspect["finding"]["cause"] for suspect in outcome["suspects"]]
    assert "known cache" in caches


def test_a_server_that_keeps_pixel_values_fails_with_process_and_line(check):
    status, outcome, server = check("--scenario", "vlm-images", KEEP_PIXEL_VALUES="1")
    assert status == 1, outcome
    leaks = [failure for failure in outcome["failures"] if failure["rule"] == "leak"]
    assert leaks, outcome["failures"]
    for leak in leaks:
        assert leak["pids"] == server.pids_of("scheduler")
        assert leak["file"].endswith("/sglang/srt/managers/mm_schedule.py") and leak["line"]
        assert "_move_items_to_device" in leak["text"]
