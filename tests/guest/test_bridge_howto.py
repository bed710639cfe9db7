# SPDX-License-Identifier: MIT
"""The how-to's two-way network from end to end: a bridge with the uplink, real guests of an ordinary user, logins all round, and everything put back."""

import contextlib
import shutil
import subprocess

import pytest

from tests.support.bridge import assert_restored, difference, state_of
from tests.support.lan import ROOT, wait_for
from tests.support.user import BOOT, Server, make_user, mini_cache

CONFIG = "[LAN]\nFabric = bridge\nBridge = br0\nUplink = eth0\nAllow = hospes-test\nSTP = no\nForwardDelay = 9\nHello = 2\nMaxAge = 12\nTaps = tap0:hospes-test\n"


@pytest.fixture
def lan_user(lan_world):
    """The ordinary user, at home on the world's host."""
    made = make_user(lan_world)
    yield made
    made.remove()


@contextlib.contextmanager
def ssh_server(lan_world, user):
    """An ssh daemon on the host that lets the guests' key in."""
    keys = user.path / "home" / ".local/state/hospes/br0"
    user.run("dropbearkey", "-t", "ed25519", "-f", user.path / "home" / "host-key")
    public = next(line for line in user.run("dropbearkey", "-y", "-f", keys / "guest-key").splitlines() if line.startswith("ssh-"))
    user.write(".ssh/authorized_keys", public + "\n")
    (user.path / "home" / ".ssh").chmod(0o700)
    user.write("marker", "this is the host\n")
    daemon = user.popen("dropbear", "-F", "-E", "-s", "-p", "0.0.0.0:2222", "-r", user.path / "home" / "host-key", stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: b"SSH" in banner(lan_world), 10, "the host's ssh daemon")
        yield f"ssh -p 2222 {user.NAME}@{lan_world.HOST4} cat marker"
    finally:
        daemon.terminate()
        daemon.wait(10)


def banner(lan_world):
    with lan_world.lanhost.socket() as client, contextlib.suppress(OSError):
        client.settimeout(2)
        client.connect((lan_world.HOST4, 2222))
        return client.recv(100)
    return b""


def by_hand(user, netdev, mac):
    """A QEMU as somebody types it, with mini's kernel. It ends with the test."""
    folder = user.path / "home" / ".cache/hospes/mini" / mini_cache()[0].name
    return user.popen("qemu-system-x86_64", "-accel", "tcg", "-m", "192M", "-nodefaults", "-display", "none", "-serial", f"file:{user.path}/home/{mac[-2:]}.log",
                      "-kernel", folder / "kernel", "-initrd", folder / "initrd", "-append", "console=ttyS0 quiet panic=-1 hospes.name=hand",
                      "-netdev", netdev, "-device", f"virtio-net-pci,netdev=n,mac={mac}", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_howto(lan_world, plug, bridged, lan_user):
    user = lan_user
    plug("static")
    before = state_of(lan_world.host)
    bridged.configure(CONFIG)
    bridged.hospes("up", "br0")
    up = state_of(lan_world.host)
    for _ in range(2):
        user.hospes("run", "--detach", "-l", "br0", "mini")

    # Addresses are the router's to give; the list shows them, learned from what passes by.
    def addresses():
        rows = user.guests("br0")
        return [lan_world.lease_of(rows[name]["mac"]) for name in ("mini", "mini-2")]

    wait_for(lambda: all(addresses()), BOOT, "the guests' leases")
    one, two = addresses()
    wait_for(lambda: one in user.guests("br0")["mini"]["addresses"] and two in user.guests("br0")["mini-2"]["addresses"], 20,
             f"{one} and {two} in {user.hospes('ls', '-l', 'br0')}")
    text = user.hospes("ls", "-l", "br0")
    assert one in text and two in text and "mini-2" in text, text
    user.wait_ssh("mini", "mini-2", lan="br0")
    assert user.ssh("mini-2", "hostname", lan="br0") == "mini-2"
    assert f"inet {one}/24" in user.ssh("mini", "ip -4 address show dev eth0", lan="br0")
    wait_for(lambda: "inet6 2001:db8:1:" in user.ssh("mini", "ip -6 address show dev eth0", lan="br0"), 20, "an address by the router's advertisement")

    # Host -> guest 1 -> guest 2 -> host.
    with ssh_server(lan_world, user) as home:
        chain = f"ssh {two} '{home}'"
        wait_for(lambda: user.ssh("mini", chain, lan="br0", status=None) == "this is the host", 30, "the chain of logins")
        (user.path / "home" / ".ssh" / "authorized_keys").unlink()
        assert "this is the host" not in user.ssh("mini", chain, lan="br0", status=None), "nobody is let in without a key"

    # All three reach the internet, and the second LAN host reaches the guests.
    server = Server(lan_world.server, {"file": b"this is the internet"})
    try:
        url = f"http://{lan_world.SERVER4}:{server.port}/file"
        assert user.ssh("mini", f"wget -qO- {url}", lan="br0") == "this is the internet"
        assert user.ssh("mini-2", f"wget -qO- {url}", lan="br0") == "this is the internet"
        assert user.run("curl", "-sS", url) == "this is the internet"
        assert {asked[2] for asked in server.asked} == {one, two, lan_world.HOST4}
    finally:
        server.stop()
    assert lan_world.ping(lan_world.lanhost, one) and lan_world.ping(lan_world.lanhost, two)
    assert user.hospes("connect", "-l", "br0", "mini:22", status=None).startswith("SSH-2.0") or "SSH-2.0" in user.run(
        "sh", "-c", "sleep 2 | hospes connect -l br0 mini:22", status=None)

    # And back.
    user.hospes("stop", "-l", "br0", "mini", "mini-2")
    assert_restored(lan_world.host, up, 10)
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)
    assert lan_world.reaches() == lan_world.wants()


