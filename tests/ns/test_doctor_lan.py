# SPDX-License-Identifier: MIT
"""hospes doctor on a user LAN and on the machine below it, asked by an ordinary user: faults, findings, remedies."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from tests.support.bridge import Host
from tests.support.doctor import Doctor, background, node
from tests.support.lan import USER, Daemon, as_user, wait_for
from tests.support.netns import Netns, link
from tests.support.tap import TapGuest
from tests.support.wire import ARP, BOOTP, DHCP, DNS4, IP, UDP, Ether, Guest


class UserDoctor(Doctor):
    """Asked by the user whose LAN it is."""

    def __init__(self, netns, home):
        super().__init__(netns, home)
        self.daemons = []

    def heal(self, check, *arguments, user=True, as_root=False):
        return super().heal(check, *arguments, user=user, as_root=as_root)

    def found(self, check, *arguments, user=True):
        return super().found(check, *arguments, user=user)

    def hospes(self, *arguments):
        words = " ".join(["hospes", *arguments])
        self.type_as_user(words)

    def pid(self, lan="default"):
        return int((self.home.path / "run/hospes" / lan / "pid").read_text())


@pytest.fixture
def doctor(world, home):
    made = UserDoctor(world.host, home)
    yield made
    for lan in ("default", "lab"):
        made.hospes("down", lan)
    assert not (home.path / "run/hospes").exists()


@pytest.fixture
def daemon(world, doctor):
    """LAN default, up; seen through its control socket."""
    doctor.hospes("up")
    seen = Daemon.__new__(Daemon)
    seen.home, seen.lan, seen.runtime = doctor.home, "default", doctor.home.path / "run/hospes/default"
    return seen


def test_a_healthy_lan(doctor, daemon):
    report = json.loads(doctor.run("--json", user=True).stdout)
    assert report["lan"] == "default" and report["bridge"] is None and report["not_looked_at"] == []
    # What is wrong with this machine's devices is none of the LAN's.
    assert {one["check"] for one in report["findings"]} <= {"tun-device", "kvm"}, report


def test_a_lan_that_is_down_is_not_started(doctor):
    assert "LAN default (it is down): " in doctor.run(user=True).stdout and "LAN lab (it is down)" in doctor.run("-l", "lab", user=True).stdout
    assert not (doctor.home.path / "run/hospes").exists()


def test_a_file_that_is_wrong_ends_with_2(doctor):
    path = doctor.home.write(".config/hospes/lab.lan", "[LAN]\nBogus = 1\n")
    assert "lab.lan:2" in doctor.run("-l", "lab", user=True, status=2).stderr
    path.unlink()


def test_a_daemon_that_is_gone(doctor, daemon):
    os.kill(doctor.pid(), signal.SIGKILL)
    wait_for(lambda: doctor.found("daemon"), what="the end of the daemon")
    assert doctor.heal("daemon")[0]["remedy"] == "hospes up default"
    assert daemon.call("Status")["lan"] == "default"


def test_a_daemon_that_is_silent(doctor, daemon):
    os.kill(doctor.pid(), signal.SIGSTOP)
    assert f"kill -KILL {doctor.pid()}" in doctor.heal("daemon")[0]["remedy"]
    assert daemon.call("Status")["lan"] == "default"


def test_a_guest_that_nobody_knows(doctor, daemon):
    found = doctor.found("guest", "nobody")
    assert found and "the LAN knows no such guest" in found[0]["cause"]
    guest = TapGuest(daemon, "nobody")
    try:
        assert not doctor.found("guest", "nobody") and not doctor.found("guest", guest.lease["mac"]) and not doctor.found("guest", "nobody.hospes")
    finally:
        guest.remove()
    wait_for(lambda: "is known, but not attached" in (doctor.found("guest", "nobody") or [{"cause": ""}])[0]["cause"], what="the guest to be away")


def test_a_guest_without_an_address(doctor, daemon):
    guest = Guest(daemon, mac="02:00:00:00:00:aa")
    guest.send(Ether(src=guest.mac, dst="02:00:00:00:00:bb", type=0x88b5) / (b"x" * 50))
    found = wait_for(lambda: doctor.found("no-lease"), what="the guest")
    assert "02:00:00:00:00:aa" in found[0]["symptom"] and not found[0]["remedy"]
    assert doctor.found("no-lease", "02:00:00:00:00:aa") and not doctor.found("no-lease", "another"), "it is that guest's alone"
    # It takes an address, as the advice says.
    guest.send(Ether(src=guest.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=guest.mac, psrc="10.0.2.100", pdst=DNS4))
    wait_for(lambda: not doctor.found("no-lease"), what="its address")
    guest.close()


def test_a_forward_to_a_guest_that_is_away(doctor, daemon):
    daemon.call("Register", name="web", mac=None)
    doctor.hospes("forward", "add", "18080", "web:80")
    found = doctor.heal("forward-away")
    assert "hospes forward rm" in found[0]["remedy"] and found[0]["guest"] == "web" and daemon.call("ListForwards")["forwards"] == []


def test_a_guest_that_forges(doctor, daemon):
    guest = Guest(daemon, mac="02:00:00:00:00:aa")
    guest.send(Ether(src="52:55:0a:00:02:02", dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=guest.mac, psrc="10.0.2.100", pdst=DNS4))
    found = wait_for(lambda: doctor.found("drops"), what="the drop")
    assert "spoofed-mac" in found[0]["where"] and found[0]["severity"] == "warning"
    guest.close()
    wait_for(lambda: not doctor.found("drops"), what="the port to go")


def test_a_lan_whose_network_a_route_takes(world, doctor):
    doctor.hospes("up", "lab")
    assert not doctor.found("overlap", "-l", "lab")
    world.host.ip("route add 10.0.3.0/25 via 192.0.2.1")
    try:
        assert doctor.heal("overlap", "-l", "lab")[0]["remedy"] == "hospes restart lab"
    finally:
        world.host.ip("route del 10.0.3.0/25")


def test_another_dhcp_server_on_the_lan(doctor, daemon):
    assert not doctor.found("dhcp-servers", "--probe")
    guest = TapGuest(daemon, "rogue")
    server = subprocess.Popen(guest.command(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0",
                                             "--bind-interfaces", "--dhcp-range=10.0.2.200,10.0.2.210", "--pid-file=", "--user=root",
                                             "--dhcp-leasefile=/dev/null", "--no-ping"]), stderr=subprocess.DEVNULL)
    try:
        found = wait_for(lambda: doctor.found("dhcp-servers", "--probe"), 20, "an offer of the rogue")
        assert guest.lease["address4"] in found[0]["cause"] and guest.lease["mac"] in found[0]["cause"]
    finally:
        server.kill()
        server.wait(10)
        guest.remove()
    assert not doctor.found("dhcp-servers", "--probe")


def test_another_dhcp_server_is_heard(doctor, daemon):
    """Without --probe: what a guest is answered passes the switch, and its daemon tells. A guest asks with a client of its own."""
    rogue, guest = TapGuest(daemon, "rogue"), TapGuest(daemon, "web")
    ask = guest.command(["busybox", "udhcpc", "-f", "-q", "-n", "-i", "eth0", "-s", "/bin/true", "-t", "3", "-T", "1"])
    try:
        subprocess.run(ask, capture_output=True, timeout=30, check=False)
        assert not doctor.found("dhcp-servers") and daemon.call("Status")["dhcp_servers"] == [], "our own answers are ours"
        with background(rogue.command(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces",
                                       "--dhcp-range=10.0.2.200,10.0.2.210", "--pid-file=", "--user=root", "--dhcp-leasefile=/dev/null", "--no-ping"])):
            wait_for(lambda: subprocess.run(ask, capture_output=True, timeout=30, check=False) and doctor.found("dhcp-servers"), 20, "the rogue's answer")
            found = doctor.found("dhcp-servers")
            assert f"{rogue.lease['address4']} at {rogue.lease['mac']} (guest rogue)" in found[0]["cause"] and "dhcp_servers" in found[0]["where"]
            assert found[0]["severity"] == "error" and "--probe" in found[0]["advice"]
        # It is turned off: asked anew it says nothing, and once that round is over it is not there without --probe, either.
        assert not doctor.found("dhcp-servers", "--probe")
        wait_for(lambda: not doctor.found("dhcp-servers"), 20, "the end of the round")
    finally:
        rogue.remove()
        guest.remove()


def test_a_rogue_dhcp_server_that_leaves(doctor, daemon):
    """A guest that has gone serves nobody: nothing has to be asked for that."""
    rogue = Guest(daemon, mac="02:00:00:00:00:aa")
    rogue.send(Ether(src=rogue.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="10.0.2.100", dst="255.255.255.255") / UDP(sport=67, dport=68) /
               BOOTP(op=2, yiaddr="10.0.2.66", chaddr=bytes(6)) / DHCP(options=[("message-type", "offer"), ("server_id", "10.0.2.100"), "end"]))
    wait_for(lambda: doctor.found("dhcp-servers"), what="the forger's offer")
    rogue.close()
    wait_for(lambda: not doctor.found("dhcp-servers"), what="the forger to leave")


# --- the machine below

class Machine(UserDoctor):
    """A machine of its own: accounts, devices, sysctls and resolv.conf are private."""

    def __init__(self, home):
        super().__init__(Host("machine", {"wangji": (USER, str(home.path / "home"))}), home)
        self.place = home.path / "dev"
        self.place.mkdir()

    def heal(self, check, *arguments, user=True, as_root=True):
        return super().heal(check, *arguments, user=user, as_root=as_root)

    def may(self, line):
        """Does it work for the user?"""
        words = self.netns.command(as_user(["sh", "-c", line]))
        return subprocess.run(words, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False).returncode == 0

    def mount(self, source, target):
        self.type(f"mount --bind {source} {target}")

    def remove(self):
        self.hospes("down")
        self.netns.remove()


@pytest.fixture
def machine(home):
    made = Machine(home)
    yield made
    made.remove()


def test_a_tun_device_that_is_closed(machine):
    assert not machine.found("tun-device")
    machine.type("chmod 0600 /dev/net/tun")
    assert not machine.may("hospes exec -- true")
    assert machine.heal("tun-device")[0]["remedy"] == "sudo chmod 0666 /dev/net/tun"
    assert not machine.found("tun-device", user=False) and machine.may("hospes exec -- ping -n -c 1 -W 5 10.0.2.2")


@pytest.mark.parametrize("group", ["root", "kvm"])
def test_kvm_that_is_closed(machine, group):
    """Another node stands in for /dev/kvm, whose rights on this machine are not ours to change."""
    node(machine.place / "kvm", 1, 3, 0o660)  # what is behind it does not matter here
    (machine.netns.root / "etc/group").open("a").write("" if "\nkvm:" in (machine.netns.root / "etc/group").read_text() else "kvm:x:61999:\n")
    machine.mount(machine.place / "kvm", "/dev/kvm")
    machine.type(f"chgrp {group} /dev/kvm")
    if group == "root":
        machine.type("chmod 0600 /dev/kvm")
        assert machine.heal("kvm")[0]["remedy"] == "sudo chmod 0666 /dev/kvm"
        return
    found = machine.found("kvm")
    assert found[0]["remedy"] == "sudo usermod -aG kvm wangji" and "next login" in found[0]["advice"]
    machine.type(found[0]["remedy"])
    machine.prefix = ["setpriv", "--reuid=wangji", "--regid=wangji", "--init-groups", "--"]
    assert not [one for one in json.loads(machine.run("--json").stdout)["findings"] if one["check"] == "kvm"]
    machine.prefix = []


def test_ping_sockets_that_are_closed(machine):
    """The setting is the namespace's own, and real; a guest pings a neighbour of its host."""
    other = Netns("other")
    try:
        link(machine.netns, "eth0", other, "eth0")
        machine.netns.ip("address add 192.168.7.2/24 dev eth0")
        other.ip("address add 192.168.7.1/24 dev eth0")
        machine.type("sysctl -qw net.ipv4.ping_group_range='1 0'")
        assert not machine.may("hospes exec -- ping -n -c 1 -W 1 192.168.7.1")
        assert machine.heal("ping-sockets")[0]["severity"] == "warning"
        assert machine.may("hospes exec -- ping -n -c 2 -W 5 192.168.7.1")
    finally:
        other.remove()


