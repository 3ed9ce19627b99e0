"""What real libraries ask a real driver for comes back as it should: hooked, or as it was.

Between a library and us stands a witness, which writes its questions and our answers down; without us it writes down
what the driver itself answers.
"""

import pathlib
import re

import pytest
from conftest import DRIVER, LIBRARY, OURS, Answer, Symbols, folders, wrong
from machine import VGPU

# Each library of the tests' environment: its folder there, its file, and a function that makes it look for the driver.
WHEELS = [
    ("cublas", "nvidia/cu13/lib/libcublas.so.13", "cublasCreate_v2"),
    ("cublasLt", "nvidia/cu13/lib/libcublasLt.so.13", "cublasLtCreate"),
    ("cufft", "nvidia/cu13/lib/libcufft.so.12", "cufftPlan1d"),
    ("cusparse", "nvidia/cu13/lib/libcusparse.so.12", "cusparseCreate"),
    ("cusolver", "nvidia/cu13/lib/libcusolver.so.12", "cusolverDnCreate"),
    ("cudnn", "nvidia/cudnn/lib/libcudnn.so.9", "cudnnCreate"),
    ("cusparseLt", "nvidia/cusparselt/lib/libcusparseLt.so.0", "cusparseLtInit"),
    ("nccl", "nvidia/nccl/lib/libnccl.so.2", "ncclCommInitAll"),
]
PACKAGES = next(iter(sorted(pathlib.Path(VGPU, "torch/venv/lib").glob("python3*/site-packages"))), pathlib.Path())
RUNTIMES = [(f"cudart-{folder.name}", next(folder.glob("libcudart.so.*")), "cudaGetDeviceCount") for folder in folders("libcudart")]
CLIENTS = RUNTIMES + [(name, PACKAGES / file, function) for name, file, function in WHEELS]


@pytest.fixture(params=CLIENTS, ids=lambda client: client[0])
def client(request):
    name, path, function = request.param
    if not path.exists():
        pytest.skip(f"{path.name} is not in the tests' environment")
    return request.param


def asked(machine, driver, client, built, preload):
    """What the library asked the driver's file for, and what it was answered."""
    _, path, function = client
    program = built("client.c", machine.scratch / "client")
    witness = built("witness.c", machine.scratch / "witness.so", "-shared", "-fPIC")
    log = machine.scratch / f"{len(preload)}.log"
    libraries = [driver.folder, *sorted({path.parent, PACKAGES / "nvidia/cu13/lib", PACKAGES / "nvidia/cublas/lib"})]
    out = machine.run(
        program,
        path,
        function,
        LD_PRELOAD=":".join(map(str, [witness, *preload])),
        LD_LIBRARY_PATH=":".join(map(str, libraries)),
        WITNESS_LOG=str(log),
    )
    assert out.returncode == 0, out.stderr
    return [Answer.of(line) for line in log.read_text().splitlines()], out.stdout


def test_what_a_library_asks_for(machine, driver, client, built):
    symbols = Symbols(driver)
    bare, said = asked(machine, driver, client, built, [])
    traced, said_too = asked(machine, driver, client, built, [LIBRARY])
    assert said == said_too, "the library answers its program the same"
    assert not list(wrong(symbols, bare, traced))[:10]
    hooked = {answer.name for answer in traced if answer.object == OURS}
    print(f"{len(traced)} questions, {len([a for a in traced if a.object == OURS])} answered with hooks")
    # A library newer than the driver may give up before it asks for memory.
    if driver.name == "virtual" or int(driver.name.split(".")[0]) >= 550:
        assert {name for name in hooked if re.match("cuGetProcAddress|cuMemAlloc", name)}, hooked
