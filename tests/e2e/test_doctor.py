"""`memtrace doctor` says whether tracing works, and where it does not, why and what to do."""

import json
import pathlib
import shutil
import subprocess

import pytest
from conftest import PROGRAMS
from machine import CHECKOUT, MEMTRACE, VGPU

DRIVER = {"LD_LIBRARY_PATH": VGPU}
NAMESPACE = ["unshare", "--mount", "--map-root-user"]
EMPTY_PROGRAM = "int main(void) { return 0; }"


def doctor(machine, *command, prefix=(), **environment):
    """The exit status, and the checks by their names."""
    out = machine.run(*prefix, MEMTRACE, "doctor", "--json", "--", *command, **environment)
    assert out.returncode in (0, 1), out.stderr
    answer = json.loads(out.stdout)
    assert answer["works"] == (out.returncode == 0)
    checks = {}
    for check in answer["checks"]:
        assert (check["advice"] is None) == (check["mark"] == "ok")
        checks.setdefault(check["check"], []).append(check)
    return answer, checks


def only(checks, name):
    (check,) = checks[name]
    return check["mark"], check["says"]


def compiled(machine, *arguments, compiler="gcc", source=EMPTY_PROGRAM):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed here")
    (machine.scratch / "a.c").write_text(source)
    subprocess.run([compiler, machine.scratch / "a.c", "-o", machine.scratch / "a", *arguments], check=True)
    return machine.scratch / "a"


def test_all_is_well_on_the_virtual_gpu(machine):
    answer, checks = doctor(machine, "python3", **DRIVER)
    assert answer["works"] and all(check["mark"] == "ok" for check in answer["checks"]), answer
    assert list(checks) == ["library", "program", "preloads", "folder", "room", "nvml", "driver", "names", "trial"]
    names = answer["names"]
    assert names["hooked"] >= names["found"] > 100 and names["answers"] > 1000
    assert "4.0 MiB taken and given back; the ledger (full) has both" in only(checks, "trial")[1]
    assert list(machine.rings.iterdir()) == [], "the trial leaves nothing behind"


def test_the_text_has_a_line_for_each_check_and_an_outcome(machine):
    out = machine.run(MEMTRACE, "doctor", **DRIVER)
    lines = out.stdout.splitlines()
    assert out.returncode == 0 and lines[-1] == "Tracing works here.", out
    assert [line.split()[0] for line in lines[:-2]] == ["ok"] * 8


def test_without_a_driver_it_says_what_to_install(machine):
    answer, checks = doctor(machine)
    mark, says = only(checks, "driver")
    assert mark == "fails" and says.startswith("libcuda.so.1 cannot be loaded: ")
    assert "trial" not in checks and answer["names"] is None


def test_a_driver_without_a_gpu_is_told_by_its_answer(machine):
    _, checks = doctor(machine, **DRIVER, CUDA_VISIBLE_DEVICES="")
    assert only(checks, "names")[0] == "ok", "names can be asked for without a GPU"
    assert only(checks, "trial") == ("fails", "cuInit answers 100")


def test_a_folder_that_no_process_records_in_fails(machine):
    machine.rings.chmod(0o755)
    _, checks = doctor(machine, **DRIVER)
    mark, says = only(checks, "folder")
    assert mark == "fails" and "open to other users" in says
    assert "mode 700" in checks["folder"][0]["advice"]
    assert (only(checks, "driver")[0], only(checks, "names")[0]) == ("ok", "ok"), "that much can be told at once"
    assert only(checks, "trial") == ("fails", "no process records without the folder")
    assert list(machine.rings.iterdir()) == []


@pytest.mark.parametrize("size, room, trial", [("64m", "warning", "ok"), ("4m", "fails", "fails")])
def test_shared_memory_as_docker_gives_it_and_less(machine, size, room, trial):
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("needs a mount namespace of its own (unshare --mount), which this system refuses")
    mount = f'mount -t tmpfs -o size={size},mode=700 tmpfs {machine.rings} && exec "$@"'
    _, checks = doctor(machine, prefix=[*NAMESPACE, "sh", "-c", mount, "sh"], **DRIVER)
    assert (only(checks, "room")[0], only(checks, "trial")[0]) == (room, trial), checks
    says = only(checks, "trial")[1]
    assert ("the ledger (small) has both" if trial == "ok" else "not recorded: there was no room") in says


def test_a_file_system_without_room_is_not_taken_for_one_without_rights(machine):
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("needs a mount namespace of its own (unshare --mount), which this system refuses")
    fill = f"head -c 16k /dev/zero > {machine.rings}/full"
    mount = f'mount -t tmpfs -o size=16k,mode=700 tmpfs {machine.rings} && {fill} && exec "$@"'
    _, checks = doctor(machine, prefix=[*NAMESPACE, "sh", "-c", mount, "sh"], **DRIVER)
    mark, says = only(checks, "folder")
    assert mark == "fails" and "No space left" in says
    advice = checks["folder"][0]["advice"]
    assert "no room" in advice and "mode" not in advice
    assert only(checks, "names")[0] == "ok"


