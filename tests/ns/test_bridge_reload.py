# SPDX-License-Identifier: MIT
"""What reload says of a bridge LAN, and how many LANs there may be."""

import pytest

from tests.support.bridge import assert_restored, state_of
from tests.support.lan import varlink, wait_for
from tests.ns.test_bridge_updown import config

POOL = 16
NAT = "[LAN]\nFabric = bridge\nNAT = yes\nIPv4 = 10.99.{n}.1/24\nIPv6 = none\nAllow = hospes-test\n"


def reload(bridged, lan="br0"):
    with bridged.connect(path=bridged.host.root / "run/hospes" / lan / "control") as connection:
        return varlink(connection, "Reload")["changes"]


def test_changes(lan_world, plug, bridged):
    """Steps, guests, forwards, Allow: each in words, once; by the LAN's own socket and by the command."""
    plug("static")
    bridged.configure(NAT.format(n=1))
    bridged.hospes("up", "br0")
    assert reload(bridged) == []
    guest = "[Guest]\nName = web\nMAC = 52:54:00:aa:00:01\n"
    forward = "[Forward]\nListen = 0.0.0.0:8080/tcp\nTo = web:80\n"
    bridged.configure(NAT.format(n=1) + "Lease = 10m\nHello = 3\n" + guest + forward)
    changes = reload(bridged)
    assert "guest web registered" in changes and "leases last 600 seconds from now on" in changes
    assert "forward 0.0.0.0:8080 to web:80 added" in changes
    assert any("hello_time" in change for change in changes), changes
    assert len(changes) == 4 and reload(bridged) == []
    bridged.configure(NAT.format(n=1).replace("hospes-test", "hospes-test, @kvm") + "Lease = 10m\nHello = 3\n" + guest.replace("00:01", "00:02"))
    said = bridged.hospes("reload", "br0")
    assert said.splitlines()[:1] == ["guest web changed"] and "Allow" in said and "forward 0.0.0.0:8080 to web:80 removed" in said, said
    assert "nothing to change" in bridged.hospes("reload", "br0")
    bridged.configure(NAT.format(n=1).replace("hospes-test", "hospes-test, @kvm") + "Lease = 10m\nHello = 3\n[Forward]\nListen = /run/x\nTo = web:80\n")
    changes = reload(bridged)
    assert "guest web is no longer registered" in changes and any("NOT added" in change and "/run/x" in change for change in changes), changes


def test_reload_refused(lan_world, plug, bridged):
    """A file that is wrong changes nothing, and says where."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    up = state_of(lan_world.host)
    bridged.configure(config("eth0", "STP = perhaps\n"))
    with pytest.raises(RuntimeError, match="STP"):
        reload(bridged)
    assert_restored(lan_world.host, up, 0)


def test_one_lan_too_many(lan_world, plug, bridged):
    """LANs with services have so many sockets. The next one is told so, and leaves nothing; when one of the others goes, it comes up. A trial needs one, too."""
    plug("static")
    for n in range(POOL + 1):
        bridged.configure(NAT.format(n=n), lan=f"lab{n}")
    for n in range(POOL):
        bridged.hospes("up", f"lab{n}")
    wait_for(lambda: lan_world.host.ip("link").count("NO-CARRIER") >= POOL, 10, "the kernel to see that nobody is on the bridges")
    before = state_of(lan_world.host)
    bridged.hospes("up", f"lab{POOL}", status=1)
    assert f"{POOL} LANs" in bridged.stderr and "hospes down LAN" in bridged.stderr, bridged.stderr
    assert_restored(lan_world.host, before)
    assert bridged.lan_state(f"lab{POOL}") == "down"
    bridged.configure(config("eth0"))
    with pytest.raises(RuntimeError, match=f"Refused.*{POOL} LANs"):
        bridged.call("Up", lan="br0", confirm=30)
    assert_restored(lan_world.host, before)
    bridged.hospes("up", "br0")  # an uplink without a trial needs none
    bridged.hospes("down", "br0")
    bridged.hospes("down", "lab3")
    bridged.hospes("up", f"lab{POOL}")
    for n in range(POOL + 1):
        bridged.hospes("down", f"lab{n}")
