# SPDX-License-Identifier: MIT
"""SIGKILL of the service before and after every single change that up, down and try make, each time from a clean start.

After each of them a new service finds what is left. Killed before a change, `hospes up` has to end in the very state that an undisturbed
up makes, and down from there in the state before; killed after it, `hospes down` has to put everything back at once. Between a call and
the next one that changes anything nothing happens to the world, so that both ways on are tried from all that a crash can leave. A trial
goes back without being told.

The scenes are worked at beside each other, each in a process with a world of its own; tests/support/killer.py finds the changes.
"""

import concurrent.futures
import json
import multiprocessing
import re
import select
import time

import pytest

from tests.support.bridge import Bridged, BridgeWorld, assert_restored, difference, state_of
from tests.support.killer import PATIENCE, Killer, Sockets, end_with_parent
from tests.support.lan import wait_for
from tests.ns.test_bridge_updown import config

NAT = """[LAN]
Fabric = bridge
Bridge = br0
NAT = yes
IPv4 = 10.77.0.1/24
Taps = tap0:hospes-test
Allow = hospes-test

[Forward]
Listen = 127.0.0.1:8080/tcp
To = 10.77.0.20:80
"""

# What follows a port's carrier, which the kernel looks at up to a second later.
CARRIER = re.compile(r', \{"family": "inet6", "local": "fe80:[0-9a-f:]*", "prefixlen": 64, "scope": "link"\}|"NO-CARRIER", |, "LOWER_UP"|"linkdown"|'
                     '"operstate": "[A-Z]*", ')

SCENES = [("static", "Up"), ("static", "Down"), ("nat", "Up"), ("nat", "Down"), ("dhcp", "Up"), ("dhcp", "Down"), ("static", "Try"), ("static", "Back")]
LEAST = {"Up": 50, "Down": 30, "Try": 50, "Back": 30}  # changes that are known to be made, whatever else comes
SIDES = {"Up": (False, True), "Down": (False, True), "Try": (True,), "Back": (True,)}  # killed before, after: behind a trial there is one way on
TRIAL = 2      # seconds: of the trial that is killed
WORKERS = 3    # half of an iteration is waiting


class Killable(Bridged):
    """The service, which can be killed at a change that Up or Down makes."""

    start_seconds = PATIENCE

    def start(self, *arguments):
        super().start(*arguments)
        self.sockets = Sockets(self.process.pid)

    def connect(self, *arguments, **options):
        connection = super().connect(*arguments, **options)
        connection.settimeout(PATIENCE)
        return connection

    def kill(self):
        super().kill()
        self.sockets.close_later()

    def stop(self, seconds=10):
        super().stop(seconds)
        self.sockets.close_later()

    def killed_at(self, method, parameters, number, after):
        """Return: the killer, if it came to that; None if the call was answered before"""
        with self.connect() as connection:
            killer = Killer(self.process.pid, number, after)
            call = {"method": f"org.hospes.Bridged.{method}", "parameters": {"lan": "br0", **parameters}}
            connection.sendall(json.dumps(call).encode() + b"\0")
            dead = killer.killed(lambda: select.select([connection], [], [], 0)[0])
            assert dead or b'"error"' not in (reply := connection.recv(65536)), reply
        if dead:
            self.kill()
        return killer if dead else None

    def files(self):
        """All that the service keeps, but for its own socket and lock."""
        self.lan_state()  # what comes behind an answer is done then
        kept = (path for folder in ("run/hospes", "var/lib/hospes") for path in (self.host.root / folder).rglob("*"))
        return sorted(str(path.relative_to(self.host.root)) for path in kept if not path.name.startswith("bridged"))


