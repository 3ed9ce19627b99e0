"""Pictures of reports in the project's pages, held against what is printed."""

import re

from machine import CHECKOUT


def shown(page):
    """The report that a page shows between its two marks."""
    block = (CHECKOUT / page).read_text().split("<!-- demo: begin")[1].split("<!-- demo: end -->")[0]
    return block.split("```text\n")[1].split("```")[0]


def normal(text):
    """The report's words without what differs from run to run and from machine to machine: pids,
    times, UUIDs, paths, and what NVML said at its last reading, which comes once a second."""
    text = re.sub(r"^  /\S+python .*$", "  COMMAND", text, flags=re.MULTILINE)
    text = re.sub(r"^  (unexplained|in use) .*$", r"  \1", text, flags=re.MULTILINE)
    text = re.sub(r"^(  \S+, pid \d+, ended) .*$", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"NVML says \S+ .iB \(\d+ % tracked\)", "NVML", text)
    text = re.sub(r"/\S*/memtrace-demo-\d+/", "", text)
    text = re.sub(r"\bpid +\d+", "pid N", text)
    text = re.sub(r"\b\d\d:\d\d:\d\d\b", "HH:MM:SS", text)
    text = re.sub(r"\d{4}-\d\d-\d\d", "YYYY-MM-DD", text)
    text = re.sub(r"GPU-[0-9a-f-]{36}", "GPU-UUID", text)
    return text.split()
