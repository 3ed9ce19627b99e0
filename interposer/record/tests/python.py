"""Makes events from all kinds of Python frames, and writes what the interpreter says they are.

Called with the probe library and the file to write. A line for each frame, innermost first:
address, name, file, first line, offset of the instruction, line table; separated by tabs."""

import ctypes
import functools
import itertools
import sys
import threading

LIBRARY, OUT = sys.argv[1:]
with_lock, without_lock = ctypes.PyDLL(LIBRARY), ctypes.CDLL(LIBRARY)
for library in (with_lock, without_lock):
    library.probe_take.argtypes = [ctypes.c_uint64]
assert with_lock.probe_start() == 0, "the recorder did not start"

lines = []
addresses = itertools.count(0x1000, 0x1000)


def take(library=with_lock):
    """Makes one event and notes the stack; this frame's own position is not compared."""
    address = next(addresses)
    frame = sys._getframe()
    library.probe_take(address)
    noted = []
    while frame:
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        fields = (address, name, code.co_filename, code.co_firstlineno, frame.f_lasti, code.co_linetable.hex())
        noted.append("\t".join(map(str, fields)))
        frame = frame.f_back
    lines.append(noted)


class Callable:
    def __call__(self):
        take()

    @property
    def attribute(self):
        return take()

    @classmethod
    def by_class(cls):
        take()


def recurse(depth):
    return recurse(depth - 1) if depth else take(without_lock)


def generate():
    yield take()
    yield from generate_inner()


def generate_inner():
    yield take(without_lock)


async def coroutine():
    await awaited()


async def awaited():
    take()


def größe_名():
    exec(compile("take()", "<größe 名 😀>", "exec"))
    take()


def run(coro):
    try:
        coro.send(None)
    except StopIteration:
        pass


def all_kinds():
    take()
    take(without_lock)
    Callable()()
    Callable().attribute
    Callable.by_class()
    functools.partial(take, without_lock)()
    sorted([1, 2], key=lambda x: take() or x)
    [take() for _ in range(2)]
    list(map(lambda _: take(), range(2)))
    list(generate())
    run(coroutine())
    größe_名()
    recurse(30)
    recurse(600)
    try:
        raise ValueError
    except ValueError:
        take()
    eval("take()")
    with open(__file__):
        take()


def churn(library, rounds, mark):
    """Code objects that die at once, so that others come to lie where they were."""
    for i in range(rounds):
        source = "\n" * (i % 50) + "def made():\n    take(library)\nmade()"
        exec(compile(source, f"<{mark} {i}>", "exec"), {"take": take, "library": library})


stop = threading.Event()


def trouble():
    """Keeps the interpreter's lock moving and its memory changing."""
    while not stop.is_set():
        exec(compile("x = [str(i) for i in range(50)]", "<trouble>", "exec"), {})
        sys._current_frames()


def threads():
    others = [threading.Thread(target=trouble) for _ in range(2)]
    takers = [threading.Thread(target=churn, args=(without_lock, 300, f"thread {i}")) for i in range(4)]
    takers += [threading.Thread(target=all_kinds)]
    for thread in others + takers:
        thread.start()
    for thread in takers:
        thread.join()
    stop.set()
    for thread in others:
        thread.join()


all_kinds()
churn(with_lock, 1000, "main")
threads()
with_lock.probe_take_elsewhere(ctypes.c_uint64(1))
with open(OUT, "w", encoding="utf-8") as out:
    for noted in lines:
        print(*noted, sep="\n", file=out)
