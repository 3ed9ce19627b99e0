"""One SGLang server on a virtual GPU: started, asked, stopped, and nothing of it left behind."""

import contextlib
import json
import os
import pathlib
import pickle
import select
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
READY_SECONDS = 300  # a cold start compiles for a minute; the rest is for a busy machine
END_SECONDS = 60
# What the command line of a role's process says.
TITLES = {
    "launcher": " -m sglang.launch_server ",
    "scheduler": "sglang::scheduler",
    "detokenizer": "sglang::detokenizer",
}
# Whatever proxy the environment names.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# How the names of its shared memory begin.
SHARED = ("sglang_", "sgl_", "sem.mp-")


class ServerEnded(Exception):
    """The server is not there, with the end of its log."""


class Server:
    """A server of `model`. `before` stands before its command (`memtrace run …`); environment as given."""

    def __init__(self, machine, model, *options, before=(), **environment):
        self.machine = machine
        self.port = free_port()
        self.probes = machine.scratch / "probes"
        self.probes.mkdir(exist_ok=True)
        self.log = machine.scratch / "server.log"
        command = [*before, HERE / "serve", model, "--host", "127.0.0.1", "--port", self.port, *options]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                env=machine.environment | {"PROBES": str(self.probes)} | environment,
                cwd=machine.scratch,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.watcher = self.process.pid if before else None
        # What has to go in the end: processes, by a handle that no other process can come by, and
        # shared memory by name.
        self.processes, self.shared = {}, set()

    def wait_until_ready(self):
        """Returns the seconds it took since the call, or raises with the end of the server's log."""
        began = time.monotonic()
        while time.monotonic() - began < READY_SECONDS:
            if self.process.poll() is not None:
                raise ServerEnded(f"the server ended with {self.process.returncode}:\n{self.tail()}")
            self.look()
            try:
                self.request("/health", timeout=5)
                return time.monotonic() - began
            except OSError:
                time.sleep(0.2)
        raise ServerEnded(f"the server is not ready after {READY_SECONDS} s:\n{self.tail()}")

    def tail(self):
        return self.log.read_text(errors="replace")[-4000:]

    def request(self, path, body=None, timeout=120):
        """The answer's text to a GET, or to a POST of `body` as JSON."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        try:
            with DIRECTLY.open(request, timeout=timeout) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as refused:
            raise OSError(f"{path} was refused: {refused}: {refused.read(1000).decode()}") from refused

    def chat(self, body):
        """What a request was answered: text, reason to end, counts of tokens."""
        answer = json.loads(self.request("/v1/chat/completions", body))
        (choice,) = answer["choices"]
        counts = answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]
        return choice["message"]["content"], choice["finish_reason"], *counts

    def look(self):
        """Remembers the processes of this server and the shared memory they map; those that live."""
        living = descendants(self.process.pid) | named(self.machine.name)
        for pid in living - self.processes.keys():
            with contextlib.suppress(ProcessLookupError):
                self.processes[pid] = os.pidfd_open(pid)
        for pid in living:
            self.shared |= shared_memory(pid)
        return {pid for pid, handle in self.processes.items() if not has_ended(handle)}

    def pids_of(self, role):
        """Pids of the launcher, the schedulers or the detokenizer, in the order of their titles."""
        self.look()
        found = []
        for pid in descendants(self.process.pid):
            title = read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode().strip()
            if TITLES[role] in title:
                found.append((title, pid))
        return [pid for _, pid in sorted(found)]

    def probe(self, pid):
        """What PyTorch of a process says: `devices` (memory_stats of each) and `snapshot`; and its
        `preload`."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(60)
            asked.connect(str(self.probes / str(pid)))
            with asked.makefile("rb") as answer:
                return pickle.loads(answer.read())

    def stop(self):
        """Ends the server as a user does, and waits for it. Its exit status."""
        self.look()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=120)
        self.close()
        return status

    def kill(self):
        """SIGKILL to every process of the server, and to nobody who watches over it. Returns when all
        are dead."""
        while living := self.look() - {self.watcher}:
            for pid in living:
                self.end(pid)

    def close(self):
        """Nothing that was the server's stays: no process, no shared memory."""
        while living := self.look():
            for pid in living:
                self.end(pid)
        self.process.wait()
        for path in self.shared | named_by(self.processes):
            path.unlink(missing_ok=True)
        for handle in self.processes.values():
            os.close(handle)
        self.processes = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def end(self, pid):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.processes[pid], signal.SIGKILL)
        select.select([self.processes[pid]], [], [], END_SECONDS)


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def processes():
    return [int(folder.name) for folder in pathlib.Path("/proc").glob("[0-9]*")]


def has_ended(handle):
    """Whether the process of a pidfd is dead; who waits for it may not have come yet."""
    return bool(select.select([handle], [], [], 0)[0])


def named(name):
    """Processes with this virtual machine in their environment, children of the dead among them."""
    entry = f"VGPU_NAME={name}\0".encode()
    return {pid for pid in processes() if entry in read(f"/proc/{pid}/environ")}


def descendants(root):
    """The process `root` and all that it or its children started and that live."""
    children = {}
    for pid in processes():
        stat = read(f"/proc/{pid}/stat")
        if stat:
            children.setdefault(int(stat.rpartition(b")")[2].split()[1]), []).append(pid)
    found, ahead = set(), [root]
    while ahead:
        pid = ahead.pop()
        found.add(pid)
        ahead += children.get(pid, [])
    return found


def shared_memory(pid):
    """Files in /dev/shm that a process maps, but for the virtual GPU's and memtrace's. By number: a
    semaphore is mapped under the name it had while it was made."""
    lines = (line.split(None, 5) for line in read(f"/proc/{pid}/maps").decode().splitlines())
    mapped = {int(line[4]) for line in lines if len(line) > 5 and line[5].startswith("/dev/shm/")}
    return {path for path in shared_files() if inode(path) in mapped}


def named_by(pids):
    """What of the shared memory the processes `pids` named by themselves, and may have mapped for a moment only."""
    return {path for path in shared_files() if any(word in map(str, pids) for word in path.name.split("_"))}


def shared_files():
    return [path for prefix in SHARED for path in pathlib.Path("/dev/shm").glob(f"{prefix}*")]


def inode(path):
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def read(path):
    """A file of /proc; empty where the process is gone."""
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""

