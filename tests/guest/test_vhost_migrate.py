# SPDX-License-Identifier: MIT
"""Live migration from one QEMU to another on one LAN, both attached by vhost-user, while a connection carries a counted stream both ways."""

import contextlib
import socket
import threading
import time

import pytest

from tests.support.lan import wait_for
from tests.support.qemu import QemuGuest, move
from tests.support.transfer import served

CHUNK = 4096

# Not a multiple of 256 KiB. QEMU before 9.0 under TCG loses what the guest's processor writes while its dirty bitmap is read by whole words
# ("physmem: Fix migration dirty bitmap coherency with TCG memory access"): the guest finds a part of its memory old, and crashes in one
# migration of twenty, with any network. Read page by page, as it must be then, it loses nothing.
MEMORY = "196616K"


class Stream(threading.Thread):
    """A server whose client sends back all that comes. Each chunk says its number; what is lost, doubled or out of order shows, and how long it stood still."""

    def __init__(self, connection, pace=0.002):
        super().__init__(daemon=True)
        self.connection, self.pace = connection, pace
        self.stopping = threading.Event()
        self.sent = self.got = 0
        self.stall, self.error = 0.0, None
        self.sender = threading.Thread(target=self.send, daemon=True)

    def chunk(self, number):
        return number.to_bytes(8, "big") * (CHUNK // 8)

    def send(self):
        try:
            while not self.stopping.is_set():
                self.connection.sendall(self.chunk(self.sent))
                self.sent += 1
                time.sleep(self.pace)
            self.connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = error

    def run(self):
        self.sender.start()
        rest, last = b"", time.monotonic()
        try:
            while part := self.connection.recv(1 << 16):
                now = time.monotonic()
                self.stall, last, rest = max(self.stall, now - last), now, rest + part
                while len(rest) >= CHUNK:
                    assert rest[:CHUNK] == self.chunk(self.got), f"chunk {self.got} is another"
                    rest, self.got = rest[CHUNK:], self.got + 1
            assert not rest
        except (OSError, AssertionError) as error:
            self.error = error

    def moves_on(self, chunks=200, seconds=20):
        """Until so many more chunks have come back."""
        goal = self.got + chunks
        wait_for(lambda: self.error or self.got >= goal, seconds, f"{chunks} chunks; {self.got} of {self.sent} came back")
        assert not self.error, self.error

    def stop(self):
        self.stopping.set()
        self.sender.join(20)
        self.join(20)
        assert not self.error and self.got == self.sent > 0, (self.error, self.got, self.sent)


@pytest.fixture
def guest(user):
    """A guest that runs; its address is its lease."""
    user.hospes("up")
    made = QemuGuest(user, "moving", memory=MEMORY)
    try:
        made.boot()
        made.address = made.dhcp()
        yield made
    finally:
        made.close()


def log_is_mapped(pid):
    """Does the daemon have a log of the pages that it writes?"""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        return "memfd:vhost-log" in maps.read()


@contextlib.contextmanager
def stream(world, guest):
    with served(world, guest, "nc {} {} -e cat") as connection:
        made = Stream(connection)
        made.start()
        yield made


def hand_over(user, source, lan="default"):
    """Move the guest to another QEMU. Return: that one, whether pages were logged on the way, and what QEMU tells of the move."""
    path = user.path / "home" / "migration"
    path.unlink(missing_ok=True)
    target = QemuGuest(user, source.name, memory=MEMORY, lan=lan, more=["-incoming", f"unix:{path}"])
    target.spawn()
    wait_for(path.exists, 10, "the other QEMU to listen")
    pid, seen = user.call("Status")["pid"], []
    try:
        told = move(source, target, path, meanwhile=lambda: seen.append(log_is_mapped(pid)))
    except BaseException:
        target.close()
        raise
    target.address = source.address
    # The console's shell goes on where it was, in the other process.
    target.mark = source.mark
    return target, any(seen), told


def test_a_connection_outlives_migrations(world, user, guest):
    """There and back again; both times the guest is behind another port, and the connection loses and doubles nothing."""
    pid, here = user.call("Status")["pid"], guest
    with contextlib.ExitStack() as stack:
        with stream(world, guest) as flow:
            flow.moves_on()
            assert not log_is_mapped(pid)
            for _ in range(2):
                before = port_of(user, guest)
                there, logged, told = hand_over(user, here)
                stack.callback(there.close)
                assert logged, "nobody logged what the LAN wrote into the guest's memory"
                wait_for(lambda was=before: port_of(user, guest) != was, 5, "the guest to be found behind the other port")
                flow.moves_on()
                here.kill()
                flow.moves_on()
                assert port_of(user, guest) not in (None, before)
                print(f"moved in {told['total-time']} ms, {told['downtime']} ms of them stopped, {told['ram']['transferred'] >> 20} MiB; "
                      f"the stream stood still for {flow.stall:.2f} s")
                here = there
            assert user.call("Status")["pid"] == pid and not log_is_mapped(pid)
            flow.stop()
        here.wait(20, status=None)
        assert guest.address in here.shell("ip -4 address show dev eth0")
        here.shell("ping -c 1 -W 5 10.0.2.2")
        here.shell("[ $(wget -qO- http://10.0.2.2:1/ 2>&1 | grep -c refused) = 1 ]")


def port_of(user, guest, lan="default"):
    return next(g["port"] for g in user.call("List", lan)["guests"] if g["name"] == guest.name)


def test_to_another_lan(world, user, guest):
    """Between two LANs alike: the guest keeps its addresses, and opens new connections there at once."""
    mac = guest.shell("cat /sys/class/net/eth0/address").strip()
    user.write(".config/hospes/twin.lan", f"[LAN]\nIPv4 = 10.0.2.0/24\n[Guest]\nName = {guest.name}\nMAC = {mac}\nIPv4 = {guest.address}\n")
    user.hospes("up", "twin")
    with contextlib.ExitStack() as stack:
        there, logged, _ = hand_over(user, guest, "twin")
        stack.callback(there.close)
        assert logged
        guest.kill()
        with stream(world, there) as flow:
            flow.moves_on()
            assert port_of(user, there, "twin")
            flow.stop()
        there.wait(20, status=None)
        there.shell("ping -c 1 -W 5 10.0.2.2")
