# SPDX-License-Identifier: MIT
"""vde_switch: QEMU has a port for it; a namespace gets a tap by vde_plug2tap, which then is part of the backend."""

import subprocess

from bench.peers.peer import Attachment, Peer, mac
from bench.scene import BACK_CORE, need, wait_for


class VdeSwitch(Peer):
    name, kinds = "vde_switch", ("netns", "vde")
    mtu_max = 1500

    def start(self):
        need("vde_switch", "vde_plug2tap")
        self.path = self.scene.folder / "switch"
        # It ends with its input: that is a pipe into which nobody writes.
        self.processes.append(self.scene.spawn(["vde_switch", "--sock", self.path, "--numports", "64"], self.scene.host, BACK_CORE, stdin=subprocess.PIPE))
        wait_for(lambda: self.check() or (self.path / "ctl").exists(), 5, "vde_switch")

    def attach(self, number, kind):
        address = f"10.9.1.{number + 1}/16"
        if kind == "vde":
            return Attachment("vde", "", path=str(self.path), mac=mac(number), address=address)
        guest = self.scene.netns(f"guest{number}")
        self.processes.append(self.scene.spawn(["vde_plug2tap", "-s", self.path, "eth0"], guest, BACK_CORE))
        wait_for(lambda: self.check() or "eth0" in guest.ip("link show"), 5, "vde_plug2tap")
        return Attachment("netns", "", netns=guest, mac=mac(number), address=address)
