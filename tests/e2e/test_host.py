"""The traced job does what it does untraced: output, exceptions, exit codes."""

import shutil
import signal

import pytest
from conftest import PROGRAMS
from machine import MEMTRACE, VPYTHON

COMMANDS = {
    "true": ["true"],
    "false": ["false"],
    "bash": ["bash", "-c", "echo $((6 * 7)); ls /dev/null | cat; exit 3"],
    "gcc": ["bash", "-c", "echo 'int main(void){return 5;}' > a.c && gcc a.c -o a && ./a"],
    "node": ["node", "-e", "console.log(1 + 1); process.exit(4)"],
    "git": ["git", "--version"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_programs_without_cuda_do_not_notice(machine, name):
    command = COMMANDS[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed here")
    bare, traced = machine.run(*command), machine.run(*command, **machine.preload())
    assert (traced.returncode, traced.stdout, traced.stderr) == (bare.returncode, bare.stdout, bare.stderr)
    assert list(machine.rings.iterdir()) == [], "a program without CUDA leaves nothing behind"


@pytest.mark.parametrize("configuration", ["", "expandable_segments:True", "backend:cudaMallocAsync"])
def test_a_pytorch_job_does_not_notice(machine, configuration):
    environment = {"PYTORCH_CUDA_ALLOC_CONF": configuration}
    bare = machine.python("job.py", **environment)
    traced = machine.python("job.py", **environment, **machine.preload())
    assert bare.returncode == 1 and "and out" in bare.stderr
    assert (traced.returncode, traced.stdout, traced.stderr) == (bare.returncode, bare.stdout, bare.stderr)


def test_run_gives_the_exit_status_of_its_child(machine):
    trace = machine.scratch / "trace"
    assert machine.run(MEMTRACE, "run", "-o", trace, "--", "bash", "-c", "exit 7").returncode == 7
    killed = machine.run(MEMTRACE, "run", "-o", machine.scratch / "b", "--", "bash", "-c", "kill -TERM $$")
    assert killed.returncode == 128 + signal.SIGTERM
    missing = machine.run(MEMTRACE, "run", "-o", machine.scratch / "c", "--", "no-such-command")
    assert missing.returncode == 127 and len(missing.stderr.strip().splitlines()) <= 2
    (machine.scratch / "plain.txt").write_text("text")
    unfit = machine.run(MEMTRACE, "run", "-o", machine.scratch / "d", "--", machine.scratch / "plain.txt")
    assert unfit.returncode == 126


def test_run_forwards_signals(machine):
    program = "import signal, sys; signal.signal(signal.SIGTERM, lambda *a: sys.exit(9)); print('up', flush=True); signal.pause()"
    process = machine.start(MEMTRACE, "run", "-o", machine.scratch / "trace", "--", "python3", "-c", program)
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 9


def test_a_tracer_without_its_library_runs_the_job_untraced(machine):
    alone = machine.scratch / "memtrace"
    shutil.copy(MEMTRACE, alone)
    trace = machine.scratch / "trace"
    out = machine.run(alone, "run", "-o", trace, "--", VPYTHON, PROGRAMS / "job.py")
    bare = machine.python("job.py")
    assert (out.returncode, out.stdout) == (bare.returncode, bare.stdout)
    assert "libmemtrace.so" in out.stderr