class Scene:
    """A host that is to get a bridge LAN, in this process alone."""

    def __init__(self, world, kind):
        world.serve(lease="2h")
        world.host.sysctl("net.ipv6.conf.default.accept_dad=0")
        text = NAT if kind == "nat" else config(world.plug(kind))
        self.world, self.bridged = world, Killable(world)
        self.bridged.configure(text)
        self.before = state_of(world.host)
        self.bridged.call("Up", lan="br0")
        self.up = self.state()
        self.bridged.call("Down", lan="br0")
        self.files = self.bridged.files()
        self.assert_down()

    def state(self):
        """As it can be compared with another up: the kernel gives a tap another MAC each time, and a bridge a link-local address in its own time."""
        text = "\n".join(line for line in state_of(self.world.host) if '"fe80::' not in line or '"dev": "br0"' not in line)
        if tap := re.search(r'"address": "([0-9a-f:]*)"[^\n]*"ifname": "tap0"', text):
            text = text.replace(tap[1], "tap0's")
        return sorted(CARRIER.sub("", text).splitlines())

    def assert_down(self):
        assert_restored(self.world.host, self.before)
        assert (files := self.bridged.files()) == self.files, f"files are left: {files}, but not after an undisturbed down: {self.files}"
        assert (state := self.bridged.lan_state()) == "down", f"the LAN is {state}"

    def assert_up(self):
        """As after an undisturbed up, at once or as soon as the kernel has settled."""
        end = time.monotonic() + 2
        while (wrong := difference(self.up, self.state())) and time.monotonic() < end:
            time.sleep(0.05)
        assert not wrong, "it is not as after an undisturbed up:\n" + "\n".join(wrong)
        assert self.bridged.call("Plan", lan="br0", down=False)["steps"] == [] and self.bridged.lan_state() == "up"

    # ---- what is done until the kill, and what afterwards

    def kill(self, what, number, after):
        method, parameters = "Down" if what in ("Down", "Back") else "Up", {}
        if what == "Down":
            self.bridged.call("Up", lan="br0")
        elif what == "Back":
            self.bridged.call("Up", lan="br0", confirm=TRIAL)
        elif what == "Try":
            parameters = {"confirm": TRIAL}
        return self.bridged.killed_at(method, parameters, number, after)

    def mend(self, what, after):
        """The new service, and the two ways on; after a trial neither is needed."""
        self.bridged.start()
        if what in ("Try", "Back"):
            wait_for(lambda: self.bridged.lan_state() == "down", TRIAL + PATIENCE, "the end of the trial")
        elif not after:
            self.bridged.hospes("up", "br0", timeout=PATIENCE)
            self.assert_up()
        if what in ("Up", "Down"):
            self.bridged.hospes("down", "br0", timeout=PATIENCE)
        self.assert_down()

    def iterate(self, what, number, after):
        """Return: what went wrong, in words; "" if nothing did; None if there is no such change any more"""
        killer = self.kill(what, number, after)
        if not killer:
            self.bridged.call("Down", lan="br0")
            self.assert_down()
            return None
        try:
            assert not killer.late, f"what the service had started went on without it: {killer.late}"
            self.mend(what, after)
        except (AssertionError, RuntimeError) as error:
            text = f"{what} killed {killer.where}:\n{error}"
            self.restore(text)
            return text
        return ""

    def restore(self, text):
        """After a failure: the next iteration needs a clean start."""
        if self.bridged.process.poll() is not None:
            self.bridged.start()
        self.bridged.call("Down", lan="br0")
        try:
            self.assert_down()
        except AssertionError as error:
            raise AssertionError(f"{text}\nand another down does not help") from error


def work(kind, what):
    """Return: (how many changes there are, what went wrong)"""
    world, number, wrong = BridgeWorld(), 0, []
    try:
        scene = Scene(world, kind)
        while len(wrong) < 5:
            results = [scene.iterate(what, number + 1, after) for after in SIDES[what]]
            wrong += filter(None, results)
            if set(results) == {None}:
                break
            number += 1
        scene.bridged.stop()
        return number, wrong
    finally:
        world.remove()


@pytest.fixture(scope="module")
def results():
    """All scenes at work; those that are waited for first begin first."""
    with concurrent.futures.ProcessPoolExecutor(WORKERS, multiprocessing.get_context("fork"), end_with_parent) as pool:
        yield {scene: pool.submit(work, *scene) for scene in SCENES}


@pytest.mark.parametrize("kind,what", SCENES)
def test_killed_at_every_change(results, kind, what):
    count, wrong = results[kind, what].result(600)
    assert not wrong, "\n\n".join(wrong)
    assert count >= LEAST[what], f"only {count} changes were seen"
