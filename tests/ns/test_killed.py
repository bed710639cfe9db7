# SPDX-License-Identifier: MIT
"""A run of these tests that is ended from outside leaves no namespace behind, and nothing that runs in one."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from tests.support.lan import ROOT, wait_for


def namespaces(pid):
    return [path.name for path in pathlib.Path("/run/netns").glob(f"hospes-{pid}-*")]


def comm(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def inside(pid):
    """The processes that sleep in a run's namespaces."""
    words = [subprocess.run(["ip", "netns", "pids", name], capture_output=True, timeout=10, check=False).stdout for name in namespaces(pid)]
    return [int(each) for each in b" ".join(words).split() if comm(int(each)) == "sleep"]


def has_ended(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Run:
    """tests/support/endless.py, which has begun."""

    def __init__(self, log):
        self.log, self.child = log, None
        words = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(ROOT / "tests/support/endless.py")]
        with open(log, "wb") as output:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")

    def wait(self):
        self.child = int(wait_for(lambda: re.search(r"^\.?child (\d+)$", self.log.read_text(), re.M), 20, self.log.read_text)[1])
        wait_for(lambda: inside(self.process.pid) and inside(self.child), 10, "both to have begun")

    def remove(self):
        self.process.kill()
        self.process.wait(10)
        if self.child and namespaces(self.child):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child, signal.SIGKILL)


def gone(pid, processes):
    return not namespaces(pid) and all(map(has_ended, processes))


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 2), (signal.SIGKILL, -signal.SIGKILL)], ids=["SIGTERM", "SIGKILL"])
def test_nothing_outlives_a_run(tmp_path, number, status):
    run = Run(tmp_path / "log")
    try:
        run.wait()
        parents, childs = inside(run.process.pid), inside(run.child)
        run.process.send_signal(number)
        assert run.process.wait(20) == status
        assert ("torn down" in run.log.read_text()) == (number == signal.SIGTERM)
        wait_for(lambda: gone(run.process.pid, parents), 10, "the end of all that was the run's")
        assert namespaces(run.child) and not any(map(has_ended, childs)), "the forked child still needs its own"
        os.kill(run.child, signal.SIGKILL)
        wait_for(lambda: gone(run.child, childs), 10, "the end of all that was the child's")
    finally:
        run.remove()
