"""Other people's allocators, sanitizers and C libraries: with them preloaded, linked or below, nothing changes."""

import pathlib
import shutil
import subprocess

import pytest
from conftest import PROGRAMS
from machine import VGPU

ALLOCATORS = {"jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc_minimal.so.4"}
FOLDERS = [pathlib.Path("/usr/lib/x86_64-linux-gnu"), pathlib.Path("/usr/lib64"), pathlib.Path("/usr/local/lib")]


@pytest.mark.parametrize("order", ["before memtrace", "after memtrace"])
@pytest.mark.parametrize("name", ALLOCATORS)
def test_with_another_malloc_the_report_is_what_pytorch_says(machine, name, order):
    allocator = next((folder / ALLOCATORS[name] for folder in FOLDERS if (folder / ALLOCATORS[name]).exists()), None)
    if allocator is None:
        pytest.skip(f"{ALLOCATORS[name]} is not installed here")
    ours = machine.preload()["LD_PRELOAD"]
    preload = f"{allocator}:{ours}" if order == "before memtrace" else f"{ours}:{allocator}"
    out = machine.python("exact.py", 1, LD_PRELOAD=preload)
    assert out.returncode == 0, out.stdout[-6000:] + out.stderr[-3000:]
    assert out.stdout.count("rests") == 1


def compiled(machine, source, compiler, *arguments):
    program = machine.scratch / source.removesuffix(".c")
    command = [*compiler, "-o", program, PROGRAMS / source, *arguments]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode != 0:
        pytest.skip(f"{' '.join(compiler)} cannot build here: {built.stderr.strip().splitlines()[0]}")
    return program


def test_a_program_with_asan_linked_in_is_traced_and_its_errors_are_found(machine):
    program = compiled(
        machine,
        "sanitized.c",
        ["gcc", "-g", "-fsanitize=address", "-static-libasan"],
        f"{VGPU}/libcuda.so.1",
        f"-Wl,-rpath,{VGPU}",
    )
    for arguments in ([], ["wrong"]):
        bare = machine.run(program, *arguments)
        traced = machine.run(program, *arguments, **machine.preload())
        assert (traced.returncode, traced.stdout) == (bare.returncode, bare.stdout) == (bool(arguments), "0\n")
        for run in (bare, traced):
            assert ("heap-buffer-overflow" in run.stderr) == bool(arguments), run.stderr
    held = [device for process in machine.report()["processes"] for device in process["devices"]]
    assert [device["by_kind"]["linear"] for device in held] == [5 << 20] * 2


def test_a_program_of_musl_runs_as_without_the_library(machine):
    if shutil.which("musl-gcc") is None:
        pytest.skip("musl-gcc is not installed here")
    program = compiled(machine, "small.c", ["musl-gcc"])
    bare = machine.run(program)
    assert (bare.returncode, bare.stdout) == (7, "1 0 0\n" * 2)
    traced = machine.run(program, **machine.preload())
    assert (traced.returncode, traced.stdout, traced.stderr) == (7, bare.stdout, bare.stderr)
    # Its exec goes through the library too.
    followed = machine.run(program, MEMTRACE_FOLLOW="all", **machine.preload())
    assert (followed.returncode, followed.stdout, followed.stderr) == (7, bare.stdout, bare.stderr)
