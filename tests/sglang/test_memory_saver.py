"""A server that sleeps: what it released is gone while its blocks live, and back after it woke up."""

import call_logs
from client import requests
from ledger import ours, theirs
from truth import at_rest, compare


def test_released_memory_is_unbacked_until_it_is_resumed(machine, serve):
    logs = machine.scratch / "logs"
    logs.mkdir()
    server = serve("qwen2", "--enable-memory-saver", VGPU_LOG=str(logs), **machine.preload())
    (pid,) = server.pids_of("scheduler")
    # SGLang puts its library before ours, and keeps ours.
    first, second = server.probe(pid)["preload"].split(":")
    assert "torch_memory_saver_hook_mode_preload" in first and second.endswith("/libmemtrace.so")

    def look():
        """What the scheduler has reserved, and what is unbacked, after blocks and bytes were compared."""
        process, answer = at_rest(machine, server, pid)
        (device,) = process["devices"]
        assert ours(process, 0)[1].keys() == theirs(answer["snapshot"])[0][1].keys()
        assert device["reserved_bytes"] == call_logs.physical(logs / f"calls.{pid}.log", 0)
        (torch,) = device["allocators"]
        return device["reserved_bytes"], torch["unbacked_bytes"]

    for body in requests(10, images=False):
        server.chat(body)
    awake, none = look()
    assert awake > 60 << 30 and none == 0
    server.request("/release_memory_occupation", {})
    asleep, unbacked = look()
    assert asleep < awake // 10 and unbacked > 60 << 30
    server.request("/resume_memory_occupation", {})
    resumed, none = look()
    assert resumed > 60 << 30 and none == 0
    for body in requests(10, seed=1, images=False):
        server.chat(body)
    assert compare(machine, server, [pid]) >= 50
