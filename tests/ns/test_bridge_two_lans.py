# SPDX-License-Identifier: MIT
"""Two LANs on one host: what both need of it stays until the last of them has gone."""

import itertools

import pytest

from tests.support.bridge import assert_restored, state_of

LAN = "[LAN]\nFabric = bridge\nBridge = {}\nIPv4 = 10.{}.0.1/24\n{}\n"
NAT, ROUTED, ISOLATED = "NAT = yes", "", "Isolated = yes"


@pytest.fixture
def routers(lan_world, bridged):
    """Two LANs, "one" and "two"; routers(kinds): brought up in this order. Return: the state before."""
    def begin(kinds):
        lan_world.host.ip("link add other0 type veth peer name other1")  # listens to routers, of which there are none
        lan_world.host.sysctl("net.ipv6.conf.other0.accept_ra=1")
        before = state_of(lan_world.host)
        for number, (name, kind) in enumerate(zip(("one", "two"), kinds), 20):
            bridged.configure(LAN.format(f"br-{name}", number, kind), name)
            bridged.hospes("up", name)
        return before

    return begin


@pytest.mark.parametrize("first", ["one", "two"])
@pytest.mark.parametrize("kinds", itertools.product([NAT, ROUTED, ISOLATED], repeat=2), ids=lambda kinds: "-".join(k.split(" ")[0] or "routed" for k in kinds))
def test_down_in_any_order(lan_world, bridged, routers, kinds, first):
    before = routers(kinds)
    last = "two" if first == "one" else "one"
    bridged.hospes("down", first)
    routes = kinds[last == "two"] != ISOLATED
    forwards = bridged.run("cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding", "/proc/sys/net/ipv6/conf/other0/accept_ra").split()
    assert forwards == (["1", "1", "2"] if routes else ["0", "0", "1"])
    bridged.hospes("down", last)
    assert_restored(lan_world.host, before)


def test_service_killed_between(lan_world, bridged, routers):
    """The journals alone tell the next service."""
    before = routers([NAT, NAT])
    bridged.hospes("down", "one")
    bridged.kill()
    bridged.start()
    bridged.hospes("down", "two")
    assert_restored(lan_world.host, before)