def test_qemu_by_hand(lan_world, plug, bridged, lan_user):
    """The how-to's own way, a tap with an owner, and QEMU's bridge helper: both guests get leases of the router's and answer the host."""
    user = lan_user
    plug("static")
    before = state_of(lan_world.host)
    bridged.configure(CONFIG)
    bridged.hospes("up", "br0")
    up = state_of(lan_world.host)
    macs = ["52:54:00:aa:00:01", "52:54:00:aa:00:02"]
    helper = user.bin / "hospes-tap"
    for script in ("qemu-ifup", "qemu-ifdown"):
        shutil.copy(ROOT / "data" / "qemu" / script, user.bin / script)
        (user.bin / script).chmod(0o755)
    for wrong, told in (("tap7", "there is no tap"), ("eth0", "no tap"), ("../tap0", "no name")):
        user.run(user.bin / "qemu-ifup", wrong, status=1)
        assert told in user.stderr, user.stderr
    running = [by_hand(user, f"tap,id=n,ifname=tap0,script={user.bin}/qemu-ifup,downscript={user.bin}/qemu-ifdown", macs[0]),
               by_hand(user, f"bridge,id=n,br=br0,helper={helper} --name hand --mac {macs[1]}", macs[1])]
    try:
        for mac, process in zip(macs, running):
            wait_for(lambda m=mac, p=process: p.poll() is not None or lan_world.lease_of(m), BOOT, f"the lease of {mac}")
            assert process.poll() is None, process.stderr.read()
            assert lan_world.ping(lan_world.host, lan_world.lease_of(mac)), mac
        hand = user.guests("br0")["hand"]
        assert hand["mac"] == macs[1]
    finally:
        for process in running:
            process.kill()
            process.wait(10)
            process.stderr.close()
    # QEMU asks for an offload header when it opens a tap, and the kernel keeps that with a persistent one: whoever opens it next says anew what he wants. The
    # helper's tap is gone, and all else is as it was.
    was, vnet = [line.replace('"vnet_hdr": true', '"vnet_hdr": false') for line in up], []

    def now():
        lines = state_of(lan_world.host)
        vnet[:] = [line for line in lines if '"vnet_hdr": true' in line]
        return [line.replace('"vnet_hdr": true', '"vnet_hdr": false') if "tap0" in line else line for line in lines]

    wait_for(lambda: not difference(was, now()), 10, "the rest as it was")
    assert all('"tap0"' in line for line in vnet), vnet
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_outsider_runs_nothing(lan_world, plug, bridged, lan_user):
    """A user outside Allow gets one message, and no tap is made."""
    plug("static")
    bridged.configure(CONFIG.replace("hospes-test", "outsider"))
    bridged.hospes("up", "br0")
    up = state_of(lan_world.host)
    message = lan_user.fails("run", "--detach", "-l", "br0", "mini")
    assert "Allow" in message and "br0" in message, message
    assert not difference(up, state_of(lan_world.host))
