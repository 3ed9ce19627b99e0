"""What tracing costs an SGLang server: seconds to start and requests per second, untraced and traced
in turns.

On the virtual GPU kernels take no time: there is no GPU time for the host's work to hide behind, so
this is the most that tracing can cost, and more than it costs on a card.
"""

import argparse
import concurrent.futures
import pathlib
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

from client import requests  # noqa: E402
from machine import MEMTRACE, VGPU, passing_machine  # noqa: E402
from server import Server  # noqa: E402

WARM_UP, REQUESTS, CLIENTS = 40, 200, 8
KINDS = ["untraced", "LD_PRELOAD", "memtrace run"]
FIGURES = {"ready": "s", "text": "requests/s", "images": "requests/s"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    rounds = parser.parse_args().rounds
    measured = {kind: [] for kind in KINDS}
    for number in range(rounds):
        # Each kind is first, second and last in turn: what drifts hits all alike.
        for kind in KINDS[number % 3 :] + KINDS[: number % 3]:
            measured[kind].append(measure(kind))
            print(f"round {number + 1} of {rounds}: {kind}: {measured[kind][-1]}", file=sys.stderr)
    table(measured)


def measure(kind):
    """The figures of one server."""
    with passing_machine("memtrace-bench-") as machine:
        traced = {
            "untraced": {},
            "LD_PRELOAD": machine.preload(),
            "memtrace run": {
                "before": [MEMTRACE, "run", "-o", machine.scratch / "trace", "--"],
                "LD_LIBRARY_PATH": VGPU,  # There it finds NVML, as it would on a card.
            },
        }
        with Server(machine, "qwen2_5_vl", **traced[kind]) as server:
            ready = server.wait_until_ready()
            drive(server, WARM_UP, True)
            return {
                "ready": ready,
                "text": REQUESTS / drive(server, REQUESTS, False),
                "images": REQUESTS / drive(server, REQUESTS, True),
            }


def drive(server, count, images):
    """Seconds that `count` requests of several clients take."""
    bodies = list(requests(count, images=images))
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(server.chat, bodies))
    return time.monotonic() - began


def table(measured):
    """Medians, and the median, least and greatest ratio to the untraced server of the same round."""
    print(f"{'':14}" + "".join(f"{name + ', ' + unit:>36}" for name, unit in FIGURES.items()))
    for kind, rows in measured.items():
        line = f"{kind:14}"
        for name in FIGURES:
            figures = [row[name] for row in rows]
            ratios = [a[name] / b[name] for a, b in zip(rows, measured["untraced"])]
            cell = f"{statistics.median(figures):.1f}"
            if kind != "untraced":
                cell += f"  x {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
            line += f"{cell:>36}"
        print(line)


if __name__ == "__main__":
    main()
