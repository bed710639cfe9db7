# SPDX-License-Identifier: MIT
"""The privileged service by itself: what a tap's holder may make of it, what the next service finds, what it is started with."""

import array
import fcntl
import json
import os
import socket
import struct

import pytest

from tests.ns.test_bridge_hostile import lan_control, listed
from tests.ns.test_bridge_updown import config
from tests.support.bridge import OUTSIDER, assert_restored, state_of
from tests.support.bridge_guest import FrameGuest
from tests.support.lan import USER, varlink, wait_for

SIOCSIFHWADDR, TUNSETPERSIST, TUNSETCARRIER = 0x8924, 0x400454cb, 0x400454e2


@pytest.fixture
def up(lan_world, plug, bridged):
    bridged.configure(config(plug("static")))
    bridged.hospes("up", "br0")
    return state_of(lan_world.host)


def taps(world):
    return [row["ifname"] for row in json.loads(world.host.ip("-j link")) if row["ifname"].startswith("hospes-")]


# ---- a holder who is not to be trusted: the descriptor lets him do all of this without a privilege

def change_mac(guest, world):
    """To the router's: the bridge would take what is for the router for its own."""
    router = json.loads(world.router.ip("-j link show lan0"))[0]["address"]
    fcntl.ioctl(guest.fd, SIOCSIFHWADDR, struct.pack("16sH6s8x", guest.tap.encode(), 1, bytes.fromhex(router.replace(":", ""))))


def persist_and_leave(guest, _world):
    fcntl.ioctl(guest.fd, TUNSETPERSIST, 1)
    guest.close()


def carrier_off(guest, _world):
    fcntl.ioctl(guest.fd, TUNSETCARRIER, struct.pack("i", 0))


@pytest.mark.parametrize("abuse", [change_mac, persist_and_leave, carrier_off])
def test_abused_tap_is_removed(lan_world, bridged, up, closing, abuse):
    """A tap that is not as it was made any more goes; what is left is as if it had never been, and another user's tap stays."""
    fair = closing(FrameGuest(bridged, "fair"))
    guest = closing(FrameGuest(bridged, "sly"))
    abuse(guest, lan_world)
    wait_for(lambda: taps(lan_world) == [fair.tap], 5, "the tap's removal")
    assert fair.dhcp("discover") is not None
    assert lan_world.ping(lan_world.host, lan_world.SERVER4)
    fair.close()
    assert_restored(lan_world.host, up, 5)


def test_honest_tap_stays(lan_world, bridged, up, closing):
    """What QEMU itself does with a tap is no abuse."""
    guest = closing(FrameGuest(bridged, "fair", vnet=True))
    fcntl.ioctl(guest.fd, 0x400454d8, struct.pack("i", 12))   # TUNSETVNETHDRSZ
    fcntl.ioctl(guest.fd, 0x400454d0, 0x1 | 0x2 | 0x4)        # TUNSETOFFLOAD
    with pytest.raises(AssertionError):
        wait_for(lambda: guest.tap not in taps(lan_world), 1)


# ---- the next service

def test_taken_over_after_sigkill(lan_world, bridged, up, closing):
    """Guests that are attached when the service dies stay attached, named and filtered, and count for their user."""
    guest = closing(FrameGuest(bridged, "one"))
    guest.lease()
    bridged.kill()
    bridged.start()
    assert bridged.lan_state() == "up" and taps(lan_world) == [guest.tap]
    row = next(g for g in listed(bridged) if g["mac"] == guest.mac)
    assert (row["name"], row["state"]) == ("one", "attached")
    with pytest.raises(RuntimeError, match="Busy"):
        bridged.attach(name="one")
    assert guest.dhcp("discover") is not None
    guest.close()
    wait_for(lambda: not taps(lan_world), 5, "the tap's end")
    assert_restored(lan_world.host, up, 5)


def test_stray_tap_is_removed(lan_world, bridged, up, closing):
    """The service died, and what it knew of its taps is lost: a tap that nobody can name is no guest's."""
    guest = closing(FrameGuest(bridged, "one"))
    bridged.kill()
    (bridged.host.root / "run/hospes/br0/taps").unlink()
    bridged.start()
    wait_for(lambda: not taps(lan_world), 5, "the stray's removal")
    guest.close()
    assert_restored(lan_world.host, up, 5)


def test_one_service(lan_world, bridged):
    """A second one says that there is one, and harms nothing."""
    bridged.run("hospes-bridged", "--foreground", status=1, timeout=10)
    assert "runs already" in bridged.stderr
    assert bridged.call("Status")["lans"] == []


# ---- the socket

def test_wrong_descriptors(lan_world, bridged, up):
    """Descriptors that come with a call are closed; a client cannot fill the service with them."""
    before = len(os.listdir(f"/proc/{bridged.process.pid}/fd"))
    with bridged.connect(USER) as connection:
        for _ in range(50):
            fds = array.array("i", [0, 1, 2])
            connection.sendmsg([b'{"method":"org.hospes.Bridged.Status"}\0'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
            assert b"lans" in connection.recv(65536)
        wait_for(lambda: len(os.listdir(f"/proc/{bridged.process.pid}/fd")) <= before + 1, 3, "the descriptors' end")


def test_flood_by_one_keeps_none_out(lan_world, bridged, up, closing):
    """One user's connections end at their bound; others attach all the same."""
    held = [bridged.connect(OUTSIDER) for _ in range(80)]
    try:
        closing(FrameGuest(bridged, "one"))
    finally:
        for connection in held:
            connection.close()


def test_vanished_caller_leaves_no_tap(lan_world, bridged, up):
    """The caller goes before the answer reaches it: the tap goes with the answer."""
    for _ in range(5):
        connection = bridged.connect(USER)
        connection.sendall(json.dumps({"method": "org.hospes.Bridged.Attach", "parameters": {"lan": "br0", "vnet": False}}).encode() + b"\0")
        connection.close()
    bridged.call("Status")
    wait_for(lambda: not taps(lan_world), 5, "the taps' end")
    assert_restored(lan_world.host, up, 5)


def test_guests_of_others(lan_world, bridged, up, closing):
    """Who may attach guests tells more of his own, and does not rename or forget another's."""
    theirs = closing(FrameGuest(bridged, "theirs", user=0))
    mine = closing(FrameGuest(bridged, "mine"))
    with bridged.connect(USER, lan_control(bridged)) as connection:
        varlink(connection, "Register", {"name": "mine", "user": "dsl"})
        assert varlink(connection, "Resolve", {"guest": "mine"})["user"] == "dsl"
        for method, parameters in (("Register", {"name": "theirs", "user": "dsl"}), ("Unregister", {"name": "theirs"}), ("Register", {"name": "new"}),
                                   ("AddForward", {"listen": "8080", "to": "mine:80"}), ("Reload", {})):
            with pytest.raises(RuntimeError):
                varlink(connection, method, parameters)
    assert {g["name"] for g in listed(bridged)} == {"theirs", "mine"} and theirs.mac != mine.mac


def test_group(lan_world, plug, bridged):
    """Allow = @GROUP: its members and nobody else."""
    with open(bridged.host.path / "etc" / "group", "a", encoding="ascii") as group:
        group.write("lanusers:x:61999:hospes-test\n")
    bridged.configure(config(plug("static")).replace("Allow = hospes-test", "Allow = @lanusers"))
    bridged.hospes("up", "br0")
    reply, fd, connection = bridged.attach(name="fine")
    os.close(fd)
    connection.close()
    assert reply["name"] == "fine"
    with pytest.raises(RuntimeError, match="NotAllowed"):
        bridged.attach(user=OUTSIDER)
