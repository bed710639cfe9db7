# SPDX-License-Identifier: MIT
"""What every guest offers: run a command line in it and have its output."""

import abc


class Client(abc.ABC):
    """Subclasses boot in their constructor. `address` is the guest's own; `host` where it reaches its host's servers."""

    kinds = ()
    iperf = True

    def __init__(self, scene, attachment, number, core):
        self.scene, self.attachment, self.number, self.core = scene, attachment, number, core
        self.host = attachment.host
        self.address = attachment.address.split("/")[0]

    @classmethod
    def make(cls, scene, peer, guests, core):
        """As many guests of a peer, each on core(number)."""
        kind = next(kind for kind in cls.kinds if kind in peer.kinds)
        return [cls(scene, peer.attach(number, kind), number, core(number)) for number in range(guests)]

    @property
    def loopback(self):
        return self.attachment.kind == "none"

    @abc.abstractmethod
    def start(self, words):
        """Start a command; wait() has its output."""

    @abc.abstractmethod
    def wait(self, seconds):
        """The output of what start() has started. Raises RuntimeError if it fails or takes longer."""

    @abc.abstractmethod
    def background(self, words):
        """Start a server that lives as long as the guest."""

    def run(self, words, seconds):
        self.start(words)
        return self.wait(seconds)

    def backends(self):
        """Processes or threads of the guest's own that carry its network."""
        return []