def test_programs_that_ignore_what_is_preloaded(machine):
    static = compiled(machine, "-static")
    mark, says = only(doctor(machine, static, **DRIVER)[1], "program")
    assert mark == "warning" and "linked statically" in says
    header = bytearray(static.read_bytes()[:64])
    header[4] = 1
    static.write_bytes(header)
    mark, says = only(doctor(machine, static, **DRIVER)[1], "program")
    assert mark == "warning" and "32-bit" in says
    assert only(doctor(machine, "no-such-program", **DRIVER)[1], "program")[0] == "fails"


def test_a_musl_program_is_told_apart(machine):
    program = compiled(machine, compiler="musl-gcc")
    mark, says = only(doctor(machine, program, **DRIVER)[1], "program")
    assert mark == "warning" and "runs on musl" in says
    out = machine.run(program, **machine.preload())
    assert (out.returncode, out.stderr) == (0, ""), "the library does it no harm"


def test_a_program_with_the_sanitizer_s_library_wants_it_first(machine):
    program = compiled(machine, "-fsanitize=address")
    answer, checks = doctor(machine, program, **DRIVER)
    mark, says = only(checks, "preloads")
    assert mark == "fails" and "libasan.so" in says
    out = machine.run(program, **machine.preload())
    assert out.returncode != 0 and "ASan runtime does not come first" in out.stderr, "it is as it says"
    sanitizer = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    first = f"{sanitizer.stdout.strip()}:{machine.preload()['LD_PRELOAD']}"
    assert machine.run(program, LD_PRELOAD=first).returncode == 0, "and its advice helps"
    lenient = {"ASAN_OPTIONS": "verify_asan_link_order=0"}
    assert only(doctor(machine, program, **DRIVER, **lenient)[1], "preloads")[0] == "ok"
    assert machine.run(program, **machine.preload(), **lenient).returncode == 0, "nor does it end it"


def test_what_others_preload_is_told_in_its_order(machine):
    library = compiled(machine, "-shared", "-fPIC", "-ldl", source=(PROGRAMS / "interposer.c").read_text())
    answer, checks = doctor(machine, **DRIVER, LD_PRELOAD=str(library))
    assert only(checks, "preloads") == ("ok", "asked in this order: a (2 of our functions), libmemtrace.so")
    mark, says = only(checks, "names")
    assert mark == "warning" and f"{library} answers before the library to 2 hooked names" in says
    assert only(checks, "trial")[0] == "ok" and answer["works"]
    ours = machine.preload()["LD_PRELOAD"]
    _, checks = doctor(machine, **DRIVER, LD_PRELOAD=f"{ours}:{library}")
    assert only(checks, "preloads")[1] == "asked in this order: libmemtrace.so, a (2 of our functions)"
    assert only(checks, "names")[0] == "ok"


def test_a_neighbour_with_a_dlsym_of_its_own_answers_first_and_is_no_reason_to_fail(machine):
    source = (CHECKOUT / "tests/tests/interposer/c/limiter.c").read_text()
    library = compiled(machine, "-shared", "-fPIC", "-ldl", source=source)
    for preload in (f"{library}", f"{machine.preload()['LD_PRELOAD']}:{library}"):
        answer, checks = doctor(machine, **DRIVER, LD_PRELOAD=preload)
        assert "a (1 of our functions, dlsym among them)" in only(checks, "preloads")[1]
        mark, says = only(checks, "names")
        assert mark == "warning" and f"{library} answers before the library to 1 hooked name" in says
        assert only(checks, "trial")[0] == "ok" and answer["works"], "it hands on, and what it hands on is seen"


def test_a_script_whose_interpreter_is_not_there_fails(machine):
    script = machine.scratch / "script"
    script.write_bytes(b"#!/bin/sh\r\necho\r\n")
    script.chmod(0o755)
    mark, says = only(doctor(machine, script, **DRIVER)[1], "program")
    assert mark == "fails" and says == f"/bin/sh\\r (for {script}) is not there"


def test_a_recorder_that_cannot_be_loaded_fails(machine):
    for part in ("memtrace", "libmemtrace.so", "libmemtrace_core.so"):
        shutil.copy(pathlib.Path(MEMTRACE).with_name(part), machine.scratch)
    core = machine.scratch / "libmemtrace_core.so"
    core.write_bytes(core.read_bytes()[:20_000])
    out = machine.run(machine.scratch / "memtrace", "doctor", **DRIVER)
    assert out.returncode == 1 and f"{core} is damaged" in out.stdout, out


def test_what_cannot_be_preloaded_is_named(machine):
    _, checks = doctor(machine, **DRIVER, LD_PRELOAD="/none/such.so")
    mark, says = only(checks, "preloads")
    assert mark == "warning" and says.startswith("/none/such.so is not there")
    library = compiled(machine, "-shared", "-fPIC", source="int cuMemFree_v2(void *a) { return 1; }")
    for name, told in (("./none.so", "./none.so is not there"), ("a", "a is in none of the loader's folders")):
        mark, says = only(doctor(machine, LD_PRELOAD=name, **DRIVER)[1], "preloads")
        assert mark == "warning" and says.startswith(told), says
    paths = f"{VGPU}:{library.parent}"
    mark, says = only(doctor(machine, LD_PRELOAD="a", LD_LIBRARY_PATH=paths)[1], "preloads")
    assert (mark, says) == ("ok", "asked in this order: a (1 of our functions), libmemtrace.so")
    _, checks = doctor(machine, **DRIVER, MEMTRACE_DISABLE="1")
    assert [check["mark"] for check in checks["environment"]] == ["fails"]
