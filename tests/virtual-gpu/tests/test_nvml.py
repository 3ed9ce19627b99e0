"""The management library, as PyTorch and nvidia-ml-py ask it, and the nvidia-smi that reads it."""

import ctypes
import os
import re
import subprocess
from pathlib import Path

os.environ["VGPU_DEVICES"] = "2"

import pytest
import torch

from machine import GIB, MIB, Child

NOT_SUPPORTED = 3

HOLDS_ONE_GIB_OF_THE_SECOND_CARD = """
import sys
import torch

block = torch.empty(1 << 30, dtype=torch.uint8, device="cuda:1")
print(block.numel(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other():
    child = Child(HOLDS_ONE_GIB_OF_THE_SECOND_CARD)
    yield child.process.pid
    child.kill()


@pytest.fixture
def nvml():
    library = ctypes.CDLL("libnvidia-ml.so.1")
    assert library.nvmlInit_v2() == 0
    yield library
    assert library.nvmlShutdown() == 0


def card(nvml, index):
    handle = ctypes.c_void_p()
    assert nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) == 0
    return handle


class Process(ctypes.Structure):
    _fields_ = [("pid", ctypes.c_uint), ("bytes", ctypes.c_ulonglong)]


class ProcessV3(ctypes.Structure):
    _fields_ = [*Process._fields_, ("gpu_instance", ctypes.c_uint), ("compute_instance", ctypes.c_uint)]


@pytest.mark.parametrize("suffix, entry", [("", Process), ("_v2", ProcessV3), ("_v3", ProcessV3)])
def test_processes_are_listed_in_the_callers_form(nvml, other, suffix, entry):
    torch.cuda.synchronize(1)
    list_them = getattr(nvml, "nvmlDeviceGetComputeRunningProcesses" + suffix)
    count, found = ctypes.c_uint(8), (entry * 8)()
    assert list_them(card(nvml, 1), ctypes.byref(count), found) == 0
    held = {process.pid: process.bytes for process in found[: count.value]}
    assert held == {other: GIB + 500 * MIB, os.getpid(): 500 * MIB}


def test_out_of_memory_says_who_else_holds_memory(other):
    with pytest.raises(torch.OutOfMemoryError) as error:
        torch.empty(80 * GIB, dtype=torch.uint8, device="cuda:1")
    assert f"Process {other} has 1.49 GiB memory in use" in str(error.value)


def test_what_is_not_modelled_is_not_supported_and_not_absent(nvml):
    names = Path(__file__).parent.parent.joinpath("nvml/exports.txt").read_text().split()
    assert len(names) > 400
    assert not [name for name in names if not hasattr(nvml, name)]
    version = ctypes.c_uint()
    assert nvml.nvmlDeviceGetNvLinkVersion(card(nvml, 0), 0, ctypes.byref(version)) == NOT_SUPPORTED


class ConfidentialSettings(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint) for name in ("version", "environment", "feature", "tools", "cards")]


def test_what_a_server_asks_at_its_start(nvml):
    settings = ConfidentialSettings(version=1 << 24 | ctypes.sizeof(ConfidentialSettings), feature=7)
    assert nvml.nvmlSystemGetConfComputeSettings(ctypes.byref(settings)) == 0
    assert settings.feature == 0
    nodes = (ctypes.c_ulong * 1)()
    assert nvml.nvmlDeviceGetMemoryAffinity(card(nvml, 0), 1, nodes, 0) == 0
    assert nodes[0] & 1
    status = ctypes.c_uint(9)
    answers = []
    for capability in range(4):
        assert nvml.nvmlDeviceGetP2PStatus(card(nvml, 0), card(nvml, 1), capability, ctypes.byref(status)) == 0
        answers.append(status.value)
    assert answers == [0, 0, 5, 0], "all but NVLink"


def smi(*arguments):
    return subprocess.run(["nvidia-smi", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def asked(*arguments):
    done = smi(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_nvidia_smi_answers_what_launchers_ask(other):
    plain = "--format=csv,noheader,nounits"
    assert asked("--query-gpu=memory.total", plain) == ["81920"] * 2
    assert asked("--query-gpu=compute_cap", "--format=csv,noheader") == ["9.0"] * 2
    assert asked("--id=1", "--query-gpu=index,memory.total", "--format=csv") == [
        "index, memory.total [MiB]",
        "1, 81920 MiB",
    ]
    assert re.fullmatch(r"\d+\.\d+\.\d+", asked("-i", "0", "--query-gpu=driver_version", plain)[0])
    uuids = [f"GPU-{torch.cuda.get_device_properties(index).uuid}" for index in range(2)]
    assert asked("--query-gpu=uuid", plain) == uuids
    torch.cuda.synchronize(0)
    apps = asked("--query-compute-apps=gpu_uuid,pid,used_memory", plain)
    assert f"{uuids[1]}, {other}, {1024 + 500}" in apps
    assert f"{uuids[0]}, {os.getpid()}, 500" in apps


def test_it_sees_the_whole_machine():
    os.environ["CUDA_VISIBLE_DEVICES"] = "1"
    try:
        assert asked("--query-gpu=index", "--format=csv,noheader") == ["0", "1"]
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]


@pytest.mark.parametrize(
    "arguments, unknown",
    [
        (["topo", "-m"], "topo"),
        (["--query-gpu=fan.speed", "--format=csv"], "fan.speed"),
        (["--query-gpu=name", "--format=xml"], "xml"),
        (["--id=2", "--query-gpu=name", "--format=csv"], "2"),
        ([], "query"),
    ],
)
def test_nvidia_smi_says_in_one_line_what_it_does_not_know(arguments, unknown):
    done = smi(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert unknown in done.stderr and done.stderr.count("\n") == 1
