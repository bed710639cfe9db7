# SPDX-License-Identifier: MIT
"""Up and down of a bridge LAN: the host reaches everything meanwhile, and is what it was afterwards."""

import json
import os
import re

import pytest

from tests.support.bridge import BridgeWorld, assert_restored, difference, has_vlans, state_of
from tests.support.lan import wait_for
from tests.support.netns import run

KINDS = ["static", "ipv6", "dhcp", "dotted", "vlan"]
MODES = {"ipv6": "none", "dhcp": "dhcp"}


def config(uplink, more="", allow=BridgeWorld.USER):
    return f"[LAN]\nFabric = bridge\nBridge = br0\nUplink = {uplink}\nAllow = {allow}\n{more}"


def plugged(plug, lan_world, kind, **options):
    if kind == "vlan" and not has_vlans(lan_world):
        pytest.skip("this kernel has no 802.1Q")
    return plug(kind, **options)


def link_of(world, name):
    return json.loads(world.host.ip(f"-d -j link show {name}"))[0]


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(lan_world, plug, bridged, kind):
    """Addresses, routes and rules move to a bridge with the card's own MAC; everything answers; down undoes it all."""
    uplink = plugged(plug, lan_world, kind, dad=True)
    bridged.configure(config(uplink))
    assert lan_world.reaches() == lan_world.wants()
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0")
    assert lan_world.reaches() == lan_world.wants()
    assert link_of(lan_world, "br0")["address"] == link_of(lan_world, uplink)["address"]
    assert link_of(lan_world, uplink)["master"] == "br0"
    moved = [line for line in before if line.startswith("route") and f'"dev": "{uplink}"' in line and '"table": "local"' not in line and "fe80::" not in line and "ff00::/8" not in line]
    now = "\n".join(state_of(lan_world.host))
    missing = [line for line in moved if line.replace(f'"{uplink}"', '"br0"') not in now]
    assert moved and not missing, "these did not move:\n" + "\n".join(missing)
    assert "inet" not in lan_world.host.ip(f"address show dev {uplink} scope global")
    assert lan_world.ping(lan_world.host, lan_world.LANHOST6 if kind == "ipv6" else lan_world.LANHOST4)
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)
    assert lan_world.reaches() == lan_world.wants()


def test_the_comparison_sees(lan_world, plug):
    """A route, a setting, a rule that is left behind: each is found by the comparison that the other tests rely on."""
    plug("static")
    before = state_of(lan_world.host)
    for there, back in (("ip route add 10.9.0.0/16 dev eth0 metric 7", "ip route del 10.9.0.0/16"),
                        ("ip link set eth0 promisc on", "ip link set eth0 promisc off"),
                        ("sysctl -q -w net.ipv4.conf.eth0.arp_filter=1", "sysctl -q -w net.ipv4.conf.eth0.arp_filter=0"),
                        ("ip rule add from 10.0.0.1 lookup 7", "ip rule del from 10.0.0.1"),
                        ("nft add table inet left", "nft delete table inet left"),
                        ("ip address add 192.168.1.9/24 dev eth0", "ip address del 192.168.1.9/24 dev eth0")):
        run(lan_world.host.command(there.split()))
        assert difference(before, state_of(lan_world.host)), there
        run(lan_world.host.command(back.split()))
        assert not difference(before, state_of(lan_world.host)), back


def test_twice_changes_nothing(lan_world, plug, bridged):
    """The second up has no step to take, and down without up neither."""
    bridged.configure(config(plug("static")))
    assert bridged.call("Plan", lan="br0", down=True)["steps"] == []
    bridged.hospes("up", "br0")
    assert bridged.call("Plan", lan="br0", down=False)["steps"] == []
    before = state_of(lan_world.host)
    monitor = bridged.watch()
    bridged.hospes("up", "br0")
    assert bridged.call("Up", lan="br0")["steps"] == []
    assert monitor.stop() == [], "the kernel was asked to change something"
    assert difference(before, state_of(lan_world.host)) == []
    monitor = bridged.watch()
    bridged.hospes("down", "br0")
    assert monitor.stop(), "the monitor sees a down"
    bridged.hospes("down", "br0")


