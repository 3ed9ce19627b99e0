"""`--tp 2`: each scheduler's memory is on its own card."""

from client import requests
from truth import compare


def test_each_scheduler_holds_its_own_card(machine, serve):
    server = serve("qwen2", "--tp", "2", VGPU_DEVICES="2", **machine.preload())
    for body in requests(20, images=False):
        server.chat(body)
    schedulers = server.pids_of("scheduler")
    assert len(schedulers) == 2
    assert compare(machine, server, schedulers) >= 100
    report = machine.report()
    processes = {process["pid"]: process for process in report["processes"]}
    for rank, pid in enumerate(schedulers):
        assert processes[pid]["role"].startswith("scheduler")
        (held,) = [device for device in processes[pid]["devices"] if device["reserved_bytes"]]
        assert held["device"] == rank and held["reserved_bytes"] > 60 << 30
    uuids = {device["uuid"] for pid in schedulers for device in processes[pid]["devices"]}
    assert len(uuids) == 2