@pytest.mark.parametrize("key, shut", [("user/max_user_namespaces", "0"), ("kernel/unprivileged_userns_clone", "0"),
                                       ("kernel/apparmor_restrict_unprivileged_userns", "1")])
def test_user_namespaces_that_are_closed(machine, key, shut):
    """A file with another value stands in for the setting, which is the whole machine's and not a namespace's: so it is looked at that the remedy writes
    there, not that a namespace can be made then."""
    if not os.path.exists(f"/proc/sys/{key}"):
        pytest.skip("this kernel has no such gate")
    fake = machine.place / "gate"
    fake.write_text(shut + "\n")
    machine.mount(fake, f"/proc/sys/{key}")
    found = machine.heal("user-namespaces")
    assert key.replace("/", ".") in found[0]["remedy"] and not machine.found("user-namespaces", user=False), "root needs none"


def test_a_host_without_a_name_server(machine):
    machine.netns.ip("link add eth0 type veth peer name eth1")
    machine.netns.ip("address add 192.168.7.2/24 dev eth0")
    machine.netns.ip("link set eth0 up")
    resolv = machine.netns.root / "etc/resolv.conf"
    resolv.unlink(missing_ok=True)
    resolv.symlink_to("resolv.conf")
    assert not machine.found("resolver"), "nobody knows what it says"
    resolv.unlink()
    resolv.write_text("# empty\n")
    assert not machine.found("resolver")[0]["remedy"], "nobody is known who could know"
    machine.netns.ip("route add default via 192.168.7.1 dev eth0 onlink")
    assert machine.heal("resolver")[0]["remedy"] == "echo nameserver 192.168.7.1 | sudo tee -a /etc/resolv.conf"
    assert "nameserver 192.168.7.1" in resolv.read_text()


