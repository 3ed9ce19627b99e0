"""Where things are, and a machine of its own for each test: its virtual GPU, its folder of rings."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import uuid

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
MEMTRACE = os.environ.get("MEMTRACE", str(CHECKOUT / "target/release/memtrace"))
VGPU = str(CHECKOUT / "target/vgpu")
VPYTHON = str(CHECKOUT / "tests/env/vpython")
SUPPORT = pathlib.Path(__file__).resolve().parent


def installed(pattern):
    """What the environment that `vpython` runs has of this name among its packages."""
    venv = pathlib.Path(VGPU, os.environ.get("VPYTHON_ENV", "torch"), "venv")
    (found,) = venv.glob(f"lib/python3*/site-packages/{pattern}")
    return found


def saver():
    """torch_memory_saver's library for preloading."""
    return installed("torch_memory_saver_hook_mode_preload_cu13.abi3.so")


def end_tidily():
    """Lets the signals that end a program from outside run what tidies up, as Ctrl-C does; but for
    those it was started to ignore."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def passing_machine(prefix):
    """A machine for the time of a program, and nothing of it left behind."""
    end_tidily()
    with tempfile.TemporaryDirectory(prefix=prefix) as scratch:
        machine = Machine(pathlib.Path(scratch))
        try:
            yield machine
        finally:
            machine.close()


class Machine:
    """A virtual GPU, a folder of rings and a scratch folder that nobody else uses."""

    def __init__(self, scratch):
        self.name = f"memtrace-test-{uuid.uuid4().hex[:12]}"
        self.scratch = scratch
        self.rings = pathlib.Path("/dev/shm") / f"{self.name}.rings"
        self.rings.mkdir(mode=0o700)
        self.environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MEMTRACE", "VGPU", "PYTORCH", "LD_"))
        }
        self.environment |= {
            "VGPU_NAME": self.name,
            "MEMTRACE_DIR": str(self.rings),
            "MEMTRACE_BIN": MEMTRACE,
            # Servers here are asked on this machine only.
            "no_proxy": "127.0.0.1,localhost",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def preload(self):
        library = subprocess.run([MEMTRACE, "lib"], capture_output=True, text=True, check=True)
        return {"LD_PRELOAD": library.stdout.strip()}

    def start(self, *command, **environment):
        return subprocess.Popen(
            [str(part) for part in command],
            env=self.environment | environment,
            cwd=self.scratch,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command, timeout=300, **environment):
        process = self.start(*command, **environment)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def report(self, *arguments):
        """The report about these arguments, as its JSON."""
        out = self.run(MEMTRACE, "report", *arguments, "--json")
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout)

    def close(self):
        shutil.rmtree(self.rings, ignore_errors=True)
        for left in pathlib.Path("/dev/shm").glob(f"*{self.name}*"):
            left.unlink(missing_ok=True)
