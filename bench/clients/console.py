# SPDX-License-Identifier: MIT
"""A guest with a shell on its console: on a core, booted again where that fails, given its address."""

import shlex

from bench.clients.client import Client
from bench.scene import end_group
from tests.support.console import PIPES, Shell


class Console(Shell, Client):
    def boot(self, words, netns, tries=1, **options):
        """Until its shell is there. tries: how often, where a guest's kernel is known to fail now and then."""
        self.name = f"{type(self).__name__} {self.number}"
        for left in reversed(range(tries)):
            try:
                self.attach(self.scene.spawn(words, netns, self.core, **PIPES, **options))
                return self.wait_ready()
            except RuntimeError:
                end_group(self.process)
                if not left:
                    raise

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
            self.shell(f"ip link set eth0 {mtu} && ip link set eth0 up")
            self.address = self.dhcp()
        self.shell("echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse; echo 2048 65000 >/proc/sys/net/ipv4/ip_local_port_range")
