"""Real drivers and real clients of theirs, and what a look-up of theirs answered: with the library and without."""

import os
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

from machine import MEMTRACE, VGPU, Machine  # noqa: E402

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "memtrace/drivers"
LIBRARY = subprocess.run([MEMTRACE, "lib"], capture_output=True, text=True, check=True).stdout.strip()
OURS = pathlib.Path(LIBRARY).name
DRIVER = "libcuda.so.1"


def by_version(folder):
    return [int(part) for part in folder.name.split(".")]


def folders(kind):
    return sorted((CACHE / kind).glob("*"), key=by_version)


class Driver(NamedTuple):
    name: str
    folder: pathlib.Path


DRIVERS = [Driver("virtual", pathlib.Path(VGPU))] + [Driver(f.name, f) for f in folders("libcuda")]


class Answer(NamedTuple):
    """Who was asked for what, and where the answer lies."""

    way: str
    name: str
    version: int
    flags: int
    object: str
    offset: int

    @classmethod
    def of(cls, line):
        way, name, version, flags, where, offset = line.split()
        return cls(way, name, int(version), int(flags), where, int(offset))

    @property
    def question(self):
        return self[:4]


def functions(path):
    """The functions that a library gives to others, and how far each lies from its beginning."""
    out = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True)
    lines = (line.split() for line in out.stdout.splitlines())
    return {name.split("@")[0]: int(offset, 16) for offset, kind, name in lines if kind in "TtWwi"}


# Its exported names are those of the hook table: interposer/check holds it to that.
HOOKED = {name for name in functions(LIBRARY) if name.startswith("cu")}


class Symbols:
    """The names that a driver gives to the places in its file."""

    def __init__(self, driver):
        self.all = {n: o for n, o in functions(driver.folder / DRIVER).items() if n.startswith("cu")}
        self.known = set(self.all.values())
        self._hooked = {(base(name), offset) for name, offset in self.all.items() if name in HOOKED}

    def is_hooked(self, answer):
        """Whether what the driver answered itself is a function that the library hooks. Two functions may be one."""
        if answer.object != DRIVER:
            return False
        if answer.way in ("linked", "dlsym"):
            return answer.name in HOOKED
        return (answer.name, answer.offset) in self._hooked


def base(symbol):
    """What `cuGetProcAddress` knows a symbol by."""
    return re.sub(r"(_v\d+)?(_pt[sd][sz]?)?$", "", symbol)


def wrong(symbols, bare, traced):
    """Answers that are not what they should be: hooks for what is hooked, and for all else what it was."""
    assert [answer.question for answer in bare] == [answer.question for answer in traced], "the same was asked"
    for without, with_us in zip(bare, traced):
        if symbols.is_hooked(without):
            is_right = with_us.object == OURS
        else:
            is_right = with_us == without
        if not is_right:
            yield without, with_us


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
def driver(request):
    if not (request.param.folder / DRIVER).exists():
        pytest.skip(f"{request.param.folder / DRIVER} is not there")
    return request.param


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Compiles a program or library of the folder `c`."""

    def build(source, output, *arguments):
        subprocess.run(["cc", "-O1", HERE / "c" / source, "-o", output, *arguments, "-ldl"], check=True)
        return output

    return build
