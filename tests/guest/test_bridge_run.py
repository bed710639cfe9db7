# SPDX-License-Identifier: MIT
"""Real guests on a bridge LAN, by `hospes run` and by the line that `hospes qemu-args` prints: their taps come and go with them."""

import os
import re
import signal
import subprocess

import pytest

from tests.support.bridge import assert_restored, state_of
from tests.support.lan import wait_for
from tests.support.user import BOOT, make_user, mini_cache

UPLINK = "[LAN]\nFabric = bridge\nBridge = br0\nUplink = eth0\nAllow = hospes-test\n"
NAT = "[LAN]\nFabric = bridge\nBridge = br0\nNAT = yes\nIPv4 = 10.20.0.1/24\nAllow = hospes-test\n[Guest]\nName = web\nMAC = 52:54:00:12:34:57\nIPv4 = 10.20.0.50\n"


@pytest.fixture
def lan_user(lan_world):
    made = make_user(lan_world)
    yield made
    made.remove()


@pytest.fixture
def up(lan_world, plug, bridged):
    """up(config): the LAN is up. Return: the host's state then."""
    plug("static")

    def begin(config):
        bridged.configure(config)
        bridged.hospes("up", "br0")
        return state_of(lan_world.host)

    return begin


def taps(lan_world):
    return re.findall(r"hospes-\w+", lan_world.host.ip("-o link show type tun"))


def qemus(user):
    return [p for p in user.processes() if p.startswith("qemu-system")]


def typed(user, line):
    """A QEMU as somebody types it, with these words for its network. It is mini that boots."""
    folder = user.path / "home" / ".cache/hospes/mini" / mini_cache()[0].name
    return user.popen("sh", "-c", f"exec qemu-system-x86_64 -accel tcg -m 192M -nodefaults -display none -kernel {folder}/kernel -initrd {folder}/initrd "
                      f"-append 'console=ttyS0 quiet panic=-1 hospes.name=typed' {line}", stderr=subprocess.PIPE)


@pytest.mark.parametrize("device, mac", [("virtio-net-pci,netdev=n", "52:54:00:12:34:56"), ("virtio-net-pci,netdev=n,mac=52:54:00:aa:00:07", "52:54:00:aa:00:07")])
def test_helper_reads_the_line(lan_world, up, lan_user, device, mac):
    """The helper alone, as in the how-to: what may pass is the MAC that QEMU gives its card, said or not."""
    up(UPLINK)
    process = typed(lan_user, f"-netdev bridge,id=n,br=br0,helper={lan_user.bin}/hospes-tap -device {device}")
    try:
        wait_for(lambda: process.poll() is not None or lan_world.lease_of(mac), BOOT, f"the lease of {mac}")
        assert process.poll() is None, process.stderr.read()
        assert lan_world.ping(lan_world.host, lan_world.lease_of(mac))
    finally:
        process.kill()
        process.wait(10)
        process.stderr.close()


def test_qemu_args(lan_world, up, lan_user):
    """The printed line, typed into a shell: QEMU calls hospes-tap, the guest has its name's MAC and a lease of the router's, and the tap goes with QEMU."""
    before = up(UPLINK)
    line = lan_user.hospes("qemu-args", "-l", "br0", "--name", "typed")
    mac = re.search(r"mac=([0-9a-f:]{17})", line).group(1)
    process = typed(lan_user, line)
    try:
        wait_for(lambda: process.poll() is not None or lan_world.lease_of(mac), BOOT, f"the lease of {mac}")
        assert process.poll() is None, process.stderr.read()
        assert len(taps(lan_world)) == 1
        address = lan_world.lease_of(mac)
        assert lan_world.ping(lan_world.host, address) and lan_world.ping(lan_world.lanhost, address)
        wait_for(lambda: address in lan_user.guests("br0")["typed"]["addresses"], 20, "the address in the list")
    finally:
        process.kill()
        process.wait(10)
        process.stderr.close()
    wait_for(lambda: not taps(lan_world), 10, "the end of the tap")
    assert_restored(lan_world.host, before, 5)


def test_killed_supervisor(lan_world, up, lan_user):
    """SIGKILL to the process that looks after a guest: QEMU ends, its tap goes, and the name is free again."""
    before = up(UPLINK)
    lan_user.hospes("run", "--detach", "-l", "br0", "mini")
    assert len(taps(lan_world)) == 1 and len(qemus(lan_user)) == 1
    pid = int((lan_user.runtime("br0") / "guests/mini/pid").read_text())
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not qemus(lan_user) and not taps(lan_world), 10, "the end of QEMU and its tap")
    assert_restored(lan_world.host, before, 5)
    lan_user.hospes("run", "--detach", "-l", "br0", "mini")
    assert "mini" in lan_user.guests("br0") and len(taps(lan_world)) == 1
    lan_user.hospes("stop", "-l", "br0", "mini")
    assert_restored(lan_world.host, before, 10)


def test_service_dies_under_guests(lan_world, up, bridged, lan_user):
    """SIGKILL to the service: guests go on, the next service knows them, and a new guest can be attached."""
    up(UPLINK)
    lan_user.hospes("run", "--detach", "-l", "br0", "mini")
    lan_user.wait_ssh("mini", lan="br0")
    address = next(a for a in lan_user.guests("br0")["mini"]["addresses"] if a.startswith("192.168.1."))
    bridged.kill()
    assert lan_world.ping(lan_world.lanhost, address)
    bridged.start()
    assert lan_world.ping(lan_world.lanhost, address)
    lan_user.hospes("run", "--detach", "-l", "br0", "--name", "second", "mini")
    lan_user.wait_ssh("second", lan="br0")
    lan_user.hospes("stop", "-l", "br0", "mini", "second")


def test_nat(lan_world, up, bridged, lan_user):
    """Without an uplink: the address of the file, names, a published port, and the way out."""
    up(NAT)
    message = lan_user.fails("run", "--detach", "-l", "br0", "--publish", "0.0.0.0:8080:80", "mini")
    assert "root" in message and not taps(lan_world) and not qemus(lan_user), message
    lan_user.hospes("run", "--detach", "-l", "br0", "--name", "web", "mini")
    lan_user.wait_ssh("web", lan="br0")
    bridged.hospes("forward", "add", "-l", "br0", "0.0.0.0:8080", "web:80")
    assert "inet 10.20.0.50/24" in lan_user.ssh("web", "ip -4 address show dev eth0", lan="br0")
    assert lan_user.guests("br0")["web"]["mac"] == "52:54:00:12:34:57"
    lan_user.ssh("web", "mkdir -p /www && echo served >/www/which", lan="br0")
    with lan_world.lanhost.socket() as client:
        client.settimeout(10)
        client.connect((lan_world.HOST4, 8080))
        client.sendall(b"GET /which HTTP/1.0\r\n\r\n")
        assert b"served" in b"".join(iter(lambda: client.recv(4096), b""))
    assert "1 packets received" in lan_user.ssh("web", f"ping -c 1 -W 5 {lan_world.SERVER4}", lan="br0")
    bridged.hospes("forward", "rm", "-l", "br0", "0.0.0.0:8080")
    lan_user.hospes("stop", "-l", "br0", "web")
    # The bridge has lost its only port, so it has no carrier now: the host is not compared as a whole, only what the guest left.
    wait_for(lambda: not taps(lan_world) and not qemus(lan_user), 10, "the guest's tap and QEMU to go")
