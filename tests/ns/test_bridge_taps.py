# SPDX-License-Identifier: MIT
"""Taps for QEMUs that somebody starts by hand: persistent ones with an owner, and hospes-tap, QEMU's bridge helper."""

import json
import os
import socket
import subprocess

import pytest

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from tests.support.bridge import OUTSIDER, assert_restored, state_of
from tests.support.bridge_guest import FrameGuest, Sniffer, TapHolder
from tests.support.lan import USER, varlink, wait_for
from tests.support.netns import run
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


# ---- a persistent tap belongs to one guest at a time

ONE, TWO = "52:54:00:aa:00:01", "52:54:00:aa:00:02"


@pytest.fixture
def lanhost(lan_world, closing):
    return closing(Sniffer(lan_world.lanhost))


def passes(holder, lanhost, mac=None, seconds=1.0):
    """Does a frame of this MAC come to the second LAN host?"""
    marker = os.urandom(12).hex().encode()
    holder.send(Ether(src=mac or holder.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=4000, dport=4001) / Raw(marker))
    return lanhost.seen(marker, seconds)


def listed(bridged, lan="br0"):
    with bridged.connect(path=bridged.host.root / "run/hospes" / lan / "control") as connection:
        return varlink(connection, "List")


def drops_of(bridged):
    """Dropped frames of the LAN by reason."""
    found = {}
    for port in listed(bridged)["ports"]:
        for drop in port["drops"]:
            found[drop["reason"]] = found.get(drop["reason"], 0) + drop["frames"]
    return found


def test_persistent_takes_first_mac(lan_world, plug, bridged, lanhost, closing):
    """The first MAC behind it is its guest's, until it is let go of; the frame that tells is not carried."""
    bridged.configure(config(plug("static"), "Taps = tap0:hospes-test\n"))
    bridged.hospes("up", "br0")
    holder = closing(TapHolder(lan_world.host, "tap0", ONE))
    assert "inet6" not in lan_world.host.ip("address show dev tap0"), "a port has no address of its own"
    assert not passes(holder, lanhost, seconds=0.3)
    wait_for(lambda: passes(holder, lanhost, seconds=0.3), 5, "the tap to be bound")
    for other in (TWO, "02:00:00:00:00:01"):
        assert not passes(holder, lanhost, mac=other), other
    assert passes(holder, lanhost)
    assert drops_of(bridged) == {"spoofed-mac": 2}
    # Nobody else has it meanwhile.
    with pytest.raises(RuntimeError):
        bridged.attach(name="other", mac=ONE)
    for _ in range(3):
        holder.close()
        holder = closing(TapHolder(lan_world.host, "tap0", TWO))  # at once: the next QEMU need not wait
        wait_for(lambda: passes(holder, lanhost, seconds=0.3), 5, "the tap to be bound to the next one")
        assert not passes(holder, lanhost, mac=ONE)


def test_persistent_shows_its_guest(lan_world, plug, bridged, lanhost, closing):
    """Its guest is attached while somebody has the tap open, with the address that it is seen with."""
    bridged.configure(config(plug("static"), "Taps = tap0:hospes-test\n"))
    bridged.hospes("up", "br0")
    holder = closing(TapHolder(lan_world.host, "tap0", ONE))
    wait_for(lambda: passes(holder, lanhost, seconds=0.3), 5, "the tap to be bound")
    holder.lease()
    wait_for(lambda: any(g["mac"] == ONE and g["state"] == "attached" and holder.ip in g["addresses"] for g in listed(bridged)["guests"]), 5, "the guest in the list")
    assert not passes(holder, lanhost, mac=TWO)
    holder.close()
    wait_for(lambda: all(g["state"] == "away" for g in listed(bridged)["guests"] if g["mac"] == ONE), 5, "the guest's end in the list")


