"""What the wheels import from CUDA and NCCL is there, and under its version where it has one."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

LIBRARIES = [
    *Path(torch.__file__).parent.joinpath("lib").glob("*.so"),
    *Path(torch.__file__).parent.glob("*.so"),
]


def symbols(library, *options):
    """(kind, name@version) of each dynamic symbol."""
    out = subprocess.run(["nm", "-D", *options, library], stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in out.splitlines():
        *_, kind, name = line.split()
        yield kind, name.replace("@@", "@")


def imported(belongs):
    return {name for library in LIBRARIES for _, name in symbols(library, "--undefined-only") if belongs(name)}


def loaded(start):
    """The library whose name starts so that this process runs on."""
    paths = {line.split()[-1] for line in open("/proc/self/maps") if f"/{start}" in line}
    assert len(paths) == 1, f"{start}: {paths}"
    return paths.pop()


def of(soname):
    return lambda name: name.endswith("@" + soname)


def of_nccl(name):
    """NCCL's names have no version."""
    return name.startswith("nccl")


# Stubs are weak. cudart's answer "not supported", so none of them may be imported.
@pytest.mark.parametrize(
    "soname, belongs, kinds",
    [
        ("libcudart.so.13", of("libcudart.so.13"), "T"),
        ("libcublas.so.13", of("libcublas.so.13"), "TW"),
        ("libcublasLt.so.13", of("libcublasLt.so.13"), "TW"),
        ("libnccl.so.2", of_nccl, "TW"),
    ],
)
def test_every_import_is_answered(soname, belongs, kinds):
    path = loaded(soname)
    assert os.path.realpath(path) == os.path.realpath(Path(os.environ["LD_LIBRARY_PATH"].split(":")[0]) / soname)
    wanted = imported(belongs)
    answered = {name for kind, name in symbols(path, "--defined-only") if kind in kinds}
    assert wanted, "nothing is imported under this version: is this the library torch was built for?"
    assert not wanted - answered


def test_torchvision_brings_no_other_runtime():
    import torchvision.io

    assert torchvision.io.decode_jpeg, "its library that NVIDIA's runtime is bundled with is loaded"
    assert loaded("libcudart.") == loaded("libcudart.so.13")
