"""Names phases of this program for memtrace, which says what GPU memory did in each.

The names go to `libmemtrace.so`, if this process was started with it. If not, or where there is no
such thing as preloading, every call does nothing.
"""

import contextlib
import ctypes
import threading

__all__ = ["is_traced", "mark", "phase", "step"]


def _functions():
    """The library's three functions, if it is loaded already; never loads anything."""
    try:
        program = ctypes.CDLL(None)
        functions = program.memtrace_mark, program.memtrace_phase_begin, program.memtrace_phase_end
    except (OSError, AttributeError, TypeError):
        return None
    for function in functions:
        function.argtypes, function.restype = [ctypes.c_char_p], None
    return functions


_library = _functions()
_steps = threading.local()


def is_traced():
    """Whether memtrace's library is in this process."""
    return _library is not None


def _bytes(name):
    # A NUL would end the name: what is behind it would be gone without a word.
    return str(name).encode("utf-8", "replace").replace(b"\0", b"?")


def mark(name):
    """Marks this moment."""
    if _library:
        _library[0](_bytes(name))


class phase(contextlib.ContextDecorator):
    """A phase of this thread, around a `with` block or around each call of a function."""

    def __init__(self, name):
        self._name = _bytes(name)

    def __enter__(self):
        if _library:
            _library[1](self._name)
        return self

    def __exit__(self, *_):
        if _library:
            _library[2](self._name)
        return False


def step(number):
    """Step `number` of this thread begins, and the one before it, if there was one, ends."""
    if not _library:
        return
    before = getattr(_steps, "name", None)
    if before is not None:
        _library[2](before)
    _steps.name = _bytes(f"step {number}")
    _library[1](_steps.name)
