"""The gate: what it fails on, and how it says so."""

import json
import xml.etree.ElementTree

import pytest
from conftest import PROGRAMS
from machine import MEMTRACE, VGPU, VPYTHON


@pytest.fixture
def trace(machine):
    """Four servers in a trace, one of which creeps, and the pids by their names."""
    folder = machine.scratch / "trace"
    out = machine.run(MEMTRACE, "run", "-o", folder, "--", VPYTHON, PROGRAMS / "requests.py")
    assert out.returncode == 0, out.stderr
    return folder, dict(line.split() for line in out.stdout.splitlines())


def test_a_trace_is_held_against_rules(machine, trace):
    folder, pids = trace

    def check(*arguments):
        return machine.run(MEMTRACE, "check", folder, *arguments)

    failed = check("--fail-on", "wrong-card,creep:>64MiB", "--junit", "gate.xml", "--github")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert failed.stdout.startswith("1 of 2 rules fails.\nFAILED:     creep:>64MiB: ")
    assert f"(pid {pids['creeping']})" in failed.stdout
    (annotation,) = [line for line in failed.stdout.splitlines() if line.startswith("::")]
    assert "image_processing" in annotation and ",line=" in annotation
    cases = xml.etree.ElementTree.parse(machine.scratch / "gate.xml").getroot().findall(".//testcase")
    assert [(case.get("name"), len(case.findall("failure"))) for case in cases] == [
        ("wrong-card", 0),
        ("creep:>64MiB", 1),
    ]
    assert check("--fail-on", "wrong-card,creep:>100GiB,peak:>70GiB").returncode == 0
    others = [word for name, pid in pids.items() if name != "creeping" for word in ("-p", pid)]
    assert check("--fail-on", "creep", *others).returncode == 0

    outcome = json.loads(check("--fail-on", "peak:>1MB", "--json").stdout)
    assert outcome["verdict"] == "fail"
    (gpu,) = outcome["gpus"]
    by_pid = {str(process["pid"]): process for process in outcome["processes"]}
    report = machine.report(folder)
    peaks = {str(p["pid"]): p["devices"][0]["peak_reserved_bytes"] for p in report["processes"] if p["devices"]}
    # They ran one after the other.
    assert gpu["reserved_bytes"] == max(peaks.values())
    for name in ("creeping", "fixed", "emptied", "leaking"):
        course = by_pid[pids[name]]["reserved"]
        assert course["baseline_bytes"] <= course["peak_bytes"] <= peaks[pids[name]]


SERVER = str(PROGRAMS / "chat_server.py")
# The lines of it that a test must be told.
LINES = {line.strip(): n for n, line in enumerate(open(SERVER).read().splitlines(), 1)}
TAKES = LINES['return torch.empty(size, dtype=torch.uint8, device="cuda")']


@pytest.fixture
def serve(machine):
    """Starts servers of the kinds that are named, and ends them with the test: pid and address."""
    servers = []

    def start(kind, traced=True, **environment):
        environment |= machine.preload() if traced else {}
        servers.append(machine.start(VPYTHON, SERVER, kind, **environment))
        port = servers[-1].stdout.readline().strip()
        assert port, servers[-1].stderr.read()
        return servers[-1].pid, f"http://127.0.0.1:{port}/v1"

    yield start
    for server in servers:
        server.kill()
        server.communicate()


@pytest.fixture
def check(machine):
    def run(url, *arguments):
        return machine.run(MEMTRACE, "check", "--url", url, *arguments, LD_LIBRARY_PATH=VGPU)

    return run


def one_sentence(out):
    """What a command said that could not do what it was asked to."""
    assert out.returncode == 2 and not out.stdout, out.stdout + out.stderr
    sentence, hint = out.stderr.splitlines()
    assert hint.startswith("hint: ")
    return sentence


def test_a_healthy_server_passes_with_texts_and_with_images(serve, check):
    pid, url = serve("healthy")
    for scenario in ("text", "vlm-text", "vlm-images"):
        every = "any,growth:>1MB,frag:>0.9,peak:>1GiB,trend:>0.001MB/req"
        out = check(url, "--scenario", scenario, "--fail-on", every)
        assert out.returncode == 0, out.stdout + out.stderr
        assert out.stdout.startswith(f"All 5 rules hold. {scenario}: 100 requests in 20 waves, 3 of them")
        assert f"chat_server.py, pid {pid}" in out.stdout


