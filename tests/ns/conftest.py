# SPDX-License-Identifier: MIT
"""A world of namespaces around the real daemon: real kernels on both sides of the gateway."""

import pytest

from tests.support.bridge_fixtures import bridged, closing, lan_world, plug  # noqa: F401
from tests.support.fixtures import start, world  # noqa: F401
from tests.support.lan import Home
from tests.support.tap import TapGuest


@pytest.fixture
def home():
    made = Home()
    yield made
    made.remove()


@pytest.fixture
def attach():
    """Attach a guest that is a namespace: attach(daemon, "name")."""
    guests = []

    def attacher(daemon, name):
        guests.append(TapGuest(daemon, name))
        return guests[-1]

    yield attacher
    for guest in guests:
        guest.remove()
