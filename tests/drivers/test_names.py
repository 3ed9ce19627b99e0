"""Every hooked name, asked of a real driver in each way, comes back hooked; every other one as it was."""

from conftest import DRIVER, HOOKED, OURS, Answer, Symbols, base, wrong


def ask(machine, driver, built):
    """What the driver answers in each way, without the library and with it."""
    symbols = Symbols(driver)
    linked = "".join(f"extern int {name}();\n" for name in sorted(symbols.all))
    table = "".join(f'{{"{name}", {name}}},\n' for name in sorted(symbols.all))
    header = f"{linked}static struct {{ const char *name; void *function; }} linked[] = {{\n{table}}};\n"
    (machine.scratch / "linked.h").write_text(header)
    program = built("ask.c", machine.scratch / "ask", f"-I{machine.scratch}", "-w", driver.folder / DRIVER)
    names = sorted(set(symbols.all) | {base(name) for name in symbols.all} | {"", "cuNoSuchName"})
    (machine.scratch / "names").write_text("\n".join(names))

    def answers(**environment):
        script = f"{program} < {machine.scratch}/names"
        # The virtual driver has functions that came after the version that it says it has.
        environment = {"LD_LIBRARY_PATH": str(driver.folder), "VGPU_DRIVER_VERSION": "13050"} | environment
        out = machine.run("sh", "-c", script, **environment)
        assert out.returncode == 0, out.stderr
        return [Answer.of(line) for line in out.stdout.splitlines()]

    return symbols, answers(), answers(**machine.preload())


def test_each_name_asked_in_each_way(machine, driver, built):
    symbols, bare, traced = ask(machine, driver, built)
    assert not list(wrong(symbols, bare, traced))[:10]
    hooked = [answer for answer in traced if answer.object == OURS]
    # Each hooked name that this driver has came back by each way that gives it.
    has = HOOKED & set(symbols.all)
    for way in ("linked", "dlsym"):
        assert {answer.name for answer in hooked if answer.way == way} == has
    ways = {"four": "cuGetProcAddress", "five": "cuGetProcAddress_v2"}
    for way in (way for way, function in ways.items() if function in symbols.all):
        given = {answer.offset for answer in bare if answer.way == way and symbols.is_hooked(answer)}
        assert given == {symbols.all[name] for name in has}, f"the versions and flags that were asked give all, {way}"


def test_each_hook_is_that_of_the_function_that_the_driver_gave(machine, driver, built):
    """Version and flavour: a hook of the same name with other arguments would be no better than none."""
    symbols, bare, traced = ask(machine, driver, built)
    hooks = {answer.name: answer.offset for answer in traced if answer.way == "dlsym" and answer.object == OURS}
    assert len(set(hooks.values())) == len(hooks), "each name has a hook of its own"
    # Two functions may be one: then the hook of either will do.
    of = {}
    for name in hooks:
        of.setdefault((base(name), symbols.all[name]), set()).add(hooks[name])
    for without, with_us in zip(bare, traced):
        if with_us.object == OURS and with_us.way in ("four", "five"):
            assert with_us.offset in of[without.name, without.offset], (without, with_us)


def test_each_address_of_a_hooked_name_is_one_of_its_symbols(machine, driver, built):
    """What the look-up by address rests on; where it is not so, the user is told."""
    symbols, bare, _ = ask(machine, driver, built)
    bases = {base(name) for name in HOOKED}
    given = [answer for answer in bare if answer.way in ("four", "five") and answer.name in bases]
    unknown = [answer for answer in given if answer.object != DRIVER or answer.offset not in symbols.known]
    print(f"{len(given)} answers, {len(unknown)} at addresses without a symbol")
    assert not unknown