def test_a_server_that_keeps_what_requests_take_fails_with_its_line(serve, check):
    pid, url = serve("keeping")
    out = check(url, "--scenario", "text", "--github")
    assert out.returncode == 1, out.stdout + out.stderr
    leak, growth = [line for line in out.stdout.splitlines() if line.startswith("::error ")]
    assert f"{SERVER},line={TAKES},title=memtrace leak::chat_server.py (pid {pid}) keeps" in leak
    assert f"line={TAKES},title=memtrace growth%3A>100MB/100req::" in growth
    assert "14 of 14 waves left something behind" in leak and "in 70 blocks" in leak


def test_a_server_whose_sizes_grow_fails_with_its_line(serve, check):
    pid, url = serve("creeping")
    out = check(url, "--scenario", "text", "--fail-on", "creep,growth:>500MB,trend:>1MB/req", "--json")
    assert out.returncode == 1, out.stdout + out.stderr
    outcome = json.loads(out.stdout)
    failed = {failure["rule"]: failure for failure in outcome["failures"]}
    assert failed.keys() == {"creep", "growth:>500MB", "trend:>1MB/req"}
    for failure in failed.values():
        assert (failure["pids"], failure["file"], failure["line"]) == ([pid], SERVER, TAKES)
    assert failed["creep"]["finding"]["cause"] == "releasable cache"
    (process,) = outcome["processes"]
    # Each of 85 requests takes 8 MiB more than the one before, and nothing goes back.
    assert process["growth_bytes"] == sum((32 + 8 * request) << 20 for request in range(16, 101))
    assert len(process["wave_bytes"]) == 20


def test_a_server_that_takes_too_much_fails_with_its_line(serve, check):
    pid, url = serve("hungry")
    out = check(url, "--scenario", "text", "--fail-on", "leak,peak:>1GiB", "--json")
    assert out.returncode == 1, out.stdout + out.stderr
    (failure,) = json.loads(out.stdout)["failures"]
    assert (failure["pids"], failure["file"], failure["line"]) == ([pid], SERVER, TAKES)
    assert "1.6 GiB were in use on GPU-" in failure["text"]


def test_a_server_that_runs_out_of_memory_fails_though_it_answers_no_more(serve, check):
    pid, url = serve("keeping", VGPU_TOTAL_MB="750")
    out = check(url, "--scenario", "text", "--fail-on", "out-of-memory", "--json")
    assert out.returncode == 1, out.stdout + out.stderr
    outcome = json.loads(out.stdout)
    (failure,) = outcome["failures"]
    assert (failure["pids"], failure["file"], failure["line"]) == ([pid], SERVER, TAKES)
    assert any("came to nothing: " in why for why in outcome["undecided"])


def test_what_cannot_be_judged_is_told_in_a_sentence(serve, check):
    nobody = "http://127.0.0.1:9/v1"
    assert f"{nobody}/models does not answer: " in one_sentence(check(nobody, "--scenario", "text"))
    secret = check("https://127.0.0.1/v1", "--scenario", "text")
    assert "asks for encryption" in one_sentence(secret)
    few = check(nobody, "--scenario", "text", "--requests", "15")
    assert one_sentence(few) == "memtrace: 15 requests are too few to judge by"
    _, untraced = serve("healthy", traced=False)
    out = check(untraced, "--scenario", "text")
    assert "no process that used CUDA under memtrace runs" in one_sentence(out)
    # Another process is traced, but not this server.
    serve("healthy")
    out = check(untraced, "--scenario", "text", "--requests", "16")
    assert out.returncode == 2, out.stdout + out.stderr
    assert "no process under memtrace took or gave back memory" in " ".join(out.stdout.split())


def test_a_server_that_refuses_is_not_judged(serve, check):
    _, url = serve("failing")
    out = check(url, "--scenario", "text")
    assert out.returncode == 2, out.stdout + out.stderr
    text = " ".join(out.stdout.split())
    assert "5 of the 5 requests of wave 7 came to nothing: " in text and "no more today" in text
    assert "leak: of 16 waves that tell a leak 6 went well" in text