def test_persistent_cannot_be_another(lan_world, plug, bridged, lanhost, closing):
    """MACs of the LAN, of the host and of other guests are nobody's to take; then the tap carries nothing until it is opened anew."""
    bridged.configure(config(plug("static"), "Taps = tap0:hospes-test\n"))
    bridged.hospes("up", "br0")
    lan_world.ping(lan_world.host, lan_world.LANHOST4)  # the bridge knows where it is
    other = closing(FrameGuest(bridged, "other"))
    of_lan = json.loads(lan_world.lanhost.ip("-j link show eth0"))[0]["address"]
    of_host = json.loads(lan_world.host.ip("-j link show br0"))[0]["address"]
    for mac in (of_lan, of_host, other.mac):
        holder = TapHolder(lan_world.host, "tap0", mac)
        for _ in range(4):
            assert not passes(holder, lanhost, seconds=0.3), mac
        holder.close()
        assert mac not in run(lan_world.host.command(["bridge", "fdb", "show", "dev", "tap0"]))
    assert f"{of_lan} behind it cannot be its guest's" in bridged.messages()
    assert lan_world.ping(lan_world.host, lan_world.LANHOST4)
    holder = closing(TapHolder(lan_world.host, "tap0", ONE))
    wait_for(lambda: passes(holder, lanhost, seconds=0.3), 5, "an honest one")


def test_persistent_of_a_guest(lan_world, plug, bridged, lanhost, closing):
    """A [Guest] with a Tap: its MAC alone, from the first frame on."""
    guest = f"[Guest]\nName = web\nMAC = {ONE}\nTap = tap0\n"
    bridged.configure(config(plug("static"), "Taps = tap0:hospes-test\n" + guest))
    bridged.hospes("up", "br0")
    holder = closing(TapHolder(lan_world.host, "tap0", TWO))
    assert not passes(holder, lanhost, seconds=0.3)
    # What is sent while the tap's link comes up reaches nobody, the counter neither.
    wait_for(lambda: not passes(holder, lanhost, seconds=0.3) and drops_of(bridged).get("spoofed-mac", 0) >= 3, 10, "three drops")
    assert passes(holder, lanhost, mac=ONE)
    assert set(drops_of(bridged)) == {"spoofed-mac"}
    bridged.configure(config("eth0", "Taps = tap0:hospes-test\n" + guest.replace(ONE, TWO)))
    assert "guest web changed" in bridged.hospes("reload", "br0")
    assert passes(holder, lanhost) and not passes(holder, lanhost, mac=ONE)


def test_persistent_left_out(lan_world, plug, bridged, lanhost, closing):
    """Taken out of the file, it stays until the LAN goes down, and carries nothing; also for the next service."""
    before_uplink = plug("static")
    before = state_of(lan_world.host)
    bridged.configure(config(before_uplink, "Taps = tap0:hospes-test\n"))
    bridged.hospes("up", "br0")
    holder = closing(TapHolder(lan_world.host, "tap0", ONE))
    wait_for(lambda: passes(holder, lanhost, seconds=0.3), 5, "the tap to be bound")
    bridged.configure(config(before_uplink))
    assert "Taps" in bridged.hospes("reload", "br0")
    assert not passes(holder, lanhost)
    bridged.stop()
    bridged.start()
    assert not passes(holder, lanhost)
    holder.close()
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


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


LIAR = "unsigned getuid(void) { return 0; } unsigned geteuid(void) { return 0; } unsigned getgid(void) { return 0; } unsigned getegid(void) { return 0; }\n"


def test_preloaded_library(lan_world, plug, bridged, tmp_path):
    """hospes-tap gains nothing when it is started, so a library can be put into it; what it says of its user there counts nothing."""
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    for program in ("hospes", "hospes-tap", "hospes-bridged", "hospesd"):
        path = bridged.programs / program
        assert not path.stat().st_mode & 0o6000 and "security.capability" not in os.listxattr(path), program
    (tmp_path / "liar.c").write_text(LIAR)
    library = lan_world.host.path / "liar.so"
    run(["cc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "liar.c")])
    library.chmod(0o755)
    environment = {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0"}
    assert bridged.run("/usr/bin/id", "-u", user=OUTSIDER, environment=environment) == "0", "the library does lie"
    up = state_of(lan_world.host)
    qemu, end = socket.socketpair()
    with qemu, end:
        bridged.run(bridged.programs / "hospes-tap", "--br=br0", "--fd=0", user=OUTSIDER, environment=environment, stdin=end, status=1)
    assert "Allow" in bridged.stderr, bridged.stderr
    assert_restored(lan_world.host, up, 0)
