"""Prints every code object of some modules of the standard library: first line, line table, and the interpreter's own
answer, a line per instruction ("-" where it has none)."""
import argparse, asyncio.base_events, dataclasses, decimal, sys, typing  # noqa: E401
import types


def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


print(sys.version_info[0] << 8 | sys.version_info[1])
for module in (argparse, asyncio.base_events, dataclasses, decimal, typing):
    with open(module.__file__) as file:
        for code in codes(compile(file.read(), module.__file__, "exec")):
            lines = ["-"] * (len(code.co_code) // 2)
            for start, end, line in code.co_lines():
                for at in range(start // 2, end // 2):
                    lines[at] = str(line) if line else "-"
            print(code.co_firstlineno, code.co_linetable.hex() or "-", *lines)
