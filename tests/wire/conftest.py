# SPDX-License-Identifier: MIT
"""The real daemon with sanitizers, a world around it, and a guest played by hand."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.support.lan import Daemon, Home  # noqa: E402
from tests.support.netns import World  # noqa: E402
from tests.support.wire import Guest  # noqa: E402


@pytest.fixture(scope="session")
def world():
    made = World()
    yield made
    made.remove()


@pytest.fixture
def start(world):
    """Start a daemon: start(config="...", arguments=[...]). All are stopped at the end, and must end well."""
    home = Home(sanitized=True)
    running = []

    def starter(**options):
        daemon = Daemon(world.host, home, **options)
        running.append(daemon)
        return daemon

    yield starter
    try:
        for daemon in running:
            daemon.stop()
    finally:
        home.remove()


@pytest.fixture
def daemon(start):
    return start()


@pytest.fixture
def guest(daemon):
    made = Guest(daemon)
    yield made
    made.close()
