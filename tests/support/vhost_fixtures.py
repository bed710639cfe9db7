# SPDX-License-Identifier: MIT
"""Fixtures of tests of the vhost-user port. The suite has "daemon" and "attach" of its own."""

import time

import pytest

from tests.support.lan import wait_for
from tests.support.vhost import PLAIN, Feature
from tests.support.vhost_traffic import descriptors, introduce, numbered, pass_all, processor_seconds, sizes


@pytest.fixture
def vhost(daemon, attach):
    """Attach guest number N to the vhost port: vhost(2, packed=True)."""
    return lambda number=1, **options: attach(daemon, number, port="vhost", **{"size": 256, **options})


@pytest.fixture
def harmless(daemon, vhost, attach):
    """Whatever a vhost-user front end or guest has done: one that was there before and one that comes now are served, the daemon sleeps when all is
    quiet, and when all have gone no descriptor is left."""
    before = descriptors(daemon)
    witness = vhost(8).announce()
    yield
    fresh = vhost(9).announce()
    fresh.drain(0.02)
    witness.drain(0.02)
    pass_all(witness, fresh, numbered(sizes(20), witness.mac, fresh.mac))
    pass_all(fresh, witness, numbered(sizes(20), fresh.mac, witness.mac))
    busy = processor_seconds(daemon)
    time.sleep(0.1)
    assert processor_seconds(daemon) - busy < 0.06, "the daemon spins"
    for guest in attach.guests:
        guest.die()
    wait_for(lambda: descriptors(daemon) <= before, 3, f"descriptors to be closed: there were {before}")


@pytest.fixture
def two(vhost):
    """two(**options): guests 1 and 2, known to the switch."""
    def maker(**options):
        guests = [vhost(number, **options) for number in (1, 2)]
        introduce(*guests)
        return guests

    return maker


@pytest.fixture
def front(daemon, vhost):
    """front(): a connection on which features were negotiated and memory shared, with acknowledgements. Its device is front.device."""
    def maker(share=True, **options):
        device = vhost(1, start=False, **options)
        device.negotiate()
        if share:
            device.share()
        device.front.device = device
        return device.front

    return maker


@pytest.fixture
def sly(vhost):
    """sly(**options): a guest with indirect descriptors, known to the switch."""
    def maker(**options):
        options.setdefault("features", PLAIN | Feature.INDIRECT_DESC)
        made = vhost(1, **options).announce()
        made.drain()
        return made

    return maker
