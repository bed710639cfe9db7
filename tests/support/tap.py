# SPDX-License-Identifier: MIT
"""A guest that is a network namespace: a real kernel's TCP at full speed, behind a tap port."""

import array
import fcntl
import json
import os
import socket
import struct

from tests.support.netns import Netns

TUNSETIFF = 0x400454ca
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


class TapGuest(Netns):
    """Attached by AttachTap, with the lease that the daemon gives. The port leaves with detach()."""

    def __init__(self, daemon, name):
        super().__init__(name)
        with self.entered():
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        self.connection = daemon.control()
        call = {"method": "org.hospes.Lan.AttachTap", "parameters": {"name": name}}
        self.connection.sendmsg([json.dumps(call).encode() + b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [tap]))])
        os.close(tap)
        reply = json.loads(self.connection.recv(65536).rstrip(b"\0"))
        assert "error" not in reply, reply
        self.lease = reply["parameters"]
        self.configure(self.lease)

    def configure(self, lease):
        self.ip(f"link set eth0 address {lease['mac']} mtu {lease['mtu']}")
        self.sysctl("net.ipv6.conf.eth0.accept_ra=0")
        self.ip("link set eth0 up")
        if lease.get("address4"):
            self.ip(f"address add {lease['address4']}/{lease['bits4']} dev eth0")
            self.ip(f"route add default via {lease['gateway4']}")
        if lease.get("address6"):
            self.ip(f"address add {lease['address6']}/{lease['bits6']} dev eth0 nodad")
            self.ip(f"route add default via {lease['gateway6']}")

    def detach(self):
        self.connection.close()

    def remove(self):
        self.detach()
        super().remove()
