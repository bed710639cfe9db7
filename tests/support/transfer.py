# SPDX-License-Identifier: MIT
"""TCP connections: one from a guest's shell, and one that carries a counted stream at a steady pace, both ways at once: what is lost or out of order shows, and how long it ever stood still."""

import array
import contextlib
import socket
import struct
import threading
import time

from tests.support.netns import World

CHUNK, PACE = 2048, 0.001


@contextlib.contextmanager
def served(world, guest, line, address=World.SERVER4):
    """A connection from a guest to a server on the internet. line: what opens it there, with {} for address and port; guest.wait() has its output."""
    with world.net.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
        server.bind((address, 0))
        server.listen()
        server.settimeout(30)
        guest.begin(line.format(*server.getsockname()))
        with server.accept()[0] as connection:
            connection.settimeout(60)
            yield connection


class Transfer:
    """host -> server -> host: each end sends its own counted stream and checks the other's."""

    def __init__(self, host, server, address):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = server.socket(family)
        listener.bind((address, 0))
        listener.listen(1)
        mine = host.socket(family)
        mine.settimeout(10)
        mine.connect(listener.getsockname()[:2])
        theirs, _ = listener.accept()
        listener.close()
        self.sockets = (mine, theirs)
        self.stopping = threading.Event()
        self.results = {}
        self.threads = []
        for name, end in (("host", mine), ("server", theirs)):
            end.settimeout(60)
            self.threads += [threading.Thread(target=self.send, args=(name, end), daemon=True), threading.Thread(target=self.receive, args=(name, end), daemon=True)]
        for thread in self.threads:
            thread.start()

    def send(self, name, end):
        number = 0
        try:
            while not self.stopping.is_set():
                end.sendall(struct.pack(f"!{CHUNK // 8}Q", *range(number, number + CHUNK // 8)))
                number += CHUNK // 8
                time.sleep(PACE)
            end.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.results[f"{name} error"] = error
        self.results[f"{name} sent"] = number * 8

    def receive(self, name, end):
        expected, rest, last, stall, got = 0, b"", time.monotonic(), 0.0, 0
        try:
            while part := end.recv(1 << 16):
                now = time.monotonic()
                stall, last, got = max(stall, now - last), now, got + len(part)
                rest += part
                whole = len(rest) // 8 * 8
                numbers = array.array("Q", rest[:whole])
                numbers.byteswap()
                if list(numbers) != list(range(expected, expected + len(numbers))):
                    raise ValueError(f"at {expected}")
                expected, rest = expected + len(numbers), rest[whole:]
                self.results[f"{name} stall"] = stall
                self.results[f"{name} got"] = got
        except (OSError, ValueError) as error:
            self.results[f"{name} error"] = error
        self.results[f"{name} stall"], self.results[f"{name} got"] = stall, got

    def moving(self):
        """How many bytes came at both ends so far."""
        return min(self.results.get("host got", 0), self.results.get("server got", 0))

    def stop(self, seconds=10):
        """End it. Return: the longest stall in seconds; loss, disorder and a broken connection are errors."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(seconds)
        self.close()
        for name, other in (("host", "server"), ("server", "host")):
            assert f"{name} error" not in self.results, (name, self.results)
            assert self.results[f"{name} sent"] == self.results[f"{other} got"] > 0, self.results
        return max(self.results["host stall"], self.results["server stall"])

    def close(self):
        self.stopping.set()
        for end in self.sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
