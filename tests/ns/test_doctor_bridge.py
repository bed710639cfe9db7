# SPDX-License-Identifier: MIT
"""hospes doctor on bridge LANs that hospes-bridged carries: with an uplink and with NAT, asked by root and by an ordinary user."""

import json
import subprocess

import pytest

from tests.support.bridge_fixtures import bridged, closing, lan_world, plug  # noqa: F401
from tests.support.bridge_guest import KernelGuest
from tests.support.doctor import background
from tests.support.lan import USER, wait_for
from tests.support.netns import Netns, link

LAN = "[LAN]\nFabric = bridge\nBridge = br0\nUplink = eth0\nAllow = hospes-test\nTaps = tap0:hospes-test\n"
NAT = "[LAN]\nFabric = bridge\nBridge = br0\nNAT = yes\nIPv4 = 10.20.0.1/24\nAllow = hospes-test\n"
ACCEL = {"HOSPES_ACCEL": "kvm"}


class Asked:
    """The doctor of a LAN."""

    def __init__(self, bridged, lan="br0"):  # noqa: F811
        self.bridged, self.lan = bridged, lan

    def all(self, *words, user=0):
        out = self.bridged.run("hospes", "doctor", "-l", self.lan, "--json", *words, user=user, status=None, environment=ACCEL)
        assert "Sanitizer" not in self.bridged.stderr and "runtime error" not in self.bridged.stderr, self.bridged.stderr
        return json.loads(out)

    def found(self, check, *words, user=0):
        return [one for one in self.all(*words, user=user)["findings"] if one["check"] == check]

    def worse(self, *words):
        return [one for one in self.all(*words)["findings"] if one["severity"] != "note"]

    def heal(self, check, *words):
        found = self.found(check, *words)
        assert found, self.all(*words)
        for one in found:
            self.bridged.run("sh", "-c", one["remedy"])
        assert not self.found(check, *words)
        return found


@pytest.fixture
def up(lan_world, plug, bridged):  # noqa: F811
    """up(text, kind): the LAN br0 is up, made so."""
    def bring(text, kind="static"):
        plug(kind)
        bridged.configure(text)
        bridged.hospes("up", "br0")
        return Asked(bridged)

    return bring


def test_a_lan_that_hospes_made_is_healthy(up, lan_world, bridged, closing):  # noqa: F811
    asked = up(LAN)
    assert asked.worse() == [] and asked.all()["not_looked_at"] == []
    assert asked.found("tap-alone") == [], "a tap of the file waits for its guest"
    assert asked.worse("--probe") == []
    guest = closing(KernelGuest(bridged, "web"))
    guest.dhcp(lan_world.host.path)
    wait_for(lambda: not asked.worse("web"), what="the guest's address to be learned")
    # An ordinary user is told the same, and what that user may not see.
    report = asked.all("web", user=USER)
    assert [one for one in report["findings"] if one["severity"] == "error"] == [] and len(report["not_looked_at"]) == 2


def test_dockers_firewall(up, lan_world, bridged, closing):  # noqa: F811
    asked = up(LAN)
    guest = closing(KernelGuest(bridged, "web"))
    guest.dhcp(lan_world.host.path)
    assert lan_world.ping(guest, lan_world.ROUTER4)
    for line in ("iptables -N DOCKER-USER", "iptables -A FORWARD -j DOCKER-USER", "iptables -P FORWARD DROP"):
        bridged.run("sh", "-c", line)
    assert not lan_world.ping(guest, lan_world.ROUTER4, 1)
    assert asked.heal("forward-drop", "web")[0]["remedy"] == "iptables -I DOCKER-USER -i br0 -o br0 -j ACCEPT"
    assert lan_world.ping(guest, lan_world.ROUTER4)


def test_forwarding_and_a_firewall_of_nat(up, lan_world, bridged, closing):  # noqa: F811
    asked = up(NAT)
    guest = closing(KernelGuest(bridged, "web"))
    guest.dhcp(lan_world.host.path)
    assert lan_world.ping(guest, lan_world.SERVER4) and asked.worse() == []
    lan_world.host.sysctl("net.ipv4.ip_forward=0")
    assert not lan_world.ping(guest, lan_world.SERVER4, 1)
    assert "error" in [one["severity"] for one in asked.heal("ip-forward")] and lan_world.ping(guest, lan_world.SERVER4)
    bridged.run("sh", "-c", "iptables -P FORWARD DROP")
    assert not lan_world.ping(guest, lan_world.SERVER4, 1)
    asked.heal("forward-drop")
    assert lan_world.ping(guest, lan_world.SERVER4)


def test_another_dhcp_server_behind_nat(up, lan_world, closing):  # noqa: F811
    """The service keeps guests from being one; a port that somebody else puts into the bridge can be."""
    asked = up(NAT)
    assert asked.found("dhcp-servers", "--probe") == []
    other = closing(Netns("other"))
    link(lan_world.host, "port9", other, "eth0")
    lan_world.host.ip("link set port9 master br0")
    other.ip("address add 10.20.0.9/24 dev eth0")
    server = subprocess.Popen(other.command(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0",
                                             "--bind-interfaces", "--dhcp-range=10.20.0.200,10.20.0.210", "--pid-file=", "--user=root",
                                             "--dhcp-leasefile=/dev/null", "--no-ping"]), stderr=subprocess.DEVNULL)
    try:
        found = wait_for(lambda: asked.found("dhcp-servers", "--probe"), 20, "the other one's offer")
        assert "10.20.0.9" in found[0]["cause"]
    finally:
        server.kill()
        server.wait(10)
    assert asked.found("dhcp-servers", "--probe") == []


