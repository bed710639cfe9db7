# SPDX-License-Identifier: MIT
"""Guests with a shell on their console, from an initrd of the test's own: User-mode Linux, and QEMU with a vhost-user card."""

import itertools
import os
import pathlib
import select
import signal
import subprocess
import time

# The last thing that a guest's init does. No echo, no prompt: what comes back is output only.
SHELL = """
ip link set lo up
exec <CONSOLE >CONSOLE 2>&1
stty -echo -onlcr 2>/dev/null
echo GUEST-READY
while read -r line; do eval "$line"; done
"""

# What udhcpc calls. The card gets the MTU that the lease says; IPv6 comes by advertisement.
DHCP_EVENT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip -4 address flush dev "$interface"
[ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
ip address add "$ip/$mask" dev "$interface"
for gateway in $router; do ip route replace default via "$gateway" dev "$interface"; break; done
for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
"""

DHCP = "udhcpc -i eth0 -n -q -f -t 10 -T 1 -O mtu -s /dhcp-event"


def archive(files, folders=()):
    """A cpio archive ("newc"). files: path in the guest to bytes; all of them are executable."""
    data, numbers, made = bytearray(), itertools.count(1), set()

    def add(name, mode, content):
        number = next(numbers)
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        data.extend(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
        data.extend(b"\0" * (-len(data) % 4) + content)
        data.extend(b"\0" * (-len(data) % 4))

    for path in [*(f"{folder}/x" for folder in folders), *files]:
        for parent in reversed(pathlib.PurePosixPath(path).parents):
            if str(parent) not in (".", "/") and str(parent) not in made:
                made.add(str(parent))
                add(str(parent), 0o40755, b"")
    for path, content in files.items():
        add(path, 0o100755, content)
    add("TRAILER!!!", 0, b"")
    return bytes(data)


class Console:
    """A guest's process, whose standard input and output are the guest's console: one command at a time. boot() starts it."""

    numbers = itertools.count()

    def __init__(self, name, words, environment, boot_seconds=60):
        self.name, self.words, self.environment, self.boot_seconds = name, words, environment, boot_seconds
        self.process = None

    def boot(self):
        """Start it, and wait for its shell."""
        self.spawn()
        self.wait_ready()

    def spawn(self):
        self.close_pipes()
        self.buffer = ""
        self.process = subprocess.Popen(self.words, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        os.set_blocking(self.process.stdout.fileno(), False)

    def wait_ready(self):
        self.read_until("GUEST-READY\n", self.boot_seconds)

    def read_until(self, text, seconds):
        """What comes before a text; the rest is kept."""
        end = time.monotonic() + seconds
        while text not in self.buffer:
            left = end - time.monotonic()
            assert left > 0, f"{self.name}: waited {seconds} s for {text!r}: {self.buffer[-2000:]}"
            if select.select([self.process.stdout], [], [], left)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                assert data, f"{self.name} ended: {self.buffer[-2000:]}"
                self.buffer += data.decode(errors="replace").replace("\r", "")
        before, self.buffer = self.buffer.split(text, 1)
        return before

    def begin(self, line):
        """Start a line of shell; wait() is for its end."""
        self.mark = f"END-{next(Console.numbers)}-"
        # Split, so that it is no mark if it is echoed.
        self.process.stdin.write(f'( {line} ); echo "{self.mark[:4]}""{self.mark[4:]}$?-"\n'.encode())
        self.process.stdin.flush()

    def wait(self, seconds=30, status=0):
        """The output of what was begun, stripped. Any other exit status is an error (None: all are fine)."""
        output = self.read_until(self.mark, seconds)
        got = int(self.read_until("-", 5))
        assert status is None or got == status, f"{self.name}: status {got}: {output[-2000:]}"
        return output.strip()

    def shell(self, line, seconds=30, status=0):
        self.begin(line)
        return self.wait(seconds, status)

    def dhcp(self):
        """A lease for eth0, with its MTU. Return: the IPv4 address."""
        self.shell(DHCP, 30)
        return self.shell("ip -4 -o address show dev eth0 | sed 's/.*inet //; s/[/].*//'")

    def wait_address6(self):
        """The IPv6 address that eth0 has by advertisement, when it has one."""
        line = "until ip -6 -o address show dev eth0 scope global | grep -v tentative | grep inet6; do sleep 0.1; done"
        return self.shell(line, 20).split("inet6 ")[1].split("/")[0]

    def kill(self):
        """SIGKILL to it and what it has forked, in the middle of whatever it does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def restart(self):
        self.kill()
        self.boot()

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.close_pipes()

    def close_pipes(self):
        if self.process:
            self.process.stdin.close()
            self.process.stdout.close()
