# SPDX-License-Identifier: MIT
"""A world of namespaces around the real daemon: real kernels on both sides of the gateway."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.support.bridge_fixtures import bridged, closing, lan_world, plug  # noqa: E402,F401
from tests.support.fixtures import start, world  # noqa: E402,F401
from tests.support.lan import Home  # noqa: E402
from tests.support.tap import TapGuest  # noqa: E402


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
