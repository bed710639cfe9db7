# SPDX-License-Identifier: MIT
"""A LAN that is up and is asked for something else: another file, another trial, the service's end in the middle of one."""

import time

import pytest

from tests.ns.test_bridge_hostile import lan_control
from tests.ns.test_bridge_updown import config
from tests.support.bridge import assert_restored, state_of
from tests.support.lan import varlink, wait_for

NAT = "[LAN]\nFabric = bridge\nBridge = {bridge}\nNAT = yes\nIPv4 = 10.20.0.1/24\n"


def reload(bridged, lan="br0"):
    """As a client of the LAN's own socket, which the service must not take away under him."""
    with bridged.connect(path=lan_control(bridged, lan)) as connection:
        return varlink(connection, "org.hospes.Lan.Reload", {})


@pytest.mark.parametrize("ask", [reload, lambda bridged: bridged.call("Up", lan="br0"), lambda bridged: bridged.call("Plan", lan="br0", down=False)])
def test_other_bridge_is_refused(lan_world, plug, bridged, ask):
    """Another name for the bridge makes another LAN: the old one would be left behind."""
    plug("static")
    before = state_of(lan_world.host)
    bridged.configure(NAT.format(bridge="br0"))
    bridged.hospes("up", "br0")
    bridged.configure(NAT.format(bridge="br1"))
    with pytest.raises(RuntimeError, match="sudo hospes restart br0"):
        ask(bridged)
    assert bridged.lan_state() == "up" and "br1" not in lan_world.host.ip("link")
    bridged.hospes("restart", "br0")
    assert "br1" in lan_world.host.ip("link") and "br0:" not in lan_world.host.ip("link")
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


@pytest.mark.parametrize("served", [True, False])
def test_other_uplink_is_refused(lan_world, plug, bridged, served):
    """Two uplinks in one bridge may be a loop. A service that has just begun knows the first from the journal."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    bridged.hospes("up", "br0")
    lan_world.host.ip("link add other0 type veth peer name other1")
    bridged.configure(config("other0"))
    if not served:
        bridged.kill()
        bridged.start()
    bridged.hospes("up", "br0", status=1)
    assert "Uplink = eth0" in bridged.stderr and "sudo hospes restart br0" in bridged.stderr
    assert "master br0" not in lan_world.host.ip("link show other0")
    lan_world.host.ip("link delete other0")
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_reload_does_not_confirm(lan_world, plug, bridged):
    """On trial it stays on trial, with the time that is left."""
    uplink = plug("static")
    bridged.configure(config(uplink))
    before = state_of(lan_world.host)
    bridged.call("Up", lan="br0", confirm=6)
    bridged.configure(config(uplink, more="Hello = 3\n"))
    reload(bridged)
    assert bridged.lan_state() == "trying" and "hello_time 300" in lan_world.host.ip("-d link show br0")
    wait_for(lambda: bridged.lan_state() in (None, "down"), 10, "the way back")
    assert_restored(lan_world.host, before)


def test_tried_again_during_a_trial(lan_world, plug, bridged):
    """The second one gives it a new clock, whatever the first one's would have done meanwhile; and everybody is answered."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    bridged.call("Up", lan="br0", confirm=2)
    lan_world.router.ip("link set lan0 down")  # so that asking the gateway first would take as long as it can
    time.sleep(1.4)
    try:
        assert bridged.call("Up", lan="br0", confirm=60)["seconds_left"] >= 59
        time.sleep(1.5)
        assert bridged.lan_state() == "trying"
        said = bridged.hospes("try", "--time", "5", "br0", status=1)
        assert "goes back by itself" in said and "went back" in said
    finally:
        lan_world.router.ip("link set lan0 up")
        lan_world.router.ip(f"address replace {lan_world.ROUTER6}/64 dev lan0 nodad")
    assert_restored(lan_world.host, before)


@pytest.mark.parametrize("ends", ["confirmed", "goes back"])
def test_failed_change_during_a_trial(lan_world, plug, bridged, ends):
    """The kernel refuses a step: the others are undone, and it is on trial as before, for the same time."""
    uplink = plug("static")
    bridged.configure(config(uplink))
    before = state_of(lan_world.host)
    bridged.call("Up", lan="br0", confirm=6)
    bridged.configure(config(uplink, more="Hello = 3\nTaps = tap9:hospes-test\n"))
    bridged.run("mount", "--bind", "/dev/null", "/dev/net/tun")
    try:
        bridged.hospes("up", "br0", status=1)
        said = bridged.stderr
    finally:
        bridged.run("umount", "/dev/net/tun")
    assert "put back as it was" in said and bridged.lan_state() == "trying"
    assert "hello_time 200" in lan_world.host.ip("-d link show br0")
    if ends == "confirmed":
        bridged.call("Confirm", lan="br0")
        assert bridged.lan_state() == "up"
        bridged.hospes("down", "br0")
    wait_for(lambda: bridged.lan_state() in (None, "down"), 10, "the way back")
    assert_restored(lan_world.host, before)


def test_service_ended_during_trial(lan_world, plug, bridged):
    """SIGTERM: nobody may come who would see to the way back, so it is gone at once."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    bridged.call("Up", lan="br0", confirm=60)
    bridged.stop()
    assert_restored(lan_world.host, before)
    bridged.start()
    assert bridged.lan_state() in (None, "down")


def test_status_of_a_broken_lan(lan_world, plug, bridged):
    """It is not served, and its bridge has another name than the LAN: the file says which."""
    plug("static")
    bridged.configure(NAT.format(bridge="br7"), "lab")
    bridged.hospes("up", "lab")
    bridged.kill()
    with open(lan_world.host.root / "var/lib/hospes/lab/journal", "a", encoding="ascii") as journal:
        journal.write('{"mark":"working"}\n')
    bridged.start()
    found = next(each for each in bridged.call("Status")["lans"] if each["name"] == "lab")
    assert (found["state"], found["bridge"]) == ("broken", "br7")
    bridged.hospes("down", "lab")


@pytest.mark.parametrize("way", ["down", "trial"])
def test_full_disk(lan_world, plug, bridged, way):
    """What cannot be written down is not begun; what was begun goes back all the same, by itself too."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    fill = "cat /dev/zero >/var/lib/hospes/fill"
    bridged.run("mount", "-t", "tmpfs", "-o", "size=128k,mode=700", "none", "/var/lib/hospes")
    bridged.kill()
    bridged.start()
    try:
        bridged.run("sh", "-c", fill, status=1)
        bridged.hospes("up", "br0", status=1)
        assert bridged.stderr.count("No space left") == 1
        assert_restored(lan_world.host, before)
        bridged.run("rm", "/var/lib/hospes/fill")
        bridged.call("Up", lan="br0", **({"confirm": 4} if way == "trial" else {}))
        bridged.run("sh", "-c", fill, status=1)
        if way == "down":
            bridged.hospes("down", "br0")
        wait_for(lambda: bridged.lan_state() in (None, "down"), 8, "the way back")
        assert_restored(lan_world.host, before)
    finally:
        bridged.run("umount", "--lazy", "/var/lib/hospes")
