# SPDX-License-Identifier: MIT
"""No network at all: client and server in one guest. What the guest's own TCP can do is the ceiling of a row."""

from bench.peers.peer import Attachment, Peer


class Loopback(Peer):
    name, kinds = "loopback", ("none",)

    def attach(self, number, kind):
        return Attachment("none", "127.0.0.1", netns=self.scene.host)


class PlainSockets(Peer):
    """Nothing between the generator and the host: what as many sockets cost by themselves."""

    name, kinds = "plain sockets", ("sockets",)

    def attach(self, number, kind):
        return Attachment("sockets", "127.0.0.1")
