# SPDX-License-Identifier: MIT
"""Fixtures of the tests of bridge LANs: a world a module, an uplink and a service a test."""

import contextlib

import pytest

from tests.support.bridge import Bridged, BridgeWorld


@pytest.fixture(scope="module")
def lan_world():
    made = BridgeWorld()
    made.serve()
    yield made
    made.remove()


@pytest.fixture
def plug(lan_world):
    """plug("static"): the host gets its uplink; all that is in the host afterwards goes at the end."""
    yield lan_world.plug
    lan_world.reset()


@pytest.fixture
def bridged(lan_world, plug):
    """The service, with nothing configured yet. It must end well."""
    made = Bridged(lan_world)
    yield made
    made.stop()


@pytest.fixture
def closing():
    """closing(x): x.close() or x.remove() at the end, last first."""
    with contextlib.ExitStack() as stack:
        def keep(made):
            stack.callback(made.remove if hasattr(made, "remove") else made.close)
            return made

        yield keep