def test_dry_run(lan_world, plug, bridged):
    """--dry-run prints the plan as commands, and does nothing; up then takes as many steps as were said."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    text = bridged.hospes("up", "--dry-run", "br0")
    assert re.search(r"ip link add .*br0.* type bridge", text) and re.search(r"ip .*addr.* add 192\.168\.1\.2/24 .*dev br0", text), text
    assert_restored(lan_world.host, before, 0)
    said = bridged.call("Plan", lan="br0", down=False)["steps"]
    done = bridged.call("Up", lan="br0")["steps"]
    assert [step["text"] for step in said] == [step["text"] for step in done] and all(step["done"] for step in done)
    up = state_of(lan_world.host)
    assert "192.168.1.2" in bridged.hospes("down", "--dry-run", "br0")
    assert_restored(lan_world.host, up, 0)


def test_settings_of_the_bridge(lan_world, plug, bridged):
    """What the how-to sets with brctl, and the MTU."""
    bridged.configure(config(plug("static"), "STP = no\nForwardDelay = 9\nHello = 2\nMaxAge = 12\nMTU = 1400\n"))
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0")
    made = link_of(lan_world, "br0")
    info = made["linkinfo"]["info_data"]
    assert (info["forward_delay"], info["hello_time"], info["max_age"], info["stp_state"], made["mtu"]) == (900, 200, 1200, 0, 1400)
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_other_address(lan_world, plug, bridged):
    """IPv4 = ADDRESS instead of what the card has, with a gateway; and none."""
    uplink = plug("static")
    before = state_of(lan_world.host)
    bridged.configure(config(uplink, "IPv4 = 192.168.1.77/24\nGateway = 192.168.1.1\n"))
    bridged.hospes("up", "br0")
    shown = lan_world.host.ip("-4 address show dev br0")
    assert "192.168.1.77/24" in shown and "192.168.1.2/24" not in shown, shown
    assert lan_world.ping(lan_world.host, lan_world.SERVER4)
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)
    bridged.configure(config(uplink, "IPv4 = none\n"))
    bridged.hospes("up", "br0")
    assert [a["local"] for link in json.loads(lan_world.host.ip("-j -4 address")) for a in link.get("addr_info", [])] == ["127.0.0.1"]
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_configuration_changed_meanwhile(lan_world, plug, bridged):
    """Down is the way back from what was done, not from what the file says now; a file that is gone hinders nothing."""
    path = bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0")
    path.write_text(config("eth9", "STP = yes\n"))
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_somebody_changed_the_host_meanwhile(lan_world, plug, bridged):
    """An address that was added, and one that was removed, while the LAN was up: neither hinders the way back of the rest."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    lan_world.host.ip("address del 192.168.1.22/24 dev br0")
    lan_world.host.ip("address add 192.168.1.33/24 dev br0")
    bridged.hospes("down", "br0")
    shown = lan_world.host.ip("-4 address show dev eth0")
    assert "192.168.1.2/24" in shown and "br0" not in lan_world.host.ip("link")
    assert lan_world.reaches() == lan_world.wants()