def dnsmasq(netns, pool):
    return background(netns.command(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces",
                                     f"--dhcp-range={pool}", "--pid-file=", "--user=root", "--dhcp-leasefile=/dev/null", "--no-ping"]))


def ask(asked, guest, lan_world):  # noqa: F811
    """A guest asks for a lease; what the doctor makes of it, without sending anything itself."""
    guest.dhcp(lan_world.host.path)
    return asked.found("dhcp-servers")


def test_another_dhcp_server_is_heard(up, lan_world, bridged, closing):  # noqa: F811
    """Without --probe: answers to guests are told to the service by its rules."""
    asked = up(LAN)
    guest = closing(KernelGuest(bridged, "web"))
    assert not ask(asked, guest, lan_world)
    with dnsmasq(lan_world.lanhost, "192.168.1.200,192.168.1.210"):
        found = wait_for(lambda: ask(asked, guest, lan_world), 30, "the other server's answer")
        assert lan_world.ROUTER4 in found[0]["cause"] and lan_world.LANHOST4 in found[0]["cause"] and "dhcp_servers" in found[0]["where"]
        assert asked.found("dhcp-servers", user=USER), "an ordinary user of the LAN is told, too"
    # Off again: the next round is without it.
    wait_for(lambda: not ask(asked, guest, lan_world), 40, "a round without it")
    assert lan_world.ping(guest, lan_world.ROUTER4)


def test_another_dhcp_server_is_heard_behind_nat(up, lan_world, bridged, closing):  # noqa: F811
    asked = up(NAT)
    guest, other = closing(KernelGuest(bridged, "web")), closing(Netns("other"))
    assert not ask(asked, guest, lan_world)
    link(lan_world.host, "port9", other, "eth0")
    lan_world.host.ip("link set port9 master br0")
    other.ip("address add 10.20.0.9/24 dev eth0")
    with dnsmasq(other, "10.20.0.200,10.20.0.210"):
        assert "10.20.0.9" in wait_for(lambda: ask(asked, guest, lan_world), 30, "the other server's answer")[0]["cause"]
    wait_for(lambda: not ask(asked, guest, lan_world), 40, "a round without it")
    assert lan_world.ping(guest, lan_world.SERVER4)


def test_one_lease_for_two_guests(up, lan_world, bridged, closing):  # noqa: F811
    """Clones of one image: both send one client identifier, and the router gives both one address. The second gets an identity of its own, as the
    advice says (here the client's argument stands for the machine-id, which a namespace has not)."""
    asked = up(LAN)
    one, two = closing(KernelGuest(bridged, "one")), closing(KernelGuest(bridged, "two"))
    told = one.dhcp(lan_world.host.path, client_id="ff00000001abcdef")
    assert lan_world.ping(one, lan_world.ROUTER4) and not asked.found("duplicate-address")
    again = two.dhcp(lan_world.host.path, client_id="ff00000001abcdef")
    assert again["ip"] == told["ip"], "the router believes that they are one"
    found = wait_for(lambda: asked.found("duplicate-address"), what="the second lease to be told")
    assert len(found) == 1 and told["ip"] in found[0]["symptom"] and "guest two" in found[0]["symptom"] and "one's" in found[0]["cause"]
    assert "machine-id" in found[0]["advice"] and not lan_world.ping(two, lan_world.ROUTER4, 1)
    two.ip("address flush dev eth0")
    assert two.dhcp(lan_world.host.path, client_id="ff00000002abcdef")["ip"] != told["ip"]
    wait_for(lambda: not asked.found("duplicate-address"), what="the second's own lease")
    # The router's ARP table may still have the second's MAC for the first's address, until it asks again.
    assert lan_world.ping(two, lan_world.ROUTER4) and lan_world.ping(one, lan_world.ROUTER4, 30)


def test_the_hosts_dhcp_client_is_told_where_to_go(up, lan_world, bridged):  # noqa: F811
    """The lease has moved to br0, and its client still runs on eth0: it is ended, and the same is run on br0."""
    asked = up(LAN, "dhcp")
    found = asked.heal("port-dhcp")
    assert "--interface br0" in found[0]["remedy"] and "--foreground" not in found[0]["remedy"]
    wait_for(lambda: "bound br0" in (lan_world.host.path / "udhcpc.log").read_text(), what="a lease on br0")
    assert lan_world.ping(lan_world.host, lan_world.SERVER4)


def test_a_service_that_is_gone(up, lan_world, bridged):  # noqa: F811
    asked = up(LAN)
    bridged.kill()
    found = asked.found("daemon")
    assert found and found[0]["remedy"] == "systemctl restart hospes-bridged"
    bridged.start()  # as systemd would
    wait_for(lambda: not asked.found("daemon"), what="the service")
