# SPDX-License-Identifier: MIT
"""What every backend offers: start it, attach guests to it, count it."""

import dataclasses

from bench.measure import Process


@dataclasses.dataclass
class Attachment:
    """How a guest is plugged in. Without an address it asks by DHCP."""

    kind: str  # netns: the interface is there; vhost, stream, dgram: a unix socket; tap: a tap's name; vde: a folder; qemu: QEMU's own
    host: str  # the address at which the guest reaches its host's servers
    path: str = ""
    interface: str = "eth0"
    netns: object = None  # of the interface or tap
    mac: str = ""
    address: str = ""  # with /bits
    gateway: str = ""
    own_path: str = ""  # the guest's end of a dgram pair


class Peer:
    """Subclasses set `kinds`, by which clients can reach them, and start(), attach(). Their processes run on the backends' core."""

    name = ""
    kinds = ()
    mtu_max = 65535

    def __init__(self, scene):
        self.scene, self.processes = scene, []

    def start(self):
        """Raises Missing where something is not installed."""

    def attach(self, number, kind):
        """The attachment of guest number 0, 1, ..., of one of our kinds that the client knows."""
        raise NotImplementedError

    def backends(self):
        return [Process(process.pid) for process in self.processes]

    def check(self):
        for process in self.processes:
            if process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {process.returncode}: {self.scene.log()}")


def mac(number):
    return f"02:00:00:00:01:{number + 1:02x}"