def test_restarted_service_knows(lan_world, plug, bridged):
    """SIGTERM to the service leaves the LAN as it is; the next one knows it, and can take it down."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0")
    up = state_of(lan_world.host)
    bridged.stop()
    assert_restored(lan_world.host, up, 0)
    bridged.start()
    assert bridged.lan_state() == "up"
    assert bridged.call("Plan", lan="br0", down=False)["steps"] == []
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_dhcp_client_goes_on(lan_world, plug, bridged):
    """The host keeps its lease: same MAC, same address; and whoever must tell the client is told which one."""
    bridged.configure(config(plug("dhcp"), "IPv4 = dhcp\n"))
    address = re.search(r"inet ([\d.]+)", lan_world.host.ip("-4 address show dev eth0")).group(1)
    bridged.hospes("up", "br0")
    shown = lan_world.host.ip("-4 address show dev br0")
    assert f"inet {address}/24" in shown and "dynamic" in shown, shown
    mac = link_of(lan_world, "br0")["address"]
    assert lan_world.lease_of(mac) == address
    lan_world.client.kill()
    lan_world.client.wait(10)
    lan_world.uplink = "br0"
    lan_world.configure_dhcp()
    lan_world.uplink = "eth0"
    wait_for(lambda: "bound br0 " + address in (lan_world.host.path / "udhcpc.log").read_text(), 10, f"the lease of {address} again")


REFUSED = {
    "gone": (lambda w: None, "Uplink = eth9\n", "eth9"),
    "in a bridge": (lambda w: (w.host.ip("link add other0 type bridge"), w.host.ip("link set eth0 master other0")), "Uplink = eth0\n", "other0"),
    "foreign bridge": (lambda w: w.host.ip("link add br0 type bridge"), "Uplink = eth0\n", "br0"),
    "another link of that name": (lambda w: w.host.ip("link add br0 type veth peer name br0-peer"), "Uplink = eth0\n", "br0"),
    "name too long": (lambda w: None, "Uplink = eth0\nBridge = abcdefghijklmnop\n", "abcdefghijklmnop"),
    "name not ours": (lambda w: None, "Uplink = eth0\nBridge = ../br0\n", "../br0"),
    "loopback": (lambda w: None, "Uplink = lo\n", "lo"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(lan_world, plug, bridged, what):
    """The reason, and nothing changed."""
    make, text, named = REFUSED[what]
    plug("static")
    make(lan_world)
    bridged.configure(f"[LAN]\nFabric = bridge\n{text}" + ("" if "Bridge =" in text else "Bridge = br0\n"))
    before = state_of(lan_world.host)
    for verb in ("up", "try"):
        bridged.hospes(verb, "br0", status=2 if what.startswith("name") else 1)
        assert named in bridged.stderr, bridged.stderr
    assert_restored(lan_world.host, before, 0)
    assert bridged.lan_state() in (None, "down")


def test_foreign_bridge_survives_down(lan_world, plug, bridged):
    """Down of a LAN that is not up takes nobody's bridge away."""
    plug("static")
    lan_world.host.ip("link add br0 type bridge")
    bridged.configure(config("eth0"))
    before = state_of(lan_world.host)
    bridged.hospes("down", "br0", status=None)
    assert_restored(lan_world.host, before, 0)


@pytest.mark.parametrize("fault", ["writable", "link", "not root's"])
def test_file_that_others_write(lan_world, plug, bridged, fault):
    """A configuration that is not root's alone is refused, with its name; so is a link."""
    plug("static")
    path = bridged.configure(config("eth0"))
    if fault == "writable":
        path.chmod(0o666)
    elif fault == "link":
        path.rename(path.with_suffix(".real"))
        path.symlink_to(path.with_suffix(".real").name)
    else:
        os.chown(path, 61234, 61234)
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0", status=1)
    assert "br0.lan" in bridged.stderr, bridged.stderr
    assert_restored(lan_world.host, before, 0)


def test_several_lans(lan_world, plug, bridged):
    """Two LANs, taken down in the order they came up."""
    bridged.configure(config(plug("static")))
    bridged.configure("[LAN]\nFabric = bridge\nBridge = br1\nIsolated = yes\n", "lab")
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0")
    bridged.hospes("up", "lab")
    assert {each["name"]: each["state"] for each in bridged.call("Status")["lans"]} == {"br0": "up", "lab": "up"}
    bridged.hospes("down", "br0")
    assert lan_world.reaches() == lan_world.wants() and "br1" in lan_world.host.ip("link")
    bridged.hospes("down", "lab")
    assert_restored(lan_world.host, before)