def test_a_host_without_an_address(machine):
    machine.hospes("up")
    found = machine.heal("host-address", as_root=False)
    assert "HostAccess = full" in found[0]["remedy"]
    assert "HostAccess = full" in (machine.home.path / "home/.config/hospes/default.lan").read_text()


def test_a_host_that_gets_an_address(machine):
    machine.hospes("up")
    assert machine.found("host-address")
    machine.netns.ip("link add eth0 type veth peer name eth1")
    machine.netns.ip("address add 192.168.7.2/24 dev eth0")
    assert not machine.found("host-address")


def test_vhost_net_that_is_missing(machine):
    """A /dev of our own and a modprobe that only makes the node stand in for the kernel's module: a kernel without modules cannot load one, and the
    machine's own is not to be touched."""
    machine.netns.ip("link add br0 type bridge")
    bridge = ("--bridge", "br0")
    machine.type("mkdir -p /run/dev && mount -t tmpfs none /run/dev && mknod -m 666 /run/dev/null c 1 3 && mknod -m 666 /run/dev/urandom c 1 9 "
                 "&& mount --move /run/dev /dev")
    modprobe = machine.home.bin / "modprobe"
    modprobe.write_text('#!/bin/sh\n[ "$1" = vhost_net ] && mknod -m 666 /dev/vhost-net c 1 3\n')
    modprobe.chmod(0o755)
    found = machine.heal("vhost-net", *bridge)
    assert found[0]["remedy"] == "sudo modprobe vhost_net" and found[0]["severity"] == "note"
    assert shutil.which("modprobe", path=machine.environment["PATH"]) == str(modprobe)
    # In this /dev, the other devices are missing, too.
    assert {one["check"]: one["remedy"] for one in machine.all(*bridge, user=True)}["tun-device"] == "sudo modprobe tun"
