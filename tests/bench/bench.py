"""The bench table: what a block event, a driver call and a program start cost, with and without.

Each cell is the least of several rounds, the rounds of all variants taken in turn.
"""

import os
import pathlib
import platform
import subprocess
import sys
import time

ROUNDS = 5
WORK = pathlib.Path(sys.argv[1])
VPYTHON = str(pathlib.Path(__file__).resolve().parents[1] / "env/vpython")
LIBRARY = subprocess.run([os.environ["MEMTRACE"], "lib"], capture_output=True, text=True, check=True).stdout.strip()

BLOCKS = """
import sys, time, torch
history = sys.argv[1]
if history:
    torch.cuda.memory._record_memory_history(stacks=history)
def events(n):
    for _ in range(n):
        torch.empty(4096, dtype=torch.uint8, device="cuda")
def deep(frames, n):
    return events(n) if frames == 0 else deep(frames - 1, n)
deep(28, 2000)
least = 1e9
for _ in range(10):
    start = time.perf_counter()
    deep(28, 5000)
    least = min(least, (time.perf_counter() - start) / 10000)
print(least * 1e9)
"""


def nanoseconds(command, preload):
    environment = dict(os.environ)
    if preload:
        environment["LD_PRELOAD"] = LIBRARY
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(out.stdout)


def block_event(history, preload):
    return nanoseconds([VPYTHON, "-c", BLOCKS, history], preload)


def driver_call(preload):
    return nanoseconds([str(WORK / "driver_call"), "50000"], preload) / 2


def program_start(preload, starts=300):
    environment = {"LD_PRELOAD": LIBRARY} if preload else {}
    least = 1e9
    for _ in range(starts):
        start = time.perf_counter()
        pid = os.posix_spawn("/bin/true", ["true"], environment)
        os.waitpid(pid, 0)
        least = min(least, time.perf_counter() - start)
    return least * 1e9


VARIANTS = [
    ("block event, stack 30 deep", "bare", lambda: block_event("", False)),
    ("", "memtrace", lambda: block_event("", True)),
    ("", "_record_memory_history(stacks='python')", lambda: block_event("python", False)),
    ("", "_record_memory_history(stacks='all')", lambda: block_event("all", False)),
    ("hooked driver call that does nothing", "bare", lambda: driver_call(False)),
    ("", "memtrace", lambda: driver_call(True)),
    ("start of /bin/true", "bare", lambda: program_start(False)),
    ("", "memtrace", lambda: program_start(True)),
]


def main():
    least = [float("inf")] * len(VARIANTS)
    for _ in range(ROUNDS):
        for i, (_, _, measure) in enumerate(VARIANTS):
            least[i] = min(least[i], measure())
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, virtual GPU; least of {ROUNDS} rounds\n")
    print(f"{'what':<38} {'variant':<42} {'ns':>10} {'over bare':>10}")
    bare = 0.0
    for (what, variant, _), value in zip(VARIANTS, least):
        if variant == "bare":
            bare = value
        over = "" if variant == "bare" else f"{value - bare:+.0f}"
        print(f"{what:<38} {variant:<42} {value:>10.0f} {over:>10}")


if __name__ == "__main__":
    main()
