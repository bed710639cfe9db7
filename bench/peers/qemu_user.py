# SPDX-License-Identifier: MIT
"""QEMU's own user network: it runs in QEMU's main loop, which is what is counted."""

from bench.peers.peer import Attachment, Peer, mac


class QemuUser(Peer):
    name, kinds = "QEMU user", ("qemu",)
    mtu_max = 1500

    def start(self):
        self.scene.with_uplink()

    def attach(self, number, kind):
        return Attachment("qemu", "10.0.2.2", mac=mac(number))
