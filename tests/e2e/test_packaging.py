"""What is shipped has no link that leads out of it, or nowhere."""

import shutil
import subprocess

import pytest
from machine import CHECKOUT

SHIPPED = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs")


@pytest.fixture
def shipped(tmp_path):
    for name in SHIPPED:
        (shutil.copytree if name == "docs" else shutil.copy)(CHECKOUT / name, tmp_path / name)
    return tmp_path


def links(folder):
    return subprocess.run([CHECKOUT / "packaging/links", folder], capture_output=True, text=True)


def test_a_link_to_what_stays_in_the_checkout_becomes_text(shipped):
    assert "(tests/sglang/README.md)" in (shipped / "README.md").read_text()
    out = links(shipped)
    assert (out.returncode, out.stdout, out.stderr) == (0, "", "")
    text = (shipped / "README.md").read_text()
    assert "with the SGLang server (tests/sglang)." in text
    assert "[ARCHITECTURE.md](ARCHITECTURE.md)" in text and "[docs/hooks.md](docs/hooks.md)" in text
    assert "](../" not in "".join(page.read_text() for page in (shipped / "docs").iterdir())
    once = {page: page.read_text() for page in shipped.rglob("*.md")}
    assert links(shipped).returncode == 0 and all(page.read_text() == once[page] for page in once)


@pytest.mark.parametrize("dead", ["none.md", "docs/hooks.md#no-such-heading", "#no-such-heading", "docs/none.md"])
def test_a_link_that_leads_nowhere_is_a_mistake(shipped, dead):
    page = shipped / "README.md"
    page.write_text(page.read_text() + f"\n[one](docs/hooks.md), [another]({dead}) and [the net](https://{dead})\n")
    out = links(shipped)
    assert out.returncode == 1 and out.stderr.endswith(f":\nREADME.md: {dead}\n"), out.stderr


def test_brackets_in_code_are_no_links(shipped):
    page = shipped / "README.md"
    page.write_text(page.read_text() + "\n```python\ntable[0](none)\n```\n")
    assert links(shipped).returncode == 0 and "table[0](none)" in page.read_text()
