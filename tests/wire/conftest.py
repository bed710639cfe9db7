# SPDX-License-Identifier: MIT
"""The real daemon with sanitizers, a world around it, and guests played by hand."""

import contextlib
import os
import socket

import pytest

from tests.support.fixtures import start, world  # noqa: F401
from tests.support.lan import Home, wait_for
from tests.support.netns import World
from tests.support.vhost import OFFLOADS, PLAIN, VhostGuest
from tests.support.vhost_fixtures import front, harmless, sly, two, vhost  # noqa: F401
from tests.support.wire import DgramGuest, Guest

# The kinds of port that guests attach to. A module's tests run once with each kind that its PORTS names, or the environment's HOSPES_PORTS
# ("stream vhost packed offloads"); with a stream otherwise, and where a test is marked as one of streams.
PORTS = {
    "stream": Guest,
    "dgram": DgramGuest,
    "vhost": lambda path, **options: VhostGuest(path, **{"size": 1024, **options}),
    "packed": lambda path, **options: VhostGuest(path, packed=True, event_idx=True, **{"size": 1024, **options}),
    "offloads": lambda path, **options: VhostGuest(path, event_idx=True, features=PLAIN | OFFLOADS, **{"size": 1024, **options}),
}


def pytest_configure(config):
    config.addinivalue_line("markers", "streams: this is about the bytes of a stream port")


def pytest_generate_tests(metafunc):
    ports = os.environ.get("HOSPES_PORTS", " ".join(getattr(metafunc.module, "PORTS", ()))).split()
    named = "vhost" in metafunc.fixturenames or metafunc.definition.get_closest_marker("streams")
    if ports and "port" in metafunc.fixturenames and not named:
        metafunc.parametrize("port", ports)


@pytest.fixture
def home():
    made = Home(sanitized=True)
    yield made
    made.remove()


@pytest.fixture
def daemon(start):
    return start()


@pytest.fixture
def port():
    """The kind of port that attach() uses where a test names none."""
    return "stream"


@pytest.fixture
def attach(port):
    """Attach guest number N: attach(daemon, 2). It has addresses of its own in both versions; they are not leased."""
    guests = []

    def attacher(daemon, number=1, port=port, **options):
        net6 = daemon.call("Status")["network6"]
        options.setdefault("mac", f"02:00:00:00:00:{number:02x}")
        options.setdefault("ip", f"10.0.2.{99 + number}")
        if net6:
            options.setdefault("ip6", f"{net6.split('/')[0]}{99 + number:x}")
        guest = PORTS[port](daemon if port in ("stream", "dgram") else daemon.runtime / "vhost", **options)
        guests.append(guest)
        return guest

    attacher.guests = guests
    yield attacher
    for guest in guests:
        guest.close()


@pytest.fixture
def guest(daemon, attach):
    return attach(daemon)


@pytest.fixture
def sockets():
    """Make sockets that are closed at the end: sockets(netns, "address", port=0, kind=SOCK_STREAM); TCP ones listen."""
    with contextlib.ExitStack() as stack:
        def maker(netns, address, port=0, kind=socket.SOCK_STREAM):
            made = stack.enter_context(netns.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind))
            made.settimeout(3)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, port))
            if kind == socket.SOCK_STREAM:
                made.listen(1024)
            return made

        yield maker


@pytest.fixture(params=["IPv4", "IPv6"])
def server(request, world, sockets):
    """A listening socket on the internet, once of each version."""
    return sockets(world.net, World.SERVER4 if request.param == "IPv4" else World.SERVER6)


@pytest.fixture
def server4(world, sockets):
    return sockets(world.net, World.SERVER4)


@pytest.fixture(params=["IPv4", "IPv6"])
def udp_server(request, world, sockets):
    """A datagram socket on the internet, once of each version."""
    return sockets(world.net, World.SERVER4 if request.param == "IPv4" else World.SERVER6, kind=socket.SOCK_DGRAM)


@pytest.fixture
def grows():
    """with grows(daemon, "reason", 3): so many frames are dropped for that reason meanwhile, and counted."""

    @contextlib.contextmanager
    def checker(daemon, reason, by=1):
        before = daemon.drops().get(reason, 0)
        yield
        wait_for(lambda: daemon.drops().get(reason, 0) >= before + by, 3, f"{by} more drops for {reason}; there are {daemon.drops()}")

    return checker
