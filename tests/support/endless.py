# SPDX-License-Identifier: MIT
"""A run of tests that does not end by itself: tests/ns/test_killed.py starts and ends it."""

import os
import subprocess
import time

import pytest

from tests.support.fixtures import world  # noqa: F401
from tests.support.netns import Netns


@pytest.fixture
def torn_down():
    yield
    print("torn down", flush=True)


def test_endless(world, torn_down):
    """Beside the world's namespaces there is one that no fixture knows, with a process in it, and a forked child that has the same."""
    child = os.fork()
    left = Netns("left")
    subprocess.Popen(left.command(["sleep", "1000"]))
    if child:
        print("child", child, flush=True)
    time.sleep(1000)
