# SPDX-License-Identifier: MIT
"""Whatever goes wrong on the way, the host ends in a right state: as it was, or as the file says."""

import contextlib
import subprocess
import time

import pytest

from tests.support.bridge import assert_restored, difference, state_of
from tests.support.lan import wait_for
from tests.ns.test_bridge_updown import KINDS, config, plugged

# The system calls by which the service changes the kernel's state or its journal, or asks and answers: it is killed as it begins one.
CALLS = ("sendto", "fdatasync", "write", "ftruncate", "unlink", "rename", "clone3", "sendmsg")


def back(bridged):
    return bridged.lan_state() in (None, "down")


@pytest.fixture
def tried(lan_world, plug, bridged):
    """tried(seconds): the LAN is up on trial. Return: the state before."""
    def begin(seconds=60, kind="static"):
        bridged.configure(config(plug(kind)))
        before = state_of(lan_world.host)
        bridged.call("Up", lan="br0", confirm=seconds)
        assert bridged.lan_state() == "trying" and lan_world.reaches() == lan_world.wants()
        return before

    return begin


def test_not_confirmed(lan_world, bridged, tried):
    before = tried(5)
    start = time.monotonic()
    wait_for(lambda: back(bridged), 10, "the way back")
    assert time.monotonic() - start > 1, "it did not wait for the confirmation"  # what tried() itself took is not in it
    assert_restored(lan_world.host, before)


def test_confirmed(lan_world, bridged, tried):
    before = tried(5)
    bridged.hospes("try", "--confirm", "br0")
    up = state_of(lan_world.host)
    assert bridged.lan_state() == "up"
    time.sleep(6)
    assert bridged.lan_state() == "up" and not difference(up, state_of(lan_world.host))
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


def test_uplink_cut(lan_world, bridged, tried):
    """The cable: back at once, long before the time is over."""
    before = tried(60)
    lan_world.cut()
    try:
        wait_for(lambda: back(bridged), 15, "the way back")
    finally:
        lan_world.mend()
    assert_restored(lan_world.host, before)
    assert lan_world.reaches() == lan_world.wants()


@pytest.mark.parametrize("kind", ["static", "ipv6"])
def test_router_gone(lan_world, bridged, tried, kind):
    """The cable is fine, but the gateway answers no more."""
    before = tried(60, kind)
    lan_world.router.ip("link set lan0 down")
    try:
        wait_for(lambda: back(bridged), 15, "the way back")
        if kind == "static":
            assert_restored(lan_world.host, before)
    finally:
        lan_world.router.ip("link set lan0 up")
        lan_world.router.ip(f"address replace {lan_world.ROUTER6}/64 dev lan0 nodad")


def test_gateway_that_answers_is_left_alone(lan_world, bridged, tried):
    """No rollback without a reason: for longer than the two faults above need."""
    tried(60)
    time.sleep(8)
    assert bridged.lan_state() == "trying"
    bridged.call("Confirm", lan="br0")
    bridged.hospes("down", "br0")


def test_command_killed(lan_world, plug, bridged):
    """hospes try is killed, as with the ssh session it ran in: the clock is the service's."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    command = subprocess.Popen(lan_world.host.command(["hospes", "try", "--time", "5", "br0"]), env=bridged.environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: bridged.lan_state() == "trying", 10, "the trial")
    finally:
        command.kill()
        command.wait(10)
    wait_for(lambda: back(bridged), 12, "the way back")
    assert_restored(lan_world.host, before)


def test_try_says_how_it_ended(lan_world, plug, bridged):
    """Without a terminal: the exit status tells."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    bridged.hospes("try", "--time", "5", "br0", status=1)
    assert_restored(lan_world.host, before)


def test_service_killed_during_trial(lan_world, bridged, tried):
    """SIGKILL in the trial's time: the next service goes back, or goes on with the clock."""
    before = tried(5)
    bridged.kill()
    bridged.start()
    wait_for(lambda: back(bridged), 12, "the way back")
    assert_restored(lan_world.host, before)


def test_a_step_that_fails(lan_world, plug, bridged):
    """The kernel refuses something half way: what was done is undone at once, and it is said."""
    bridged.configure(config(plug("static")))
    before = state_of(lan_world.host)
    failed = 0
    for number in range(1, 30, 2):
        with strace(bridged, f"inject=sendto:error=ENOBUFS:when={number}"):
            bridged.hospes("up", "br0", status=None)
        if "up" == bridged.lan_state():
            break
        failed += 1
        assert bridged.stderr and back(bridged), f"change {number}: {bridged.lan_state()} {bridged.stderr}"
        assert_restored(lan_world.host, before)
    assert failed >= 5
    bridged.hospes("up", "br0")
    assert lan_world.reaches() == lan_world.wants()
    bridged.hospes("down", "br0")
    assert_restored(lan_world.host, before)


@contextlib.contextmanager
def strace(bridged, inject):
    """Faults in the service's system calls meanwhile."""
    pid = bridged.process.pid
    tracer = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-e", "trace=" + ",".join(CALLS), "-e", inject, "-p", str(pid)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            wait_for(lambda: status.seek(0) or f"TracerPid:\t{tracer.pid}\n" in status.read(), 10, "strace")
        yield tracer
    finally:
        tracer.terminate()
        tracer.wait(10)


def killed_at(bridged, call, number, method):
    """Up or Down, with SIGKILL as the service begins that system call for the so manieth time. Return: was it killed?"""
    with strace(bridged, f"inject={call}:signal=KILL:when={number}"):
        with contextlib.suppress(RuntimeError, OSError):
            bridged.call(method, lan="br0")
        with contextlib.suppress(subprocess.TimeoutExpired):
            bridged.process.wait(0.1)  # the answer itself may be what kills
    return bridged.process.poll() is not None


def killed_and_mended(lan_world, bridged, before, method, call, number, up):
    """Kill there; then, with a new service, up (if wanted) and down are right. Return: was it killed?"""
    if method == "Down":
        bridged.call("Up", lan="br0")
    killed = killed_at(bridged, call, number, method)
    if killed:
        bridged.kill()
        bridged.start()
    where = f"{method} killed at {call} {number}"
    try:
        if up:
            bridged.hospes("up", "br0")
            assert lan_world.reaches() == lan_world.wants()
            assert bridged.call("Plan", lan="br0", down=False)["steps"] == []
        bridged.hospes("down", "br0")
        assert_restored(lan_world.host, before)
    except AssertionError as error:
        raise AssertionError(f"{where}: {error}") from error
    return killed


@pytest.mark.parametrize("method", ["Up", "Down"])
@pytest.mark.parametrize("kind", ["ipv6", "dotted", "vlan"])
def test_killed_on_the_way(lan_world, plug, bridged, kind, method):
    """SIGKILL at some of the changes; test_bridge_killed.py takes every one of them for the other uplinks."""
    bridged.configure(config(plugged(plug, lan_world, kind)))
    before, count = state_of(lan_world.host), 0
    for call in CALLS:
        # A line of the journal that says that a step was taken is as good as the next.
        stride, number = 11 if call == "write" else 5, 1 + KINDS.index(kind) % 4
        while killed_and_mended(lan_world, bridged, before, method, call, number, count % 2):
            count, number = count + 1, number + stride
    assert count >= 4, f"only {count} points to be killed at were found"
