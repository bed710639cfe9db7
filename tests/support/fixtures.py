# SPDX-License-Identifier: MIT
"""Fixtures of all suites around a daemon: the world of namespaces, and daemons in it. The suite has a fixture "home" of its own."""

import pytest

from tests.support.lan import Daemon
from tests.support.netns import World


@pytest.fixture(scope="session")
def world():
    made = World()
    yield made
    made.remove()


@pytest.fixture
def start(world, home):
    """Start a daemon: start(config="...", arguments=[...]). All are stopped at the end, and must end well."""
    running = []

    def starter(**options):
        daemon = Daemon(world.host, home, **options)
        running.append(daemon)
        return daemon

    yield starter
    for daemon in running:
        if not daemon.log.closed:
            daemon.stop()
