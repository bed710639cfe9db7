# SPDX-License-Identifier: MIT
"""A guest behind a console: a shell that reads lines from a pipe and marks where an output ends."""

import itertools
import os
import select
import shlex
import subprocess
import time

from bench.clients.client import Client
from bench.scene import end_group

# The last thing that a guest's init does. No echo, no prompt: what comes back is output only.
SHELL = """
exec <CONSOLE >CONSOLE 2>&1
stty -echo -onlcr 2>/dev/null
echo BENCH-READY
while read -r line; do eval "$line"; done
"""

# What udhcpc calls, and what gives eth0 an address that the bench knows.
DHCP_EVENT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip -4 address flush dev "$interface"
ip address add "$ip/$mask" dev "$interface"
for gateway in $router; do ip route replace default via "$gateway" dev "$interface"; break; done
"""


class Console(Client):
    numbers = itertools.count()
    boot_seconds = 60

    def boot(self, words, netns, tries=1, **options):
        """Until its shell is there. tries: how often, where a guest's kernel is known to fail now and then."""
        for left in reversed(range(tries)):
            try:
                return self.boot_once(words, netns, **options)
            except RuntimeError:
                end_group(self.process)
                if not left:
                    raise

    def boot_once(self, words, netns, **options):
        self.process = self.scene.spawn(words, netns, self.core, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        self.buffer = ""
        os.set_blocking(self.process.stdout.fileno(), False)
        self.read_until("BENCH-READY", self.boot_seconds)

    def read_until(self, text, seconds):
        """What comes before a text; the rest is kept."""
        end = time.monotonic() + seconds
        while text not in self.buffer:
            left = end - time.monotonic()
            if left <= 0:
                raise RuntimeError(f"{type(self).__name__} {self.number}: waited {seconds} s for {text}: {self.buffer[-1000:]}")
            if select.select([self.process.stdout], [], [], left)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    raise RuntimeError(f"{type(self).__name__} {self.number} ended: {self.buffer[-4000:]}")
                self.buffer += data.decode(errors="replace").replace("\r", "")
        before, self.buffer = self.buffer.split(text, 1)
        return before

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def shell(self, line, seconds=30):
        """Run a line of shell. Its output; raises RuntimeError if it fails."""
        self.begin(line)
        return self.wait(seconds)

    def begin(self, line):
        number = next(Console.numbers)
        self.first, self.mark = f"BEGIN-{number}-", f"END-{number}-"
        # Split, so that they are no marks if they are echoed. What an earlier command still says comes before the first one.
        self.send(f"echo BEG\"\"IN-{number}-; ( {line} ); echo \"EN\"\"D-{number}-$?-\"")

    def wait(self, seconds):
        self.read_until(self.first, seconds)
        output = self.read_until(self.mark, seconds)
        status = self.read_until("-", 5)
        if status.strip() != "0":
            raise RuntimeError(f"{type(self).__name__} {self.number}: status {status.strip()}: {output[-500:]}")
        return output

    def program(self, words):
        """The line that runs a program which is not in the guest's own initrd."""
        return shlex.join(words)

    def start(self, words):
        self.begin(self.program(words))

    def background(self, words):
        self.shell(f"{self.program(words)} </dev/null >/dev/null 2>&1 &")

    def configure(self):
        if self.loopback:
            return
        mtu = f"mtu {self.scene.mtu}"
        if self.attachment.address:
            mac = f"address {self.attachment.mac}" if self.attachment.kind == "tap" else ""
            self.shell(f"ip link set eth0 {mac} {mtu} && ip link set eth0 up && ip address add {self.attachment.address} dev eth0")
        else:
            self.shell(f"ip link set eth0 {mtu} && ip link set eth0 up && udhcpc -i eth0 -n -q -f -t 8 -T 1 -A 1 -s /dhcp-event 2>&1", 20)
            self.address = self.shell("ip -4 -o address show dev eth0 | sed 's/.*inet //; s/[/].*//'").strip()
        self.shell("echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse; echo 2048 65000 >/proc/sys/net/ipv4/ip_local_port_range")
