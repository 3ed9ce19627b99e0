"""The bench table: what a block event, a driver call and a program start cost, with and without.

Each cell is the least of several rounds, the rounds of all variants taken in turn. Arguments name the
rows to measure: block, driver, start; none for all.
"""

import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time

ROUNDS = 5
WORK = pathlib.Path(sys.argv[1])
VPYTHON = str(pathlib.Path(__file__).resolve().parents[1] / "env/vpython")
LIBRARY = subprocess.run([os.environ["MEMTRACE"], "lib"], capture_output=True, text=True, check=True).stdout.strip()
HANDS_ON = str(WORK / "libhands_on.so")
RINGS = pathlib.Path(os.environ["MEMTRACE_DIR"])
# Levels of the control page (wire/src/control.rs): what is recorded.
FULL, NO_STACKS, NOTHING = 0, 2, 3

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


def nanoseconds(command, preload, level=FULL, **more):
    """What the command prints, with `preload` and a folder of rings whose control page says `level`."""
    environment = dict(os.environ, MEMTRACE_DIR=str(RINGS / "rings"), **more)
    if preload:
        environment["LD_PRELOAD"] = preload
    folder = RINGS / "rings"
    folder.mkdir(mode=0o700)
    (folder / "control").write_bytes(level.to_bytes(8, "little").ljust(4096, b"\0"))
    try:
        out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    finally:
        shutil.rmtree(folder)
    return float(out.stdout)


def block_event(history, preload):
    return nanoseconds([VPYTHON, "-c", BLOCKS, history], preload)


def driver_call(preload, level=FULL, **more):
    return nanoseconds([str(WORK / "driver_call"), "2000"], preload, level, **more) / 2


def program_start(preload, starts=300):
    environment = {"LD_PRELOAD": preload} if preload else {}
    least = 1e9
    for _ in range(starts):
        start = time.perf_counter()
        pid = os.posix_spawn("/bin/true", ["true"], environment)
        os.waitpid(pid, 0)
        least = min(least, time.perf_counter() - start)
    return least * 1e9


BLOCK, DRIVER, START = "block event, stack 30 deep", "hooked driver call that does nothing", "start of /bin/true"
VARIANTS = [
    (BLOCK, "bare", lambda: block_event("", None)),
    (BLOCK, "memtrace", lambda: block_event("", LIBRARY)),
    (BLOCK, "_record_memory_history(stacks='python')", lambda: block_event("python", None)),
    (BLOCK, "_record_memory_history(stacks='all')", lambda: block_event("all", None)),
    (DRIVER, "bare", lambda: driver_call(None)),
    (DRIVER, "a library that hands on", lambda: driver_call(HANDS_ON)),
    (DRIVER, "memtrace, nothing recorded", lambda: driver_call(LIBRARY, NOTHING)),
    (DRIVER, "memtrace, without stacks", lambda: driver_call(LIBRARY, NO_STACKS)),
    (DRIVER, "memtrace, without stacks, ever new addresses", lambda: driver_call(LIBRARY, NO_STACKS, NEW_ADDRESSES="1")),
    (DRIVER, "memtrace", lambda: driver_call(LIBRARY)),
    (START, "bare", lambda: program_start(None)),
    (START, "a library that hands on", lambda: program_start(HANDS_ON)),
    (START, "memtrace", lambda: program_start(LIBRARY)),
]


def main():
    rows = {"block": BLOCK, "driver": DRIVER, "start": START}
    wanted = [rows[name] for name in sys.argv[2:]] or list(rows.values())
    variants = [variant for variant in VARIANTS if variant[0] in wanted]
    least = [float("inf")] * len(variants)
    for _ in range(ROUNDS):
        for i, (_, _, measure) in enumerate(variants):
            least[i] = min(least[i], measure())
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, virtual GPU; least of {ROUNDS} rounds\n")
    print(f"{'what':<38} {'variant':<46} {'ns':>10} {'over bare':>10}")
    bare = 0.0
    for (what, variant, _), value in zip(variants, least):
        if variant == "bare":
            bare = value
        over = "" if variant == "bare" else f"{value - bare:+.0f}"
        print(f"{what if variant == 'bare' else '':<38} {variant:<46} {value:>10.0f} {over:>10}")


if __name__ == "__main__":
    main()
