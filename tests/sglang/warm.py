"""Runs the server once, untraced, if this checkout never did with these wheels: the first start compiles
kernels, which takes a minute and memory that no later one takes."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

from client import requests  # noqa: E402
from machine import VGPU, passing_machine  # noqa: E402
from server import Server  # noqa: E402

CACHE = pathlib.Path(VGPU, "sglang/cache")


def main():
    wheels = str(pathlib.Path(VGPU, "sglang/venv").resolve())
    mark = CACHE / "warm"
    if mark.exists() and mark.read_text() == wheels:
        return
    print("tests/sglang: the server compiles its kernels, once: about two minutes", file=sys.stderr)
    for model, images in [("qwen2_5_vl", True), ("qwen2", False)]:
        with passing_machine("memtrace-warm-") as machine, Server(machine, model) as server:
            server.wait_until_ready()
            for body in requests(100, images=images):
                server.chat(body)
    mark.write_text(wheels)


if __name__ == "__main__":
    main()
