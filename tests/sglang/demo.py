"""The demo: an SGLang server under `memtrace run`, a client that sends it texts and images of growing
size, and the report about it."""

import argparse
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

from client import requests  # noqa: E402
from machine import MEMTRACE, VGPU, passing_machine  # noqa: E402
from server import Server, ServerEnded  # noqa: E402

REQUESTS = 100
# Where the trace of the last demo lies.
TRACE = pathlib.Path(VGPU, "sglang/demo-trace")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=pathlib.Path, metavar="DIR", default=TRACE)
    trace = parser.parse_args().output
    if trace == TRACE:  # A folder that somebody named is theirs: `memtrace run` refuses one that is full.
        shutil.rmtree(trace, ignore_errors=True)
    try:
        with passing_machine("memtrace-demo-") as machine:
            serve(machine, trace)
        status = subprocess.run([MEMTRACE, "report", trace]).returncode
        say(f"memtrace report {trace} --json tells everything")
        return status
    except (ServerEnded, OSError) as failed:
        say(failed)
        return 1
    except KeyboardInterrupt:
        say("interrupted; the server is gone, and all that it left")
        return 130


def serve(machine, trace):
    """A server under `memtrace run`, from its start to its end."""
    say("memtrace run -- python -m sglang.launch_server …")
    before = [MEMTRACE, "run", "-o", trace, "--"]
    with Server(machine, "qwen2_5_vl", before=before, LD_LIBRARY_PATH=VGPU) as server:
        say(f"the server is ready after {server.wait_until_ready():.0f} s")
        began = time.monotonic()
        for body in requests(REQUESTS):
            server.chat(body)
        say(f"{REQUESTS} requests were answered in {time.monotonic() - began:.0f} s")
        # NVML is asked once a second.
        time.sleep(2)
        server.stop()


def say(sentence):
    print(f"demo: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
