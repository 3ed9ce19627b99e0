"""The demo: what the README shows is what it prints."""

import re
import subprocess
import sys

from golden import normal, shown
from server import HERE


def test_the_demo_prints_what_the_readme_shows(tmp_path):
    demo = [sys.executable, HERE / "demo.py", "-o", tmp_path / "trace"]
    out = subprocess.run(demo, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    if sys.version_info[:2] == (3, 11):  # the README's: others have other frames
        assert normal(lasting(out.stdout)) == normal(lasting(shown("README.md")))
    assert "detokenizer" in out.stdout.partition("No CUDA memory, ever: ")[2]
    assert max(map(len, out.stdout.splitlines())) <= 100


def lasting(text):
    """What does not depend on chance: on which helpers that never used CUDA lived long enough to be seen, and on
    which second code was loaded in."""
    held = text.partition("Never used CUDA:")[0]
    return re.sub(r"\n    untracked grew by .*?(?=\n {0,4}\S)", "", held, flags=re.DOTALL)
