"""The demo: an SGLang server under `memtrace run`, a client that sends it texts and images of growing
size, and the report about it."""

import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

from client import requests  # noqa: E402
from machine import MEMTRACE, VGPU, Machine  # noqa: E402
from server import Server  # noqa: E402

REQUESTS = 100


def main():
    with tempfile.TemporaryDirectory(prefix="memtrace-demo-") as scratch:
        machine = Machine(pathlib.Path(scratch))
        try:
            return demo(machine)
        finally:
            machine.close()


def demo(machine):
    trace = machine.scratch / "trace"
    say("memtrace run -- python -m sglang.launch_server …")
    server = Server(
        machine, "qwen2_5_vl", before=[MEMTRACE, "run", "-o", trace, "--"], LD_LIBRARY_PATH=VGPU
    )
    try:
        say(f"the server is ready after {server.wait_until_ready():.0f} s")
        began = time.monotonic()
        for body in requests(REQUESTS):
            server.chat(body)
        say(f"{REQUESTS} requests were answered in {time.monotonic() - began:.0f} s")
        # NVML is asked once a second.
        time.sleep(2)
        server.stop()
    except AssertionError as failed:
        print(failed, file=sys.stderr)
        return 1
    finally:
        server.close()
    return subprocess.run([MEMTRACE, "report", trace]).returncode


def say(sentence):
    print(f"demo: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
