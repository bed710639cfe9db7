# SPDX-License-Identifier: MIT
"""Taps for QEMUs that somebody starts by hand: persistent ones with an owner, and hospes-tap, QEMU's bridge helper."""

import json
import os
import subprocess

import pytest

from tests.support.bridge import OUTSIDER, assert_restored, state_of
from tests.support.lan import USER
from tests.ns.test_bridge_updown import config

OPEN = """
import fcntl, os, struct, sys
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH22x", sys.argv[1].encode(), 0x1002))
os.write(tap, bytes.fromhex("ffffffffffff" + sys.argv[2].replace(":", "") + "0800") + bytes(50))
print("open")
"""


def tap_of(world, name):
    return json.loads(world.host.ip(f"-d -j link show {name}"))[0]


def test_persistent(lan_world, plug, bridged):
    """Taps = NAME:OWNER: there at up, the owner's and nobody else's, on the bridge; gone at down."""
    bridged.configure(config(plug("static"), "Taps = tap0:hospes-test, tap1:outsider\n"))
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0")
    for name, owner in (("tap0", USER), ("tap1", OUTSIDER)):
        made = tap_of(lan_world, name)
        assert made["master"] == "br0" and made["linkinfo"]["info_data"]["persist"] is True, made
        assert made["linkinfo"]["info_data"].get("user") in (str(owner), owner, "hospes-test" if owner == USER else "outsider"), made
    words = ["/usr/bin/python3", "-c", OPEN]
    assert bridged.run(*words, "tap0", "52:54:00:12:34:56", user=USER) == "open"
    bridged.run(*words, "tap0", "52:54:00:12:34:56", user=OUTSIDER, status=1)
    assert "not permitted" in bridged.stderr
    bridged.hospes("up", "br0")
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_tap_of_somebody_else(lan_world, plug, bridged):
    """A tap by that name that is not ours is neither taken nor removed."""
    bridged.configure(config(plug("static"), "Taps = tap0:hospes-test\n"))
    lan_world.host.ip("tuntap add tap0 mode tap user 61235")
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0", status=1)
    assert "tap0" in bridged.stderr, bridged.stderr
    assert_restored(lan_world.host, before, 0)


HELPER = """
import os, socket, subprocess, sys
a, b = socket.socketpair()
os.set_inheritable(b.fileno(), True)
done = subprocess.run([sys.argv[1], *sys.argv[2:], f"--fd={b.fileno()}"], close_fds=False)
b.close()
if done.returncode:
    sys.exit(done.returncode)
data, ancillary, _, _ = a.recvmsg(1, socket.CMSG_SPACE(16))
fd = int.from_bytes(ancillary[0][2][:4], sys.byteorder)
import fcntl, struct
name = fcntl.ioctl(fd, 0x800454d2, struct.pack("16sH22x", b"", 0))[:16].rstrip(b"\\0").decode()
print(len(data), len(ancillary), name, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def helper(lan_world, plug, bridged):
    """helper(user, "--br=br0"): the process that has called hospes-tap as QEMU does, with its output."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    running = []

    def call(user, *words):
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", "--",
                   "/usr/bin/python3", "-c", HELPER, str(bridged.programs / "hospes-tap"), *words]
        process = subprocess.Popen(lan_world.host.command(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield call
    for process in running:
        process.kill()
        process.wait(10)
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def test_helper(lan_world, bridged, helper):
    """One byte with one descriptor, of a tap that is on the bridge; it goes when QEMU goes, though the helper ended long ago."""
    up = state_of(lan_world.host)
    process = helper(USER, "--use-vnet", "--br=br0")
    size, count, name = process.stdout.readline().split() or pytest.fail(process.stderr.read())
    assert (size, count) == ("1", "1")
    made = tap_of(lan_world, name)
    assert made["master"] == "br0" and "UP" in made["flags"] and made["linkinfo"]["info_data"]["vnet_hdr"] is True
    process.stdin.close()
    process.wait(10)
    process.stdin = open(os.devnull, "w", encoding="ascii")
    assert_restored(lan_world.host, up, 5)


@pytest.mark.parametrize("user, words, told", [(OUTSIDER, ["--br=br0"], "outsider"), (USER, ["--br=br7"], "br7"), (USER, ["--br=" + "b" * 40], "bbb"),
                                               (USER, ["--br=br0", "--what"], "what"), (USER, [], "br")])
def test_helper_refuses(lan_world, helper, user, words, told):
    up = state_of(lan_world.host)
    process = helper(user, *words)
    _, error = process.communicate(timeout=20)
    assert process.returncode and told in error, (process.returncode, error)
    assert_restored(lan_world.host, up, 2)
