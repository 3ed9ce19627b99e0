"""SIGKILL for the whole tree in the middle of requests, with nobody watching."""

import http.client
import threading

import call_logs
from client import requests
from ledger import held

# Threads of a process that allocate at once. A call under way at the kill may be in one log and not
# yet in the other.
THREADS = 2


def test_the_report_about_a_killed_server_is_what_others_wrote_down(machine, serve):
    logs = machine.scratch / "logs"
    logs.mkdir()
    preload = f"{call_logs.build_c10_log(machine.scratch)}:{machine.preload()['LD_PRELOAD']}"
    server = serve("qwen2_5_vl", LD_PRELOAD=preload, VGPU_LOG=str(logs), C10_LOG=str(logs))
    (launcher,), (scheduler,) = server.pids_of("launcher"), server.pids_of("scheduler")
    answered = threading.Semaphore(0)
    clients = [threading.Thread(target=ask, args=(server, seed, answered)) for seed in range(4)]
    for client in clients:
        client.start()
    for _ in range(40):
        assert answered.acquire(timeout=120)
    # The report while it serves has the same processes.
    roles = {process["pid"]: process["role"] for process in machine.report()["processes"]}
    assert (roles[launcher], roles[scheduler]) == ("tokenizer", "scheduler")
    assert all(client.is_alive() for client in clients)
    server.kill()
    for client in clients:
        client.join()
    for pid, role, least in [(launcher, "tokenizer", 1), (scheduler, "scheduler", 50)]:
        (process,) = machine.report("-p", pid, "--segments")["processes"]
        assert process["role"] == role and process["state"] in ("killed", "ended")
        segments, blocks = held(process)
        true_segments = call_logs.linear(logs / f"calls.{pid}.log")
        true_blocks, _ = call_logs.blocks(logs / f"blocks.{pid}")
        assert len(segments ^ true_segments) <= THREADS, (role, segments ^ true_segments)
        assert len(blocks ^ true_blocks) <= THREADS, (role, blocks ^ true_blocks)
        # What both agree on is not nothing.
        assert segments & true_segments and len(blocks & true_blocks) >= least


def ask(server, seed, answered):
    """Sends requests until the server is gone."""
    try:
        for body in requests(400, seed):
            server.chat(body)
            answered.release()
    except (OSError, http.client.HTTPException):
        pass
