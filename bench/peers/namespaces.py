# SPDX-License-Identifier: MIT
"""Peers that put a tap into a namespace themselves: pasta and slirp4netns."""

import os

from bench.peers.peer import Attachment, Peer
from bench.scene import BACK_CORE, Missing, need, wait_for


class Pasta(Peer):
    """Without its splice, which carries the namespace's loopback past the tap: no guest has that."""

    name, kinds = "pasta", ("netns",)

    def program(self):
        return "pasta"

    def start(self):
        need(self.program())
        self.scene.with_uplink()

    def attach(self, number, kind):
        netns = self.scene.netns(f"guest{number}")
        self.processes.append(self.scene.spawn(
            [self.program(), "--foreground", "--config-net", "--ns-ifname", "eth0", "--mtu", self.scene.mtu, "--runas", "0", "--netns-only",
             "-t", "none", "-u", "none", "-T", "none", "-U", "none", "--netns", netns.path], self.scene.host, BACK_CORE))
        wait_for(lambda: self.check() or "192.0.2.2" in netns.ip("-4 address show"), 10, "pasta's interface")
        # It hands what is sent to the router's address to the host's loopback.
        return Attachment("netns", "192.0.2.1", netns=netns)


class NewerPasta(Pasta):
    """One that the environment's PASTA names: its versions differ widely."""

    name = "newer pasta"

    def program(self):
        if not os.environ.get("PASTA"):
            raise Missing("PASTA=/path/to/pasta names one that is newer than Debian's")
        return os.environ["PASTA"]


class Slirp4netns(Peer):
    name, kinds = "slirp4netns", ("netns",)

    def start(self):
        need("slirp4netns")
        self.scene.with_uplink()

    def attach(self, number, kind):
        netns = self.scene.netns(f"guest{number}")
        self.processes.append(self.scene.spawn(
            ["slirp4netns", "--configure", f"--mtu={self.scene.mtu}", "--netns-type=path", netns.path, "eth0"], self.scene.host, BACK_CORE))
        wait_for(lambda: self.check() or "10.0.2.100" in netns.ip("-4 address show"), 10, "slirp4netns's interface")
        return Attachment("netns", "10.0.2.2", netns=netns)
