"""For a program that asks about itself: memtrace's report of it, from outside as a user would ask, and
what the virtual driver's own log says it holds."""

import json
import os
import pathlib
import subprocess

import call_logs


def report(*options):
    """The report, and this process in it."""
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    command = [os.environ["MEMTRACE_BIN"], "report", "-p", str(os.getpid()), "--json", *options]
    out = subprocess.run(command, env=environment, capture_output=True, text=True)
    if out.returncode != 0:
        raise SystemExit(f"memtrace report failed: {out.stderr}")
    told = json.loads(out.stdout)
    (process,) = [p for p in told["processes"] if p["pid"] == os.getpid()]
    return told, process


def held(process):
    """What a report says a process holds: bytes of each kind on each of its cards, and pinned host memory."""
    kinds = {"pinned": process["pinned_host_bytes"]}
    for device in process["devices"]:
        of_card = device["by_kind"] | {"imported": device["imported_bytes"], "managed": device["managed_bytes"]}
        kinds |= {(device["device"], kind): size for kind, size in of_card.items()}
    return {key: size for key, size in kinds.items() if size}


def check():
    """One resting point: the report's bytes of each kind are the driver's, and no event was lost. Gives the
    report and this process in it."""
    told, process = report("--segments")
    log = pathlib.Path(os.environ["VGPU_LOG"], f"calls.{os.getpid()}.log")
    expected = call_logs.held(log)
    found = held(process)
    if found != expected:
        raise SystemExit(f"memtrace says {found}, the driver {expected}")
    events = process["events"]
    if events["dropped"] or events["live_overflow"] or events["in_flight"]:
        raise SystemExit(f"events were lost: {events}")
    return told, process
