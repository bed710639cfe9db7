# SPDX-License-Identifier: MIT
"""Real guests under QEMU, run by an ordinary user in a world of its own: the programs as they are built, nothing played."""

import contextlib

import pytest

from tests.support.bridge_fixtures import bridged, closing, lan_world, plug  # noqa: F401
from tests.support.fixtures import world  # noqa: F401
from tests.support.user import Server, make_user


@pytest.fixture(scope="module")
def user(world):
    """A user with no LAN up yet; all that is left is taken down at the end."""
    made = make_user(world)
    yield made
    made.down()
    made.remove()


@pytest.fixture(scope="module")
def minis(user):
    """Two minis on the default LAN: their names are mini and mini-2."""
    user.hospes("run", "--detach", "--publish", "8080:80", "mini")
    user.hospes("run", "--detach", "mini")
    user.wait_ssh("mini", "mini-2")
    return user


@pytest.fixture
def serve():
    """serve(netns, {"name": b"..."}): an HTTP server for the test's time."""
    with contextlib.ExitStack() as stack:
        def maker(netns, files):
            made = Server(netns, files)
            stack.callback(made.stop)
            return made

        yield maker
